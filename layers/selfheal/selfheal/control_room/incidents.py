"""Open incidents, each with its timeline, its times, and what it waits for."""

from __future__ import annotations

from selfheal import story
from selfheal.control_room import durations, timeline_svg, waits
from selfheal.control_room.markup import Child, Markup, join, tag
from selfheal.control_room.parts import View, badge, button, buttons, card, name, note
from selfheal.control_room.room import Room
from selfheal.incident import Incident, Phase, Status

_KIND_OF_SEVERITY = {"P0": "bad", "P1": "bad", "P2": "warn"}
_MAX_ALARMS = 3


def section(room: Room, view: View) -> Markup:
    """A card for all of them; when there is none, what the last one was."""
    if not room.incidents:
        return card("Open incidents", _empty(room, view), count=0)
    more = note(f"and {room.more_incidents} more, which are less urgent") if room.more_incidents else None
    shown = [_one(incident, room, view) for incident in room.incidents]
    return card("Open incidents", *shown, more, count=len(room.incidents) + room.more_incidents)


def _empty(room: Room, view: View) -> Markup:
    calm = tag("p", "Nothing is open.", class_="sh-calm")
    if not room.closed:
        return join(calm, note("No incident was closed in the last three days."))
    last = room.closed[0]
    told = f"{last['system']}: {last['response']}, {last['verdict']} {view.ago(float(last['closed_at']))} ago"
    return join(calm, note("The last incident: ", name(told)))


def _one(incident: Incident, room: Room, view: View) -> Markup:
    drawing = timeline_svg.svg(
        story.of(incident), incident.red_at_ms / 1000, max(320, min(980, view.width - 70)), now=view.now
    )
    taken = room.pause_of(incident.id)
    has_it = note(f"{taken.who} has had it since {taken.since}.") if taken else None
    return tag("div", _head(incident, view), _alarms(incident), has_it, _waits(incident, view), drawing,
               _buttons(incident, taken is not None, view), class_="sh-incident")  # fmt: skip


def _head(incident: Incident, view: View) -> Markup:
    rollout = f"rollout {incident.rollout}" if incident.rollout else incident.response
    return tag(
        "div",
        badge(incident.severity, _KIND_OF_SEVERITY.get(incident.severity, "info")),
        tag("strong", name(incident.system), class_="sh-system"),
        name(rollout),
        _state(incident),
        tag("span", _times(incident, view), class_="sh-times"),
        class_="sh-head",
    )


def _state(incident: Incident) -> Markup:
    if incident.phase is Phase.WATCH:
        return badge("needs you", "bad")
    if any(step.status is Status.NEEDS_PERSON for step in incident.steps):
        return badge("waits for your decision", "warn")
    if incident.green_at is not None:
        return badge("green", "good")
    if incident.contained_at is not None:
        return badge("contained", "warn")
    return badge("held", "info") if incident.phase is Phase.HELD else badge("red", "bad")


def _times(incident: Incident, view: View) -> Markup:
    """Alarm, contained, green; a dash where it is not yet so."""
    times = story.times(incident)
    parts: list[Child] = [f"red {view.ago(incident.red_at_ms / 1000)} ago at {view.at(incident.red_at_ms / 1000)}"]
    for told, after in (("contained", times.contained_s), ("green", times.green_s)):
        parts += [" → ", f"{told} after {durations.length(after)}" if after is not None else f"not {told} yet"]
    return join(parts)


def _alarms(incident: Incident) -> Markup | None:
    if incident.rollout:
        return note(f"started by {incident.requested_by}")
    red_first = sorted(incident.alarms.values(), key=lambda alarm: not alarm.is_red)
    told: list[Child] = []
    for alarm in red_first[:_MAX_ALARMS]:
        told += [", " if told else "", name(alarm.name, 60), "" if alarm.is_red else f" ({alarm.state})"]
    left = len(red_first) - _MAX_ALARMS
    return note("Alarms: ", told, f" and {left} more" if left > 0 else None)


def _waits(incident: Incident, view: View) -> Markup:
    told = waits.of(incident, view)
    return tag("p", tag("b", "Waits for "), "; ".join(told), ".", class_="sh-waits")


def _buttons(incident: Incident, taken: bool, view: View) -> Markup:
    target = {"incident": incident.id}
    about = f"{incident.system}: {incident.response}"
    ask = {"action": "hand_back" if taken else "take_over", "target": target}
    taking = (
        button("Hand back", view.approve, ask, f"Hand back {about}? selfheal goes on where it stands.")
        if taken
        else button("I have it", view.approve, ask, f"Take over {about}? selfheal watches and does no more.")
    )
    undo = {"action": "undo", "target": target}
    return buttons(
        taking,
        button("Undo all of it", view.undo, undo, f"Put back what was changed for {about}?", "danger"),
        tag("code", incident.id),
    )
