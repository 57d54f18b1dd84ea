"""The report as Markdown. Names come from alarms and people: none of them can end a line, a cell or a code span."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from selfheal.changes import REPAIRS
from selfheal.control_room.durations import length
from selfheal.incident import Incident, Status
from selfheal.plain import one_line
from selfheal.report.facts import Decision, Facts
from selfheal.words import Direction

LONGEST = 500
_PLAIN = str.maketrans({"<": "&lt;", ">": "&gt;", "|": "\\|", "`": "'", "[": "\\[", "]": "\\]", "*": "\\*", "_": "\\_"})


def write(facts: Facts) -> str:
    """The whole report."""
    parts = (_head, _times, _decisions, _changes, _commands, _timeline, _evidence, _post_mortem, _changelog)
    return "\n".join(line for part in parts for line in part(facts)) + "\n"


def _head(facts: Facts) -> Iterator[str]:
    incident = facts.incident
    yield f"# {_text(incident.system)}: {_text(incident.response)}"
    yield ""
    what = f"**{incident.severity}**, {verdict(incident)}. Incident `{_code(incident.id)}`."
    yield what + (f" Rollout by {_text(incident.requested_by)}." if incident.rollout else "")
    yield ""
    for alarm in incident.alarms.values():
        link = facts.console.alarm(alarm.name) if facts.console else ""
        name = f"[{_text(alarm.name)}]({link})" if link else f"`{_code(alarm.name)}`"
        yield f"* {name} is {alarm.state}: {_text(alarm.reason) or 'no reason given'}"
    for why in incident.escalations:
        yield f"* Needed a person: {_text(why)}"
    yield ""


def _times(facts: Facts) -> Iterator[str]:
    times = facts.times
    yield "| red | contained | green | escalated | closed |"
    yield "|---|---|---|---|---|"
    cells = [utc(facts.incident.red_at_ms / 1000)]
    cells += [after(one) for one in (times.contained_s, times.green_s, times.escalated_s, times.closed_s)]
    yield f"| {' | '.join(cells)} |"
    yield ""


def _decisions(facts: Facts) -> Iterator[str]:
    yield "## Decisions"
    yield ""
    yield "| stage | step | became | why | took |"
    yield "|---|---|---|---|--:|"
    for one in facts.in_order:
        stage = "probe" if one.step.number < 0 else one.step.stage.value
        status = one.step.status.value.replace("_", " ")
        took = "-" if one.took_s is None else length(one.took_s)
        yield f"| {stage} | `{_code(one.step.label.strip())}` | {status} | {_text(one.why)} | {took} |"
    yield ""


def _changes(facts: Facts) -> Iterator[str]:
    changed = [(one, difference) for one in facts.decisions if (difference := one.difference())]
    if not changed:
        return
    yield "## What was changed"
    yield ""
    yield "| step | field | before | after | undo |"
    yield "|---|---|---|---|---|"
    for one, difference in changed:
        for name, before, then in difference:
            cells = (f"`{_code(value(before))}`", f"`{_code(value(then))}`", _undo(one))
            yield f"| `{_code(one.step.label.strip())}` | {_text(name)} | {' | '.join(cells)} |"
    yield ""
    if facts.still_changed:
        yield f"**Still in force**: {', '.join(_text(str(one['summary'])) for one in facts.still_changed)}."
        yield ""


def _undo(one: Decision) -> str:
    if one.undone_by:
        return f"undone by `{_code(one.undone_by)}`"
    return f"`{_code(one.action_id)}`" if one.result and one.result.undo else "not possible"


def _commands(facts: Facts) -> Iterator[str]:
    """In blocks of one line each, where no name has a meaning."""
    if not facts.commands:
        return
    yield "## To decide, to undo"
    yield ""
    for what, line in facts.commands:
        yield f"{_text(what)}:"
        yield ""
        yield "```sh"
        yield line
        yield "```"
        yield ""


def _timeline(facts: Facts) -> Iterator[str]:
    yield "## Timeline"
    yield ""
    yield "| UTC | after | what | |"
    yield "|---|--:|---|---|"
    for one in facts.moments:
        since = one.at - facts.incident.red_at_ms / 1000
        yield f"| {utc(one.at)[11:]} | {after(max(0.0, since))} | {_text(one.title)} | {_text(one.detail)} |"
    yield ""


def _evidence(facts: Facts) -> Iterator[str]:
    if not facts.evidence:
        return
    yield "## Evidence"
    yield ""
    for where in facts.evidence:
        link = facts.console.stored(where) if facts.console else ""
        yield f"* [{_text(where)}]({link})" if link else f"* `{_code(where)}`"
    yield ""


def _post_mortem(facts: Facts) -> Iterator[str]:
    """What is left to people after a rollback: tell, find the cause, open a ticket, write it down."""
    yield "## Post-mortem"
    yield ""
    yield f"**Summary.** {_text(summary(facts))}"
    yield ""
    for title, hint in TO_FIND_OUT:
        yield f"**{title}** _{hint}_"
        yield ""
    yield "To do:"
    yield ""
    for done, text in to_do(facts):
        yield f"- [{'x' if done else ' '}] {_text(text)}"
    yield ""


TO_FIND_OUT = (
    ("Impact.", "Orders, customers, money: what was wrong, for whom, from when to when?"),
    ("Root cause.", "What was it, and why did it get as far as this?"),
    ("What helped, what did not.", "Which step helped? Which came too late, or was not needed?"),
    ("What changes.", "In the code, the tests, the alarms, the runbook; who does it, by when?"),
)


def to_do(facts: Facts) -> Iterator[tuple[bool, str]]:
    """Whether it is done, and what."""
    yield True, "Tell the team (selfheal has, when it was opened and when it was closed)"
    yield False, "Find the root cause: the evidence above, and the logs from the time of red"
    yield False, "Open a ticket for the fix, and assign it"
    for one in facts.still_changed:
        if one.get("action") not in REPAIRS:
            yield False, f"Undo, once the fix is live: {one['summary']}"
    for decision in facts.decisions:
        if decision.step.status is Status.NEEDS_PERSON:
            yield False, f"Decide on {decision.step.label.strip()}"
    if any(one.step.action == "roll_back_alias" and one.difference() for one in facts.decisions):
        yield False, "Revert or redeploy: CloudFormation still believes that the newer version is live"
    yield False, "Add the line below to the changelog of the next release"


def _changelog(facts: Facts) -> Iterator[str]:
    yield "For the changelog of the next release:"
    yield ""
    yield "```markdown"
    yield changelog_line(facts)
    yield "```"


def changelog_line(facts: Facts) -> str:
    """One line: when, what was done, after which alarm; the cause is for a person to fill in."""
    done = [one.why for one in facts.decisions if one.step.status is Status.DONE and one.difference()]
    alarms = ", ".join(alarm.name for alarm in facts.incident.alarms.values()) or facts.incident.rollout
    told = "; ".join(done) or "nothing was changed"
    day = utc(facts.incident.red_at_ms / 1000)[:10]
    return one_line(f"- {day} {alarms}: {told} ({facts.incident.id}). Root cause: TODO".replace("```", "'''"), LONGEST)


def summary(facts: Facts) -> str:
    """What went red, what was changed, how it ended."""
    incident, times = facts.incident, facts.times
    names = ", ".join(alarm.name for alarm in incident.alarms.values()) or incident.rollout
    began = "was begun" if incident.rollout else "went red"
    done = [one.step.detail or one.step.label.strip() for one in facts.decisions if _changed(one)]
    ended = [
        f"{word} after {length(after_s)}"
        for word, after_s in (("contained", times.contained_s), ("green", times.green_s), ("closed", times.closed_s))
        if after_s is not None
    ]
    waits = sum(step.status is Status.NEEDS_PERSON for step in incident.steps)
    parts = (
        f"{names} {began} at {utc(incident.red_at_ms / 1000)}.",
        f"Done: {'; '.join(done) or 'nothing'}.",
        f"It was {', '.join(ended)}." if ended else "",
        f"{waits} {'step waits' if waits == 1 else 'steps wait'} for a person." if waits else "",
    )
    return " ".join(filter(None, parts))


def _changed(one: Decision) -> bool:
    """Done, and more than a look."""
    return one.step.status is Status.DONE and (one.result is None or one.result.direction is not Direction.READ)


def verdict(incident: Incident) -> str:
    """How it stands, in words."""
    return f"closed as {incident.verdict}" if incident.closed_at else f"open ({incident.phase.value})"


def utc(at: float) -> str:
    """`2026-11-21 14:05:09 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def after(seconds: float | None) -> str:
    """`+12 s`; a dash for what did not happen."""
    return "-" if seconds is None else f"+{length(seconds)}"


def value(field: Any) -> str:
    """A field of an image as text."""
    return field if isinstance(field, str) else json.dumps(field, sort_keys=True, default=str)


def _text(text: str) -> str:
    return one_line(text, LONGEST).translate(_PLAIN)


def _code(text: str) -> str:
    """In a code span: nothing but a backtick and a bar has a meaning there."""
    return one_line(text, LONGEST).replace("`", "'").replace("|", "\\|")
