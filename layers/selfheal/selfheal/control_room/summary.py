"""The first line: how it stands, in five numbers; and who asks, for the buttons below."""

from __future__ import annotations

from collections.abc import Mapping

from selfheal.control_room import durations
from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, cut, note
from selfheal.control_room.room import Room
from selfheal.incident import Phase
from selfheal.widget import MAX_FIELD


def section(room: Room, view: View) -> Markup:
    """A tile for each number; one that wants something is coloured."""
    open_count = len(room.incidents) + room.more_incidents
    needed = sum(one.phase is Phase.WATCH for one in room.incidents) + len(room.waiting)
    whole = room.pause_of("*")
    paused = f"paused: {'all' if whole.what == 'all' else 'what is risky'}" if whole else "paused"
    unreadable = note(f"{room.unreadable} items could not be read by this release.") if room.unreadable else None
    tiles = [
        _tile("open", open_count, "bad" if open_count else "good"),
        _tile("for a person", needed, "bad" if needed else ""),
        _tile("in force", len(room.changes), "warn" if room.changes else ""),
        _tile(paused, len(room.of_systems), "warn" if room.of_systems else ""),
        tag("span", f"as of {durations.clock(view.now, view.zone)}", class_="sh-as-of"),
    ]
    return tag("div", tag("div", *tiles, class_="sh-tiles"), unreadable)


def _tile(what: str, number: int | str, kind: str) -> Markup:
    shown = tag("b", number, class_=f"sh-number {f'sh-{kind}' if kind else ''}".strip())
    return tag("span", shown, tag("span", what), class_="sh-tile")


def who_asks(filled_in: Mapping[str, str]) -> Markup:
    """The fields that go with every button. CloudWatch sends them along; what was filled in stays."""
    fields = [
        tag(
            "label",
            tag("span", label),
            tag(
                "input",
                type="text",
                name=name,
                value=cut(filled_in.get(name, ""), MAX_FIELD),
                placeholder=hint,
                maxlength=MAX_FIELD,
            ),
        )
        for name, label, hint in (
            ("requested_by", "Your name", "recorded with each decision"),
            ("reason", "Why", "others will ask"),
        )
    ]
    return tag("form", *fields, class_="sh-who")
