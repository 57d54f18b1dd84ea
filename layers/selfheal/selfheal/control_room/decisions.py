"""What was decided in the last 24 hours, also not to act, the newest first."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal import closed
from selfheal.control_room.markup import Markup, join, tag
from selfheal.control_room.parts import View, badge, card, cut, name, note, table
from selfheal.control_room.room import Room
from selfheal.control_room.waits import sentence
from selfheal.frozen import dataclass
from selfheal.ledger import DAY_S

MAX_SHOWN = 20
_KINDS = {
    "done": "good", "failed": "bad", "inconclusive": "bad", "needs_person": "warn", "refused": "warn", "held": "warn",
    "suggested": "info",
}  # fmt: skip


_WITHOUT_REASON = {"needs_person": "the runbook leaves it to a person"}


@dataclass(frozen=True)
class Decision:
    """One decision. `at` in epoch seconds; `what` is the step, `why` a sentence."""

    at: float
    system: str
    what: str
    status: str
    why: str


def section(room: Room, view: View) -> Markup:
    """A table, the newest first."""
    found = sorted(of(room), key=lambda one: -one.at)
    if not found:
        return card("Decisions of the last 24 hours", note("None: no alarm asked for one."), count=0)
    rows = [
        (
            tag("span", view.at(one.at), class_="sh-when"),
            name(one.system, 32),
            name(one.what, 44),
            badge(one.status.replace("_", " "), _KINDS.get(one.status, "")),
            cut(one.why),
        )
        for one in found[:MAX_SHOWN]
    ]
    more = note(f"and {len(found) - MAX_SHOWN} more") if len(found) > MAX_SHOWN else None
    shown = join(table(("when", "system", "step", "decided", "why"), rows, "sh-list"), more)
    return card("Decisions of the last 24 hours", shown, count=len(found))


def of(room: Room) -> Iterator[Decision]:
    """Those of open and of closed incidents, and refusals that belong to none."""
    stories = [closed.brief(one) for one in room.incidents] + list(room.closed)
    for one in stories:
        for step in one["decisions"]:
            why = step["detail"] or sentence(step["reason"]) or _WITHOUT_REASON.get(step["status"], "")
            yield from _lately(room, Decision(step["at"], one["system"], step["label"], step["status"], why))
    for record in room.refusals:
        why = record["detail"] or sentence(record["reason"])
        yield from _lately(room, Decision(record["at"], "-", record["reason"].replace("_", " "), "refused", why))


def _lately(room: Room, one: Decision) -> Iterator[Decision]:
    if one.at > room.now - DAY_S:
        yield one
