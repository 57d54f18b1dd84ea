"""Every action, every AWS call that it makes, everything that can go wrong with a call; then the same id again.

The calls are found by recording a clean run. Before each of them: the process dies, AWS throttles, denies, fails. After
each: the process dies, or the answer is lost. A write may lose to somebody else's, a batch be carried out in part. What
must hold at the end, whatever happened on the way: the resource is as it was or as it was to be, no effect happened
twice, the record is finished, the target is free, and whatever was changed is listed with the image of the world
before, also when the ledger did not hear of it at first.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from selfheal import changes, unrecorded
from selfheal.catalogue import ACTIONS
from selfheal.engine import run
from selfheal.request import read_request
from selfheal.respond import Respond
from selfheal.runbook import Runbooks
from selfheal.target import read_target

from tests.unit import plays
from tests.unit.conftest import FakeLambdaContext
from tests.unit.doubles import Killed, timed_out
from tests.unit.stage import PLAYS, VARIANTS, Play, Stage, stage
from tests.unit.wire import PARTLY, denied, failed, lost, throttled

BEFORE: Mapping[str, Callable[[], BaseException]] = {
    "killed before": Killed,
    "throttled": throttled,
    "denied": denied,
    "failed": failed,
}
AFTER: Mapping[str, Callable[[], BaseException]] = {"killed after": Killed, "timed out after": timed_out}
ONE_CALL = "_make_api_call"
ARN = FakeLambdaContext().invoked_function_arn
LONG = {"archive_dlq", "replay_dlq", "redrive_dlq", "check_health", "capture_evidence", *VARIANTS}
IN_FULL = {"halt_trading", "resume_trading", "roll_back_alias", "restart_service", "stop_function", "undo", "approve"}
CANNOT_BE_DEDUPLICATED = ("smoke_test", "replay_dlq", "redrive_dlq", *plays.CANNOT_BE_DEDUPLICATED)
"""Their send may end as unknown: recorded, told, and never repeated (Invoke and SendMessage have no token)."""


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def clean(on_stage: Stage, name: str) -> list[str]:
    """Every call of a run in which nothing goes wrong."""
    play = on_stage.play(name)
    result = on_stage.run(play)
    calls = list(on_stage.wire.calls)
    if result is not None and result["outcome"] == "in_progress":
        result = on_stage.to_the_end(play)
    assert result is not None
    assert (result["outcome"], play.look()) == ("acted", play.done), result
    return calls


def faults(
    calls: list[str], name: str, effects: tuple[str, ...]
) -> Iterator[tuple[int, str, bool, Callable[[], BaseException]]]:
    """To die after a call and before the next one is the same, save at the last. Where a run is long, each call meets
    one of the three errors in turn; so does each call of the ledger, which is the engine's and alike for every action,
    except in those of IN_FULL."""
    errors = [kind for kind in BEFORE if kind != "killed before"]
    for at, call in enumerate(calls):
        in_turn = name in LONG or (call.startswith("dynamodb.") and name not in IN_FULL)
        for kind, error in BEFORE.items():
            if not in_turn or kind in {"killed before", errors[at % 3]}:
                yield at, kind, False, error
        for kind, error in AFTER.items():
            if kind != "killed after" or at == len(calls) - 1:
                yield at, kind, True, error
        if call in effects:
            yield at, "lost to somebody (412)", False, lost
        if call in PARTLY:
            yield at, "done in part", False, Killed


def test_every_action_is_in_the_matrix() -> None:
    """A new one needs a method of its own name in `stage.Stage`: what is asked, and what AWS looks like once done."""
    assert set(ACTIONS) - set(PLAYS) == set()


@pytest.mark.parametrize("name", PLAYS)
def test_whatever_goes_wrong_at_whatever_call_is_repaired(
    on_stage: Stage, name: str, fault_count: Callable[[str, int, int], None]
) -> None:
    calls, cases, wrong = clean(on_stage, name), 0, []
    for at, kind, after, error in faults(calls, name, on_stage.play(name).effects):
        cases += 1
        play = on_stage.play(name)
        broken = {"partly_at": at} if kind == "done in part" else {"at": at, "after": after, "error": error}
        on_stage.wire.again(**broken)
        first = on_stage.run(play)
        reached, events = on_stage.wire.sent(*play.effects), on_stage.wire.events()
        end = on_stage.to_the_end(play)
        reached += on_stage.wire.sent(*play.effects)
        take_in_afterwards(on_stage, events)
        found = [what for what in violations(on_stage, play, first, end, reached) if what]
        wrong += (
            [f"{kind} call {at} ({calls[at]}): {'; '.join(found)} | first {brief(first)} | end {brief(end)}"]
            if found
            else []
        )
    fault_count(name, cases, len(calls))
    assert not wrong, "\n".join(wrong)


def brief(result: Mapping[str, Any] | None) -> str:
    return "killed" if result is None else f"{result['outcome']} {result['reason']} {result['detail'][:100]}"


def violations(
    on_stage: Stage, play: Play, first: Mapping[str, Any] | None, end: Mapping[str, Any], reached: int
) -> Iterator[str]:
    """What does not hold at the end of one case."""
    state, outcome, action = play.look(), end["outcome"], ACTIONS[play.action]
    changed_by_first = first is not None and first["outcome"] == "acted"
    if outcome in {"acted", "already_done"} or changed_by_first:
        yield "" if state == play.done else f"{outcome}, and it is {state}"
    elif outcome in {"refused", "failed"} and play.action != "approve":  # a decision stands, its start is repeated
        partly = outcome == "failed" and end["before"] != end["after"] and play.most is not None and play.most > 1
        yield "" if state == play.before or partly else f"{outcome}, and it is {state}"
    elif outcome == "inconclusive":
        unclear = play.action in {*CANNOT_BE_DEDUPLICATED, "approve", "deny", "undo"}
        yield "" if unclear else "inconclusive, though AWS can tell"
    if play.most is not None:
        yield "" if reached <= play.most else f"{reached} effects"
    found = on_stage.record_of(play)
    yield "" if found is not None and found["run"] == "done" else "the record is not finished"
    yield from _ledger(on_stage, play)
    if action.undo is not None and state != play.before:
        listed = changes.still_open(on_stage.ledger, key_of(play))
        yield "" if len(listed) == 1 else f"{len(listed)} open changes for what is in force"
        for one in listed:
            image = json.dumps(one["before"])
            yield "" if one["before"] != one["after"] else f"the open change has no image: {image}"


def _ledger(on_stage: Stage, play: Play) -> Iterator[str]:
    leases = [item for item in on_stage.ledger.query(f"TARGET#{key_of(play)}") if item["sk"] == "LEASE"]
    yield "" if all(item["lease_until"] == 0 for item in leases) else "the target is still leased"


def key_of(play: Play) -> str:
    return read_target(play.target, ACTIONS[play.action].kinds).key


def take_in_afterwards(on_stage: Stage, events: list[dict[str, Any]]) -> None:
    """What the rule on the bus keeps for the clock, twice: queues deliver at least once."""
    respond = Respond(on_stage.ledger, Runbooks(()), lambda event: None, on_stage.clock.now)
    kept = [event for event in events if "not_recorded" in event["detail"].get("evidence", {})]
    for event in kept * 2:
        unrecorded.take_in(respond, json.dumps(event))


# -- the same event many times at once ----------------------------------------------------------------------------


def test_the_same_request_fifty_times_at_once_is_one_effect(on_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda runs one request per process, so each thread has an engine of its own; moto answers one call at a time."""
    lock, call = threading.RLock(), getattr(BaseClient, ONE_CALL)

    def one_by_one(self: Any, *arguments: Any) -> Any:
        with lock:
            return call(self, *arguments)

    monkeypatch.setattr(BaseClient, ONE_CALL, one_by_one)
    for name in PLAYS:
        play = on_stage.play(name)
        outcomes = deliver_at_once(on_stage, play, 50)
        reached = on_stage.wire.sent(*play.effects)
        end = on_stage.to_the_end(play)
        reached += on_stage.wire.sent(*play.effects)

        assert len(outcomes) == 50, name
        assert set(outcomes) <= {"acted", "in_progress"}, f"{name}: {outcomes}"
        assert (end["outcome"], play.look()) == ("acted", play.done), end
        assert reached <= (play.most or 1), name
        assert [what for what in violations(on_stage, play, end, end, reached) if what] == [], name


def deliver_at_once(on_stage: Stage, play: Play, times: int) -> list[str]:
    """The outcomes of as many engines, each in a thread."""
    module = importlib.import_module(f"functions.{ACTIONS[play.action].function}.app")
    action = next(one for one in vars(module).values() if getattr(one, "name", "") == play.action)
    request = read_request(play.request, (play.action,), "id")
    outcomes: list[str] = []

    def deliver() -> None:
        outcomes.append(run(action(60.0), request, on_stage.world(ARN)).outcome.value)

    on_stage.wire.listening = True
    threads = [threading.Thread(target=deliver) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    on_stage.wire.listening = False
    return outcomes
