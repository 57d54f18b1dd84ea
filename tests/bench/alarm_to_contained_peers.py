"""What stands beside it: the runbook's own commands, Cloud Custodian's handler, and one guarded action as a process."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local import stack, system
from local.emulator import environments
from local.sam import BUILT
from tests.bench.alarm_to_contained_stack import Broken
from tests.bench.figure import REPOSITORY
from tests.bench.peers import base_environment, environment
from tests.bench.processes import Command, Spent, spend

LIMIT = 5
_C7N = "import json, sys; from c7n import handler; handler.dispatch_event(json.loads(sys.argv[1]), None)"
_OURS = """
import json, sys
from types import SimpleNamespace
import app
context = SimpleNamespace(function_name=sys.argv[2], memory_limit_in_mb="256", invoked_function_arn=sys.argv[3],
                          aws_request_id=sys.argv[4], get_remaining_time_in_millis=lambda: 60000)
answer = app.lambda_handler(json.loads(sys.argv[1]), context)
sys.exit(0 if answer["outcome"] == "acted" else f"not acted: {answer}")
"""


class Peers:
    """Whole processes against the same emulator; each call is one measurement."""

    def __init__(self, broken: Broken, folder: Path) -> None:
        self.broken = broken
        self.folder = folder
        self.environment = base_environment(**broken.stack.emulator.environment())
        self.cli = environment("peer-awscli") / "bin" / "aws"
        self.c7n = environment("peer-c7n") / "bin" / "python"
        self._policy()

    # -- the runbook's own commands -------------------------------------------------------------------------------

    def cli_rollback(self) -> Spent:
        """Rollback, option A: where is the alias, which versions are there, point it to the last good one."""
        self.broken.release_faulty()
        function = ["--function-name", system.FUNCTION]
        alias = [*function, "--name", system.ALIAS]
        return self._aws(
            ["lambda", "get-alias", *alias],
            ["lambda", "list-versions-by-function", *function],
            ["lambda", "update-alias", *alias, "--function-version", system.LAST_GOOD],
        )

    def cli_schedule(self) -> Spent:
        """Disable the schedule: an update without the other fields would be refused, so they are read first."""
        found = self.broken.client("scheduler").get_schedule(Name=system.SCHEDULE)
        fields = {"FlexibleTimeWindow", "ScheduleExpression", "ScheduleExpressionTimezone", "Target"}
        kept = json.dumps({name: value for name, value in found.items() if name in fields})
        return self._aws(
            ["scheduler", "get-schedule", "--name", system.SCHEDULE],
            [
                "scheduler",
                "update-schedule",
                "--name",
                system.SCHEDULE,
                "--state",
                "DISABLED",
                "--cli-input-json",
                kept,
            ],
        )

    def cli_halt(self) -> Spent:
        """Halt: one command."""
        return self._aws(["ssm", "put-parameter", "--name", system.FLAG, "--value", "false", "--overwrite"])

    def _aws(self, *commands: Sequence[str]) -> Spent:
        endpoint = ["--endpoint-url", self.broken.stack.emulator.endpoint, "--output", "json"]
        return together([spend(Command([str(self.cli), *one, *endpoint], self.environment)) for one in commands])

    # -- one action -----------------------------------------------------------------------------------------------

    def custodian(self) -> Spent:
        """Cloud Custodian: an event about the function, one policy, `set-concurrency`; its account is given."""
        self.broken.lift_limit()
        event = {
            "version": "0", "id": str(uuid.uuid4()), "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.lambda", "account": "111111111111", "region": "us-east-1",
            "detail": {
                "eventSource": "lambda.amazonaws.com", "eventName": "UpdateFunctionCode20150331v2",
                "requestParameters": {"functionName": system.FUNCTION}, "userIdentity": {},
            },
        }  # fmt: skip
        spent = spend(Command([str(self.c7n), "-c", _C7N, json.dumps(event)], self.environment, self.folder))
        assert self.broken.limit == LIMIT, spent.output[-3000:]
        return together([spent])

    def limit_function(self) -> Spent:
        """Ours, the same action: `limit_function`, for the red alarm, with every guard."""
        return self._ours("ThrottleFunction", {
            "action": "limit_function", "target": {"function": system.FUNCTION}, "options": {"concurrency": LIMIT},
        })  # fmt: skip

    def roll_back_alias(self) -> Spent:
        """Ours: the rollback, for the red alarm, with every guard."""
        target = {"function": system.FUNCTION, "alias": system.ALIAS}
        return self._ours("RollBackAlias", {"action": "roll_back_alias", "target": target})

    def _ours(self, logical_id: str, request: Mapping[str, Any]) -> Spent:
        """The artefact as it was built, in the interpreter that runs the functions here."""
        self.broken.break_it_silently()
        name = uuid.uuid4().hex[:8]
        incident = f"{system.NAME}-{name}-1a"
        event = {
            **request, "action_id": f"{incident}.1", "mode": "act", "origin": "ladder", "incident": incident,
            "system": system.NAME, "response": "trading lambda failing", "alarms": [self.broken.reference()],
        }  # fmt: skip
        config = self.broken.configuration(logical_id)
        built = BUILT / stack.NAME
        layers = [path / "python" for path in sorted(built.glob("*Layer*")) if (path / "python").is_dir()]
        variables = {
            name: str(next(built.glob(f"*Layer*/{value[5:]}"), value)) if value.startswith("/opt/") else value
            for name, value in config["Environment"]["Variables"].items()
        }
        env = {
            **self.environment, **variables, "PYTHONPATH": ":".join(map(str, [built / logical_id, *layers])),
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"], "LAMBDA_TASK_ROOT": str(built / logical_id),
        }  # fmt: skip
        argv = [str(environments.ensure("runtime")), "-s", "-c", _OURS, json.dumps(event)]
        more = [config["FunctionName"], config["FunctionArn"], str(uuid.uuid4())]
        return together([spend(Command([*argv, *more], env, built / logical_id))])

    def _policy(self) -> None:
        """As `custodian`'s packager writes it."""
        mode = {
            "type": "cloudtrail",
            "events": [{
                "source": "lambda.amazonaws.com", "event": "UpdateFunctionCode20150331v2",
                "ids": "requestParameters.functionName",
            }],
        }  # fmt: skip
        policy = {
            "name": "limit", "resource": "aws.lambda", "mode": mode,
            "actions": [{"type": "set-concurrency", "value": LIMIT}],
        }  # fmt: skip
        options = {"account_id": "111111111111", "tracer": "default"}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps({"execution-options": options, "policies": [policy]}))


def together(spent: Sequence[Spent]) -> Spent:
    """One after the other. Raises AssertionError with what was printed where one failed: that is no measurement."""
    failed = [one.output for one in spent if one.status]
    assert not failed, failed[0][-3000:]
    return Spent(
        cpu_ms=sum(one.cpu_ms for one in spent),
        wall_ms=sum(one.wall_ms for one in spent),
        peak_mb=max(one.peak_mb for one in spent),
        status=0,
        output="".join(one.output for one in spent),
    )


def home() -> Path:
    """Where the bench's own stack keeps its files."""
    return REPOSITORY / ".local" / "stacks" / "bench"
