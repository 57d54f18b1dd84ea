"""Every action, every AWS call that it makes, everything that can go wrong with a call; then the same id again.

The calls are found by recording a clean run. Before each of them: the process dies, AWS throttles, denies, fails. After
each: the process dies, or the answer is lost. What must hold at the end, whatever happened on the way: the resource is
as it was or as it was to be, no effect happened twice, the record is finished, the target is free, and whatever was
changed is listed with the image of the world before, also when the ledger did not hear of it at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal import changes, unrecorded
from selfheal.catalogue import ACTIONS
from selfheal.respond import Respond
from selfheal.runbook import Runbooks
from selfheal.target import read_target

from tests.unit.doubles import Killed, timed_out
from tests.unit.stage import PLAYS, Play, Stage, stage
from tests.unit.wire import denied, failed, throttled

BEFORE: Mapping[str, Callable[[], BaseException]] = {
    "killed before": Killed,
    "throttled": throttled,
    "denied": denied,
    "failed": failed,
}
AFTER: Mapping[str, Callable[[], BaseException]] = {"killed after": Killed, "timed out after": timed_out}
DRAINS = ("archive_dlq", "replay_dlq", "redrive_dlq")
CANNOT_BE_DEDUPLICATED = ("smoke_test", "replay_dlq", "redrive_dlq")
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


def faults(calls: list[str], name: str) -> Iterator[tuple[int, str, bool, Callable[[], BaseException]]]:
    """To die after a call and before the next one is the same, save at the last. Of a drain, whose run is long, each
    call meets one of the three errors in turn."""
    errors = [kind for kind in BEFORE if kind != "killed before"]
    for at, _ in enumerate(calls):
        for kind, error in BEFORE.items():
            if name not in DRAINS or kind in {"killed before", errors[at % 3]}:
                yield at, kind, False, error
        for kind, error in AFTER.items():
            if kind != "killed after" or at == len(calls) - 1:
                yield at, kind, True, error


@pytest.mark.parametrize("name", PLAYS)
def test_whatever_goes_wrong_at_whatever_call_is_repaired(
    on_stage: Stage, name: str, fault_count: Callable[[str, int, int], None]
) -> None:
    calls, cases, wrong = clean(on_stage, name), 0, []
    for at, kind, after, error in faults(calls, name):
        cases += 1
        play = on_stage.play(name)
        on_stage.wire.again(at=at, after=after, error=error)
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
