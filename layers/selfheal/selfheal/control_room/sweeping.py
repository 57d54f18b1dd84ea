"""How the sweeps ended last, and the drill."""

from __future__ import annotations

from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, badge, card, cut, name, note
from selfheal.control_room.room import Room, Sweep

MAX_SHOWN = 12
_KINDS = {"pass": "good", "passed": "good", "fail": "bad", "failed": "bad", "unknown": "warn"}


def section(room: Room, view: View) -> Markup:
    """The newest first."""
    newest = sorted(room.sweeps, key=lambda sweep: -sweep.at)
    shown = [_one(sweep, view) for sweep in newest[:MAX_SHOWN]]
    more = note(f"and {len(newest) - MAX_SHOWN} more") if len(newest) > MAX_SHOWN else None
    return card("Sweeps", *shown, more, None if shown else note("No sweep has run yet."), _drill(room, view))


def _one(sweep: Sweep, view: View) -> Markup:
    counts = f"{sweep.passed} passed, {sweep.failed} failed, {sweep.unknown} unknown"
    return tag(
        "div",
        tag(
            "div",
            badge(sweep.verdict, _KINDS.get(sweep.verdict, "")),
            tag("strong", name(sweep.name, 50)),
            tag("span", name(sweep.system, 40), class_="sh-of"),
            tag("span", f"{view.ago(sweep.at)} ago", class_="sh-age"),
            class_="sh-head",
        ),
        note(f"{counts}. {cut(sweep.worst, 200)}".strip() if sweep.worst else f"{counts}."),
        class_="sh-item",
    )


def _drill(room: Room, view: View) -> Markup | None:
    if room.drill is None:
        return None
    if room.drill.get("doc", {}).get("waits"):
        return note("The first drill has not run yet.")
    passed = bool(room.drill["passed"])
    told = f"The last drill {'passed' if passed else 'FAILED'} {view.ago(float(room.drill['at']))} ago."
    return note(told)
