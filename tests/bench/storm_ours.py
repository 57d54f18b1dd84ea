"""selfheal's own handlers in virtual time: Respond, the paced queue, RollBackAlias, containment, guards and ledger."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any
from unittest import mock

from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import clients, handler, outcome, runbook, versions, world
from selfheal.arns import Home
from selfheal.engine import World
from selfheal.guards.context import GuardContext
from selfheal.ledger import Ledger
from selfheal.observability import logger
from selfheal.pace import Bucket
from selfheal.runbook import Limits, Response, Runbook, Runbooks, Step
from selfheal.words import ResponseMode

from functions.respond import app as respond
from functions.roll_back_alias import app as roll_back_alias
from functions.switch_schedule import app as switch_schedule
from functions.switch_trading import app as switch_trading
from tests.bench.storm_aws import ACCOUNT, HOP_S, REGION, START, Account, arn_of, function, versions_of

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:selfheal"
TIMEOUT_S = 60.0
LOOK_FOR_MESSAGES_S = 0.05
MANY = Limits(per_hour=100_000, per_day=100_000, targets=100_000)
FLAG, SCHEDULE = "/desk/enabled", "desk-hourly"
HANDLERS = {"switch_trading": switch_trading.lambda_handler, "switch_schedule": switch_schedule.lambda_handler}


@dataclass(frozen=True)
class Way:
    """How the paced queue feeds RollBackAlias. `known`: the ledger has learnt the versions before."""

    known: bool = True
    batch: int = 10
    window_s: float = 0.0
    workers: int = 2
    a_second: float = 7.0


class Invocation(LambdaContext):
    """What Lambda tells a function about its invocation."""

    _function_name = "selfheal"
    _memory_limit_in_mb = 512
    _invoked_function_arn = ARN
    _tenant_id = None

    def __init__(self, aws: Account, request_id: str) -> None:
        self._aws_request_id = request_id
        self._aws = aws
        self._ends = aws.time.at + TIMEOUT_S

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        """Until it is ended."""
        return int((self._ends - self._aws.time.at) * 1000)


class Ours:
    """The stack. `failed` counts invocations that raised; Lambda repeats those of Respond once."""

    def __init__(self, aws: Account, way: Way) -> None:
        self.aws = aws
        self.way = way
        self.over = False
        self.failed = 0
        self.outcomes: Counter[str] = Counter()
        self.contained_at: float | None = None
        self._number = 0
        aws.on_invoke = self._start
        aws.on_event = self._event
        if way.known:
            self._learn()
        for _ in range(way.workers):
            aws.time.spawn(self._work, owner=Bucket(way.a_second, now=aws.time.now, sleep=aws.time.sleep))

    def alarm(self, name: str, target: str = "") -> None:
        """One delivery of one alarm that went red now."""
        self.aws.red_at.setdefault(name, self.aws.time.at)
        self._respond(_event(name, target, self.aws.red_at[name]))

    def _respond(self, event: Mapping[str, Any], after: float = HOP_S, *, again: bool = True) -> None:
        self._number += 1
        invocation = f"respond-{self._number}"

        def run() -> None:
            try:
                respond.lambda_handler(event, Invocation(self.aws, invocation))
            except Exception:  # noqa: BLE001 - as Lambda: repeated after a minute, then kept for a person
                self.failed += 1
                if again:
                    self._respond(event, after=60.0, again=False)

        self.aws.time.spawn(run, after=after)

    def _start(self, name: str, event: dict[str, Any]) -> None:
        run = HANDLERS[name]
        self.aws.time.spawn(lambda: run(event, Invocation(self.aws, event["action_id"])), after=HOP_S)

    def _event(self, event: dict[str, Any]) -> None:
        if event["detail-type"] == outcome.ACTION_OUTCOME:
            self.outcomes[f"{event['detail']['outcome']} {event['detail']['reason']}".strip()] += 1
            self._respond(event)

    def _work(self) -> None:
        """One of the pollers of the queue, and the execution environment behind it."""
        time, queue = self.aws.time, self.aws.queue
        while not self.over:
            if not queue:
                time.sleep(LOOK_FOR_MESSAGES_S)
                continue
            if len(queue) < self.way.batch and self.way.window_s:
                time.sleep(self.way.window_s)
            batch, queue[: self.way.batch] = queue[: self.way.batch], []
            if not batch:
                continue
            time.sleep(HOP_S)
            answer = roll_back_alias.lambda_handler({"Records": batch}, Invocation(self.aws, batch[0]["messageId"]))
            back = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            returned = [one for one in batch if one["messageId"] in back]
            if returned:
                time.spawn(partial(queue.extend, returned), after=5.0)

    def _learn(self) -> None:
        """What watches of earlier deployments have left behind."""
        known = Ledger("ledger", self.aws.table)
        for name in self.aws.versions:
            key = f"function:{name}:live"
            facts = {one["Version"]: versions.facts_of(one) for one in versions_of(name)[2:]}
            known.write(*versions.learnt(key, facts, START - 600))
            known.write(versions.proven(key, "2", "good", START - 86_400, "a watch"))

    def sizes(self) -> dict[str, int]:
        """Bytes of the largest item of each kind in the ledger."""
        found: dict[str, int] = {}
        for pk, items in self.aws.table._partitions.items():
            kind = pk.partition("#")[0]
            found[kind] = max([found.get(kind, 0), *(len(json.dumps(item)) for item in items.values())])
        return found


@contextmanager
def stack(aws: Account) -> Iterator[None]:
    """The stack's settings, clients and time."""

    def here(arn: str) -> World:
        return World(
            ledger=world.ledger(), max_mode=ResponseMode.AUTO, lease_s=TIMEOUT_S + 60, home=Home.of(arn),
            runbook_of=RUNBOOKS.system, now=aws.time.now, sleep=aws.time.sleep,
        )  # fmt: skip

    where = {"roll_back_alias": "paced", **{name: name for name in HANDLERS}}
    variables = {
        "LEDGER_TABLE": "ledger", "EVENT_BUS": "bus", "ACTION_FUNCTIONS": json.dumps(where), "PACED_QUEUE": "paced",
        "EVIDENCE_FUNCTION": "",
    }  # fmt: skip
    level = logger.log_level
    with ExitStack() as patched:
        patched.enter_context(mock.patch.dict("os.environ", variables))
        patched.enter_context(mock.patch.object(runbook, "load", return_value=RUNBOOKS))
        patched.enter_context(mock.patch.object(handler, "world", here))
        for value in vars(GuardContext).values():
            if isinstance(value, cached_property):  # before Python 3.12 one lock for all of them, as for no two Lambdas
                patched.enter_context(mock.patch.object(value, "lock", nullcontext(), create=True))
        patched.enter_context(clients.instead(aws.client))
        patched.enter_context(redirect_stdout(io.StringIO()))
        patched.enter_context(aws.time.everywhere())
        world.ledger.cache_clear()
        respond._JOINED.clear()
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
            world.ledger.cache_clear()


def _step(action: str, **target: str) -> Step:
    return Step(
        action=action, target_name=action, target=target, settle_s=0, approval=False,
        options={"to_version": None} if action == "roll_back_alias" else {},
    )  # fmt: skip


def _response(system: str, alarms: str, **steps: tuple[Step, ...]) -> Response:
    return Response(
        system=system, name="went red", line=1, alarms=(alarms,), severity="P0", mode=ResponseMode.AUTO,
        contain=steps.get("contain", ()), remediate=steps.get("remediate", ()), probe=None, recover=(),
        escalate_after_s=3_600, cooldown_s=900, limits=MANY,
    )  # fmt: skip


def _system(name: str, *responses: Response) -> Runbook:
    return Runbook(name, f"{name}.yaml", "bench", "UTC", (), frozenset(), frozenset(), {}, responses, (), ())


RUNBOOKS = Runbooks(
    (
        _system(
            "shop",
            _response(
                "shop", "shop-*", remediate=(_step("roll_back_alias", function="{alarm.FunctionName}", alias="live"),)
            ),
        ),
        _system(
            "desk",
            _response(
                "desk",
                "desk-*",
                contain=(_step("halt_trading", parameter=FLAG), _step("disable_schedule", schedule=SCHEDULE)),
            ),
        ),
        _system(
            "fleet",
            _response("fleet", "fleet-*", remediate=(_step("roll_back_alias", function=function(0), alias="live"),)),
        ),
    )
)
"""A thousand functions, each with an incident of its own; a flag and a schedule; and one target with many alarms."""


def _event(name: str, target: str, red_at: float) -> dict[str, Any]:
    """As CloudWatch sends it to a Lambda function (events/alarms/direct-metric-alarm.json)."""
    at = datetime.fromtimestamp(red_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    metric = {"namespace": "AWS/Lambda", "name": "Errors", "dimensions": {"FunctionName": target or name}}
    return {
        "source": "aws.cloudwatch",
        "alarmArn": arn_of(name),
        "accountId": ACCOUNT,
        "time": at,
        "region": REGION,
        "alarmData": {
            "alarmName": name,
            "state": {"value": "ALARM", "reason": "Threshold Crossed", "timestamp": at},
            "previousState": {"value": "OK", "timestamp": at},
            "configuration": {
                "metrics": [
                    {"id": "m", "metricStat": {"metric": metric, "period": 60, "stat": "Sum"}, "returnData": True}
                ]
            },
        },
    }
