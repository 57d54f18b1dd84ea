"""The report as one page of HTML that needs nothing else: no script, no image, no font from anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.control_room import timeline_svg
from selfheal.control_room.durations import length
from selfheal.control_room.markup import Child, Markup, escaped, join, stylesheet, tag
from selfheal.incident import GOOD_STATUSES, Status
from selfheal.report import markdown
from selfheal.report.facts import Decision, Facts

WIDTH = 920
_STYLE = """
:root{--ink:#16191f;--soft:#5f6b7a;--line:#d9dee4;--back:#fff;--card:#f6f8fa;--good:#1d7a2a;--bad:#c5281c;--warn:#8a5a00;
--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa5b1;--line:#30363d;--back:#0f1419;--card:#171d24;
--good:#4cc25f;--bad:#ff7466;--warn:#e0a63a;--link:#6cb2ff}}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif}
main{max-width:960px;margin:0 auto;padding:32px 20px 64px}
a{color:var(--link);overflow-wrap:anywhere}
h1{font-size:24px;line-height:1.25;margin:0 0 4px}h2{font-size:17px;margin:36px 0 10px}
p{margin:6px 0}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.times{display:flex;flex-wrap:wrap;gap:10px;margin:20px 0}
.times div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 14px;min-width:104px}
.times b{display:block;font-size:19px}.wide{overflow-x:auto}
svg{display:block;min-width:640px;max-width:100%;height:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:break-word}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 14px;white-space:pre-wrap;
overflow-wrap:anywhere}td:first-child,td .good,td .bad,td .warn{white-space:nowrap}
ul{padding-left:20px;margin:6px 0}.todo{list-style:none;padding-left:0}.todo li::before{content:"☐ ";color:var(--soft)}
.todo li.done::before{content:"☑ ";color:var(--good)}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}tr{break-inside:avoid}}
"""
_TONES = {**dict.fromkeys(GOOD_STATUSES, "good"), Status.FAILED: "bad", Status.INCONCLUSIVE: "bad",
          Status.REFUSED: "warn", Status.NEEDS_PERSON: "warn"}  # fmt: skip


def write(facts: Facts) -> str:
    """The whole document."""
    title = escaped(f"{facts.incident.system}: {facts.incident.response}")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = tag("main", *_body(facts))
    return f'<!doctype html>\n<html lang="en"><head>{head}{stylesheet(_STYLE)}</head><body>{body}</body></html>\n'


def _body(facts: Facts) -> Iterator[Markup]:
    incident = facts.incident
    yield tag("h1", f"{incident.system}: {incident.response}")
    yield tag("p", f"{incident.severity}, {markdown.verdict(incident)}. ", tag("code", incident.id), class_="soft")
    yield tag("p", markdown.summary(facts))
    yield tag("div", *_times(facts), class_="times")
    drawn = timeline_svg.svg(facts.moments, incident.red_at_ms / 1000, WIDTH, now=facts.written_at)
    yield tag("div", Markup(drawn), class_="wide")
    yield from _alarms(facts)
    yield from _section("Decisions", _table(("stage", "step", "became", "why", "took"), _decisions(facts)))
    yield from _section("What was changed", _table(("step", "field", "before", "after", "undo"), _changes(facts)))
    yield from _section("Still in force", _list(str(one["summary"]) for one in facts.still_changed))
    yield from _section("To decide, to undo", _commands(facts))
    yield from _section("Evidence", _list(_linked(facts, where) for where in facts.evidence))
    yield from _post_mortem(facts)


def _times(facts: Facts) -> Iterator[Markup]:
    times = facts.times
    yield tag("div", "red at", tag("b", markdown.utc(facts.incident.red_at_ms / 1000)[11:-4]))
    for name, value, tone in (
        ("contained", times.contained_s, ""),
        ("green", times.green_s, "good"),
        ("escalated", times.escalated_s, "bad"),
        ("closed", times.closed_s, ""),
    ):
        if value is not None:
            yield tag("div", name, tag("b", f"+{length(value)}", class_=tone or None))


def _alarms(facts: Facts) -> Iterator[Markup]:
    rows: list[list[Child]] = []
    for alarm in facts.incident.alarms.values():
        link = facts.console.alarm(alarm.name) if facts.console else ""
        name = tag("a", alarm.name, href=link) if link else tag("code", alarm.name)
        rows.append([name, tag("span", alarm.state, class_="bad" if alarm.is_red else "good"), alarm.reason])
    yield from _section("Alarms", _table(("alarm", "state", "reason"), rows))
    yield from _section("Why a person was needed", _list(facts.incident.escalations))


def _decisions(facts: Facts) -> list[list[Child]]:
    return [
        [
            "probe" if one.step.number < 0 else one.step.stage.value,
            tag("code", one.step.label.strip()),
            tag("span", one.step.status.value.replace("_", " "), class_=_TONES.get(one.step.status)),
            one.why,
            "-" if one.took_s is None else length(one.took_s),
        ]
        for one in facts.in_order
    ]


def _changes(facts: Facts) -> list[list[Child]]:
    return [
        [
            tag("code", one.step.label.strip()),
            name,
            tag("code", markdown.value(before)),
            tag("code", markdown.value(then)),
            _undo(one),
        ]
        for one in facts.decisions
        for name, before, then in one.difference()
    ]


def _undo(one: Decision) -> Markup:
    if one.undone_by:
        return tag("span", "undone by ", tag("code", one.undone_by))
    return tag("code", one.action_id) if one.result and one.result.undo else tag("span", "not possible")


def _commands(facts: Facts) -> Markup | None:
    if not facts.commands:
        return None
    return join(*(join(tag("p", f"{what}:"), tag("pre", line)) for what, line in facts.commands))


def _linked(facts: Facts, where: str) -> Markup:
    link = facts.console.stored(where) if facts.console else ""
    return tag("a", where, href=link) if link else tag("code", where)


def _post_mortem(facts: Facts) -> Iterator[Markup]:
    yield tag("h2", "Post-mortem")
    for title, hint in markdown.TO_FIND_OUT:
        yield tag("p", tag("b", title), " ", tag("span", hint, class_="soft"))
    items = [tag("li", text, class_="done" if done else None) for done, text in markdown.to_do(facts)]
    yield tag("ul", *items, class_="todo")
    yield tag("p", "For the changelog of the next release:")
    yield tag("pre", markdown.changelog_line(facts))
    yield tag("p", f"Written by selfheal ({facts.stack}) at {markdown.utc(facts.written_at)}.", class_="soft")


def _section(title: str, content: Markup | None) -> Iterator[Markup]:
    if content is not None:
        yield join(tag("h2", title), content)


def _table(columns: tuple[str, ...], rows: list[list[Child]]) -> Markup | None:
    if not rows:
        return None
    head = tag("thead", tag("tr", *(tag("th", name) for name in columns)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), class_="wide")


def _list(items: Iterator[Child] | tuple[str, ...]) -> Markup | None:
    listed = [tag("li", item) for item in items]
    return tag("ul", *listed) if listed else None
