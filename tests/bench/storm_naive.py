"""The naive rollback in virtual time: three calls with the SDK's defaults, each alarm in an invocation of its own."""

from __future__ import annotations

from botocore.exceptions import ClientError
from botocore.retryhandler import delay_exponential

from tests.bench.storm_aws import HOP_S, Account, Functions

ATTEMPTS = 5
"""botocore's default mode, `legacy`: five in all (_retry.json, __default__)."""
ASYNC_RETRIES_S = (60.0, 120.0)
"""Lambda repeats an asynchronous event twice: after one and after two minutes."""


class Naive:
    """SNS → Lambda, a thousand at once: list, read, move the alias to "current minus one"."""

    def __init__(self, aws: Account) -> None:
        self.aws = aws
        self.lost = 0
        self.open = 0

    def alarm(self, name: str) -> None:
        """One delivery of one alarm."""
        self.open += 1
        self.aws.time.spawn(lambda: self._invocation(name, ASYNC_RETRIES_S), after=HOP_S)

    def _invocation(self, name: str, retries: tuple[float, ...]) -> None:
        try:
            self._roll_back(name)
        except ClientError:
            if retries:
                self.aws.time.spawn(lambda: self._invocation(name, retries[1:]), after=retries[0])
                return
            self.lost += 1
        self.open -= 1

    def _roll_back(self, name: str) -> None:
        aws, plane = self.aws, self.aws.control_plane
        lambda_ = Functions(aws)

        def call(operation: str, effect: object) -> object:
            return aws.call("lambda", operation, effect, plane, attempts=ATTEMPTS, pause=self._pause)  # type: ignore[arg-type]

        current = call("get_alias", lambda: lambda_.alias(name)["FunctionVersion"])
        call("list_versions_by_function", lambda: None)
        call("update_alias", lambda: lambda_.write(name, str(int(str(current)) - 1)))

    def _pause(self, attempt: int) -> float:
        return float(delay_exponential(self.aws.random.random(), 2, attempt))
