"""`make doctor`: is everything there that selfheal needs, and what would it not be able to do? It changes nothing.

It looks in the account and region of the environment (with ON=local in the local stack) and at the runbooks of the
working copy. Exit status 1 if something is missing without which nothing is healed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from selfheal.alarm import from_description, refuse_own
from selfheal.arns import Home, arns_of
from selfheal.catalogue import ACTIONS
from selfheal.errors import Refused
from selfheal.runbook import Runbooks, Step, read_runbooks
from selfheal.target import Target, read_target
from selfheal_build.runbooks import compiler
from selfheal_build.runbooks.problems import RunbooksInvalid

from local import stack
from local.deployed import chosen_stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.emulator.environments import REPOSITORY
from local.timeline import Screen

FEW_EXECUTIONS = 100
"""A new account may have 10; a storm of alarms and the systems themselves share them."""
MAX_SHOWN = 8
MOST_ARNS = 3
PARAMETER_OF = {
    "alias": "ProtectedFunctions",
    "function": "ProtectedFunctions",
    "queue": "ProtectedQueues",
    "parameter": "ProtectedParameters",
    "schedule": "ProtectedSchedules",
    "rule": "ProtectedRules",
    "service": "ProtectedServices",
    "database": "ProtectedDatabases",
    "database_cluster": "ProtectedDatabases",
    "event_source": "ProtectedEventSources",
    "log_group": "ProtectedLogGroups",
}
"""Kind of a target → the parameter that must name it; kinds whose ARN its name does not tell are not looked at."""


class Mark(Enum):
    """How a finding is shown."""

    GOOD = "✓"
    NOTE = "!"
    BAD = "✗"


@dataclass(frozen=True)
class Told:
    """One line, what it is about if that is long, and what to do about it."""

    mark: Mark
    what: str
    advice: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """What the checks look at. `parameters` and `outputs` are those of the deployed stack; empty: there is none.
    `local`: it is the local stack, which sends no mail."""

    client: Callable[[str], Any]
    stack: str
    home: Home
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    local: bool = False

    def protected(self) -> list[str]:
        """Every ARN pattern that the stack was given."""
        lists = (value for name, value in self.parameters.items() if name.startswith("Protected"))
        return [pattern for value in lists for pattern in value.split(",") if pattern]


def main() -> int:
    screen = Screen()
    local = "--local" in sys.argv[1:]
    if local:
        try:
            os.environ.update(Emulator.attach(stack.home_of(stack.chosen_port())).environment())
        except EmulatorNotFound:
            print(stack.none_runs(), file=sys.stderr)
            return 1
    seen = []
    for told in look(lambda service: _session().client(service), chosen_stack(), local=local):
        screen.sentence(told.what, _STYLES[told.mark], first=f"{told.mark.value} ", indent=2)
        for one in told.names:
            screen.say(f"    {one}")
        if told.advice:
            screen.sentence(told.advice, first="    ", indent=4)
        seen.append(told.mark)
    bad, notes = seen.count(Mark.BAD), seen.count(Mark.NOTE)
    screen.heading(f"{bad or 'nothing'} to mend before selfheal can heal (✗), {notes or 'nothing'} to know of (!)")
    return 1 if bad else 0


_STYLES = {Mark.GOOD: "green", Mark.NOTE: "yellow", Mark.BAD: "bold red"}


@cache
def _session() -> Any:  # any service by its name: the stubs know one overload per service
    return boto3.Session()


def look(client: Callable[[str], Any], name: str, *, local: bool = False) -> Iterator[Told]:
    """Every check in order; what needs what is missing is left out."""
    try:
        arn = str(client("sts").get_caller_identity()["Arn"])
        region = str(client("sts").meta.region_name)
    except (BotoCoreError, ClientError) as error:
        yield Told(Mark.BAD, f"no credentials that work: {error}", "sign in first, and set AWS_REGION")
        return
    home = Home(arn.split(":")[1], region, arn.split(":")[4])
    yield Told(Mark.GOOD, f"signed in as {arn.rsplit(':', 1)[-1]}, account {home.account}, region {home.region}")
    parameters, outputs, told = _stack(client, name)
    yield told
    runbooks, told = _runbooks()
    yield told
    account = Account(client, name, home, parameters, outputs, local)
    checks: list[Callable[[], Iterator[Told]]] = [lambda: _concurrency(account)]
    if outputs:
        checks += [lambda: _mode(account), lambda: _people(account), lambda: _own_alarms(account)]
    if runbooks is not None:
        checks.append(lambda: _unanswered(account, runbooks))
        if outputs:
            checks.append(lambda: _reach(account, runbooks))
    for check in checks:
        try:
            yield from check()
        except (BotoCoreError, ClientError) as error:
            yield Told(Mark.NOTE, f"not looked at: {error}")


def _stack(client: Callable[[str], Any], name: str) -> tuple[dict[str, str], dict[str, str], Told]:
    try:
        found = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        return {}, {}, Told(Mark.BAD, f"stack {name} is not there: {error}", "make deploy")
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())}
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}
    status = found["StackStatus"]
    if not status.endswith("_COMPLETE") or "ROLLBACK" in status or status.startswith("DELETE"):
        told = Told(
            Mark.BAD, f"stack {name} is {status}", f"aws cloudformation describe-stack-events --stack-name {name}"
        )
        return parameters, outputs, told
    return parameters, outputs, Told(Mark.GOOD, f"stack {name} is deployed ({status})")


def _runbooks() -> tuple[Runbooks | None, Told]:
    try:
        runbooks = read_runbooks(compiler.compile_folder(REPOSITORY / "layers" / "runbooks", "layers/runbooks"))
    except RunbooksInvalid as error:
        return None, Told(Mark.BAD, f"the runbooks are not valid: {len(error.problems)} problems", "make validate")
    return runbooks, Told(Mark.GOOD, f"{len(runbooks.runbooks)} systems have a runbook")


def _concurrency(account: Account) -> Iterator[Told]:
    limit = account.client("lambda").get_account_settings()["AccountLimit"]
    most, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    told = f"{most} concurrent executions of Lambda, {free} of them not reserved"
    if free >= FEW_EXECUTIONS:
        yield Told(Mark.GOOD, told)
        return
    advice = "ask Service Quotas for 1,000; until then RespondConcurrency keeps a place for Respond"
    yield Told(Mark.NOTE, f"only {told}: in a storm alarms wait for the systems' own load", advice)


def _mode(account: Account) -> Iterator[Told]:
    mode = account.parameters.get("MaxMode", "suggest")
    said = {
        "off": "only what is safe is done by itself; what is risky is refused",
        "suggest": "only what is safe is done by itself; what is risky is planned, and a person is told",
        "auto": "what is risky is done by itself as well, as far as the guards let it",
    }
    yield Told(Mark.GOOD, f"MaxMode is {mode}: {said.get(mode, '')}")


def _people(account: Account) -> Iterator[Told]:
    topic = account.outputs["PeopleTopicArn"]
    pages = account.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscriptions = [one for page in pages for one in page["Subscriptions"] if one["Protocol"] != "sqs"]
    waiting = [one["Endpoint"] for one in subscriptions if not one["SubscriptionArn"].startswith("arn:")]
    heard = len(subscriptions) - len(waiting)
    if waiting:
        advice = "open the mail of AWS Notifications and confirm; nothing is sent before"
        yield Told(Mark.NOTE if heard else Mark.BAD, f"not confirmed: {', '.join(waiting[:MAX_SHOWN])}", advice)
    if heard:
        yield Told(Mark.GOOD, f"{heard} who are told of incidents")
    elif account.local:
        yield Told(
            Mark.NOTE, "nobody is told: the local stack sends no mail", "make demo shows each message as it is sent"
        )
    elif not waiting:
        advice = "make deploy ARGS='--parameter-overrides PeopleEmail=oncall@example.com'"
        yield Told(Mark.BAD, "nobody is told: the people's topic has no subscription", advice)


def _own_alarms(account: Account) -> Iterator[Told]:
    pages = account.client("cloudwatch").get_paginator("describe_alarms")
    found = [one for page in pages.paginate(AlarmNamePrefix=f"{account.stack}-") for one in page["MetricAlarms"]]
    red = [one["AlarmName"] for one in found if one["StateValue"] == "ALARM"]
    if red:
        yield Told(Mark.BAD, f"selfheal's own alarms are red: {', '.join(red)}", _RED_ADVICE)
    else:
        yield Told(Mark.GOOD, f"none of selfheal's own {len(found)} alarms is red")


_RED_ADVICE = (
    "HeartbeatAlarm is until a new stack has ticked for some minutes; else docs/operations.md says what each means"
)


def _unanswered(account: Account, runbooks: Runbooks) -> Iterator[Told]:
    pages = account.client("cloudwatch").get_paginator("describe_alarms")
    wanted = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    found = [one for page in pages.paginate(**wanted) for kind in ("MetricAlarms", "CompositeAlarms")
             for one in page.get(kind, ())]  # fmt: skip
    others = [one for one in found if not one["AlarmName"].startswith(f"{account.stack}-") and not _is_own(one)]
    without = sorted(one["AlarmName"] for one in others if runbooks.match(one["AlarmName"]) is None)
    yield Told(Mark.GOOD, f"{len(others) - len(without)} of {len(others)} alarms have a response")
    if without:
        more = f" and {len(without) - MAX_SHOWN} more" if len(without) > MAX_SHOWN else ""
        told = f"without a response: {', '.join(without[:MAX_SHOWN])}{more}"
        yield Told(
            Mark.NOTE, told, "people are told each time one of them turns red; make new-runbook SYSTEM=… drafts one"
        )


def _is_own(description: Mapping[str, Any]) -> bool:
    """An alarm that is left alone: of Application Auto Scaling, or of another stack of selfheal."""
    try:
        refuse_own(from_description(description))
    except Refused:
        return True
    return False


def _reach(account: Account, runbooks: Runbooks) -> Iterator[Told]:
    """Steps whose target no parameter of the stack names: they would be refused as target_forbidden."""
    patterns = account.protected()
    missing: dict[str, set[str]] = {}
    looked_at = 0
    for step in (step for book in runbooks.runbooks for response in book.responses for step in _steps(response)):
        for kind, arn in _needed(step, account.home):
            looked_at += 1
            if not any(fnmatchcase(arn, pattern) for pattern in patterns):
                missing.setdefault(PARAMETER_OF[kind], set()).add(arn)
    if not missing:
        yield Told(Mark.GOOD, f"the stack may touch all {looked_at} targets of the responses")
    for parameter, arns in sorted(missing.items()):
        more = (f"and {len(arns) - MOST_ARNS} more",) if len(arns) > MOST_ARNS else ()
        are = "1 target, which is" if len(arns) == 1 else f"{len(arns)} targets, which are"
        is_last = parameter == max(missing)
        advice = "add them, or patterns that fit, to these parameters; those of systems that are elsewhere do no harm"
        names = (*sorted(arns)[:MOST_ARNS], *more)
        yield Told(Mark.NOTE, f"not in {parameter}: {are} refused until then", advice if is_last else "", names)


def _steps(response: Any) -> Iterator[Step]:
    yield from (*response.contain, *response.remediate, *response.recover)
    if response.probe is not None:
        yield response.probe


def _needed(step: Step, home: Home) -> Iterator[tuple[str, str]]:
    """Kind and ARN of what a step touches, where both can be told before there is an alarm."""
    entry = ACTIONS[step.action]
    if "{alarm." in repr(step.target):
        return
    target = read_target(dict(step.target), entry.kinds)
    if target.kind in PARAMETER_OF:
        yield target.kind, _arn(target, home)


def _arn(target: Target, home: Home) -> str:
    if target.kind == "schedule":  # its tags are those of its group; its permission is its own
        where = f"{home.region}:{home.account}"
        return f"arn:{home.partition}:scheduler:{where}:schedule/{target['group']}/{target['schedule']}"
    return arns_of(target, home)[0]


if __name__ == "__main__":
    sys.exit(main())
