"""Each cell of the table in `directions`: every action through its real handler, with one dependency that fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from selfheal import capture, runbook
from selfheal.action import Action
from selfheal.catalogue import ACTIONS
from selfheal.directions import Consequence, Dependency, is_in_ledger, without
from selfheal.errors import Misconfigured
from selfheal.observability import logger
from selfheal.words import Direction

from tests.unit.doubles import timed_out
from tests.unit.stage import PLAYS, Play, Stage, stage
from tests.unit.wire import CAPTURE, IAM_PREFIX, denied, refused_by_aws, throttled

FAILURES: Mapping[str, Callable[[], BaseException]] = {
    "throttled": throttled,
    "timed out": timed_out,
    "denied": denied,
}
NO_CREDENTIALS: Mapping[str, Callable[[], BaseException]] = {
    "expired": refused_by_aws("ExpiredTokenException", 400),
    "none": NoCredentialsError,
}
TARGETS: Mapping[str, str | tuple[str, ...] | None] = {
    "switch_rules": ("events.list_rules", "events.describe_rule", "events.disable_rule", "events.enable_rule"),
    "roll_back_alias": "lambda.",
    "drain_dlq": "sqs.",
    "check_gate": "cloudwatch.",
    "capture_evidence": ("cloudtrail.", "codedeploy.", "ecs.", "lambda.", "logs.", "rds.", "sqs.", "xray."),
    "manage_service": ("ecs.", "application-autoscaling."),
    "refresh_secrets": ("secretsmanager.", "lambda."),
    "dispatch_workflow": ("secretsmanager.", "github.get"),
    "replay_events": ("events.describe_archive", "events.list_replays"),
    "throttle_api": "apigateway",
    **dict.fromkeys(("check_health", "undo", "approve")),
}
"""Function, or action, → the calls that see its target, where these are not simply those of its services. A health
check reports what it can't see, which is its work; what a gate looks at are alarms and metrics."""
SERVICE_OF_PREFIX = {prefix: service for service, prefix in IAM_PREFIX.items()}
REPEATED = {"switch_trading": "ssm.get_parameter_history"}


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def failures(dependency: Dependency, play: Play) -> Iterator[tuple[str, dict[str, Any]]]:
    """How the dependency fails, as faults on the wire; nothing if this action never meets it."""
    folder = ACTIONS[play.action].function
    calls: Any = {
        Dependency.CREDENTIALS: "",
        Dependency.LEDGER: "dynamodb.",
        Dependency.TARGET: sees_by(play),
        Dependency.EXTRAS: REPEATED.get(folder),
        Dependency.TAGS: "resourcegroupstaggingapi.",
        Dependency.ALARM: None if folder == "check_gate" else "cloudwatch.",
        Dependency.BUS: "events.put_events",
        Dependency.EVIDENCE: CAPTURE,
    }.get(dependency)
    if calls is None:
        return
    for kind, error in (NO_CREDENTIALS if dependency is Dependency.CREDENTIALS else FAILURES).items():
        yield kind, {"names": calls if isinstance(calls, tuple) else (calls,), "error": error}


def expected(dependency: Dependency, play: Play, direction: Direction, *, undo: bool = False) -> Consequence:
    """The table's word, where this request asks for the dependency at all."""
    entry = ACTIONS[play.action]
    if dependency is Dependency.RUNBOOKS and play.request.get("options", {}).get("sweep"):
        return Consequence.TARGET_UNREADABLE  # its checks are what it would look at
    if entry.function == "check_health" and dependency is Dependency.CREDENTIALS:
        return Consequence.ACTS  # and finds everything unknown
    asked = {
        Dependency.ALARM: bool(play.request.get("alarms")) and not undo,
        Dependency.RUNBOOKS: bool(play.request.get("system")),
        Dependency.EVIDENCE: capture.needed(action_of(play), direction),
        # nothing of AWS that could have a tag; nothing whose ARN its name tells
        Dependency.TAGS: entry.kinds not in {("workflow",), ("secret",)},
    }
    if not asked.get(dependency, True):
        return Consequence.NOT_ASKED
    destroys = action_of(play).destroys
    return without(dependency, direction, undo=undo, in_ledger=is_in_ledger(entry), destroys=destroys)


def sees_by(play: Play) -> str | tuple[str, ...] | None:
    """How the calls begin that see the target: any of the services that the action's permissions name."""
    for name in (play.action, ACTIONS[play.action].function):
        if name in TARGETS:
            return TARGETS[name]
    prefixes = {permission.partition(":")[0] for permission in action_of(play).permissions}
    return tuple(sorted(f"{SERVICE_OF_PREFIX.get(prefix, prefix)}." for prefix in prefixes))


def action_of(play: Play) -> type[Action]:
    """The class that carries the play out."""
    module = importlib.import_module(f"functions.{ACTIONS[play.action].function}.app")
    found: type[Action] = next(one for one in vars(module).values() if getattr(one, "name", "") == play.action)
    return found


def wrong(play: Play, result: Mapping[str, Any], told: Consequence, kind: str, state: tuple[Any, Any]) -> Iterator[str]:
    """Where the result is not what the table says; `state` is that of the resource before and when done."""
    evidence, before_and_done = result["evidence"], state
    if told.goes_on:
        yield "" if result["outcome"] in {"acted", "in_progress"} else "it did not act"
        yield "" if play.look() == before_and_done[1] or result["outcome"] == "in_progress" else "not done"
    else:
        reason = told.strip("`")
        allowed = {reason, "target_forbidden"} if kind == "denied" and reason == "target_unreadable" else {reason}
        yield "" if result["outcome"] == "refused" and result["reason"] in allowed else f"expected {reason}"
        yield "" if play.look() == before_and_done[0] else "it was changed all the same"
    if told is Consequence.NOTED:
        noted = {"guards_not_read", "not_kept", "not_captured"} & {*evidence}
        yield "" if noted else "it is not in the evidence"
    if told is Consequence.TAKEN_IN_LATER:
        kept = "not_recorded" in evidence and "request" in evidence
        kept = kept and (result["before"] or not ACTIONS[play.action].undo)
        yield "" if kept else "nothing to record it from"


@pytest.mark.parametrize("name", PLAYS)
def test_every_cell_is_as_the_table_says(on_stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = on_stage.run(on_stage.play(name))
    assert clean is not None
    direction, cells, found = Direction(clean["direction"]), 0, []
    for dependency in Dependency:
        for kind, faults in breaking(on_stage, dependency, name, monkeypatch):
            play = on_stage.play(name)
            on_stage.wire.again(**faults)
            with monkeypatch.context() as patch:
                break_files(patch, dependency)
                result = on_stage.run(play)
            assert result is not None
            cells += 1
            told = expected(dependency, play, direction)
            if problems := [one for one in wrong(play, result, told, kind, (play.before, play.done)) if one]:
                got = f"{result['outcome']} {result['reason']} {result['detail'][:90]}"
                found.append(f"{dependency} {kind}: {problems}, got {got}")
    assert cells >= 12
    assert not found, "\n".join(found)


def breaking(
    on_stage: Stage, dependency: Dependency, name: str, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, dict[str, Any]]]:
    if dependency in {Dependency.RUNBOOKS, Dependency.LOG}:
        return [("unreadable", {})]
    return list(failures(dependency, on_stage.play(name)))


class Broken:
    """A file that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def break_files(patch: pytest.MonkeyPatch, dependency: Dependency) -> None:
    """What is no call of AWS."""

    def unreadable(path: str | None = None) -> Any:
        raise Misconfigured("the runbooks cannot be read")

    if dependency is Dependency.RUNBOOKS:
        patch.setattr(runbook, "load", unreadable)
    if dependency is Dependency.LOG:
        patch.setattr(sys, "stdout", Broken())
        patch.setattr("logging.raiseExceptions", False)
        for handler in logger.handlers:
            patch.setattr(handler, "stream", Broken(), raising=False)


REVERSIBLE = [name for name in PLAYS if ACTIONS.get(name) is not None and ACTIONS[name].undo]


@pytest.mark.parametrize("name", REVERSIBLE)
def test_an_undo_needs_the_ledger_whatever_its_direction(on_stage: Stage, name: str) -> None:
    directions = set()
    for dependency in (None, Dependency.LEDGER, Dependency.TAGS, Dependency.TARGET):
        for kind, faults in [("", {})] if dependency is None else failures(dependency, on_stage.play(name)):
            play = on_stage.play(name)
            acted = on_stage.run(play)
            assert acted is not None
            on_stage.wire.again(**faults)
            undo = {"action_id": f"undo-{play.number}", "undo_of": play.request["action_id"], "origin": "undo"}
            result = on_stage.run(play, **undo, requested_by="ann", alarms=[])
            assert result is not None
            if dependency is None:
                directions.add(Direction(result["direction"]))
                assert (result["outcome"], play.look()) == ("acted", play.before), result
                continue
            told = expected(dependency, play, next(iter(directions)), undo=True)
            assert [one for one in wrong(play, result, told, kind, (play.done, play.before)) if one] == [], result


def test_resume_never_runs_by_itself(on_stage: Stage) -> None:
    play = on_stage.play("resume_trading")
    for origin in ("alarm", "ladder", "sweep", "drill", "hand"):
        result = on_stage.run(play, origin=origin, requested_by=None, action_id=f"resume-{origin}")
        assert result is not None
        assert (result["outcome"], result["reason"]) == ("refused", "person_required")
    assert play.look() == play.before
