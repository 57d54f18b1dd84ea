"""The report of an incident: what it tells, that nothing in it can be more than a text, and when it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from selfheal import closed as closed_ones
from selfheal import incident_store, record
from selfheal import ledger as table
from selfheal.arns import Home
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Ledger
from selfheal.links import Console
from selfheal.report import facts, markdown, page
from selfheal.request import Result
from selfheal.words import Direction, Outcome, Stage

from functions.report import app
from tests.unit.aws import event
from tests.unit.incidents import START, alarm, incident

BUCKET = "archive"
CONSOLE = Console(Home("aws", "eu-central-1", "123456789012"))
HOSTILE = "</td><script>alert('x')</script>|`a`\n# b\x00 [c](javascript:d) <img src=x onerror=e> \u202e"


def healed(**more: Any) -> Incident:
    """Halted and rolled back within seconds, green after two minutes; resuming waits for a person."""
    opened = incident(recover="resume_trading!", **more)
    halt, roll_back, resume = opened.steps
    done: dict[str, Any] = {"status": Status.DONE, "outcome": "acted"}
    return replace(
        opened,
        steps=(
            replace(halt, asked_at=START + 0.4, done_at=START + 0.9, detail="set flag from true to false", **done),
            replace(
                roll_back,
                asked_at=START + 1,
                done_at=START + 2,
                detail="move live from 5 to 3",
                captured="s3://a/b",
                **done,
            ),
            replace(resume, status=Status.NEEDS_PERSON, asked_at=START + 130),
        ),
        contained_at=START + 0.9,
        remediated_at=START + 2,
        green_at=START + 120,
        closed_at=START + 130,
        phase=Phase.CLOSED,
        verdict="healed",
        version=1,
    )


def result_of(closed: Incident, number: int, **more: Any) -> Result:
    step = closed.steps[number]
    undo = {"action": "undo", "target": {"incident": closed.id, "action_id": closed.action_id(step)}}
    return Result(step.action, closed.action_id(step), Outcome.ACTED, **{"undo": undo, "took_ms": 480, **more})


@pytest.fixture
def closed(ledger: Ledger) -> Incident:
    """In the ledger with the records of two of its steps; the halt is in force still."""
    told = healed()
    versions = {"before": {"version": "5", "weights": {}}, "after": {"version": "3", "weights": {}}}
    for number, images in ((0, {"before": {"value": "true"}, "after": {"value": "false"}}), (1, versions)):
        result = result_of(told, number, **images)
        ledger.write(table.put(*record.key(result.action_id), {"result": result.as_event()}, run="done"))
    halt = {"incident": told.id, "summary": "set flag from true to false", "action": "halt_trading"}
    ledger.write(table.put("CHANGE", "key:halt_trading#1", halt))
    ledger.write(table.put(f"INCIDENT#{told.id}", "INCIDENT", told.as_doc()))
    return told


@pytest.fixture
def told(ledger: Ledger, closed: Incident) -> facts.Facts:
    return facts.gather(ledger, closed, START + 200, CONSOLE, "selfheal")


@pytest.fixture
def bucket(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_BUCKET", BUCKET)
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


def stored(suffix: str, name: str) -> str:
    body: bytes = client("s3").get_object(Bucket=BUCKET, Key=f"reports/demo/{name}.{suffix}")["Body"].read()
    return body.decode()


# -- what it tells ------------------------------------------------------------------------------------------------


def test_the_markdown_tells_times_decisions_differences_and_what_is_left_to_do(told: facts.Facts) -> None:
    text = markdown.write(told)

    assert text.startswith("# demo: function failing\n\n**P1**, closed as healed.")
    assert "| 2027-01-15 08:00:00 UTC | +0.9 s | +2 min | - | +2 min 10 s |" in text
    assert "| remediate | `roll_back_alias roll_back_alias` | done | move live from 5 to 3 | 1 s |" in text
    assert "| `roll_back_alias roll_back_alias` | version | `5` | `3` | `demo-12345678-1a.1.1` |" in text
    assert "weights" not in text, "only what was changed"
    assert "**Still in force**: set flag from true to false." in text
    assert "- [ ] Undo, once the fix is live: set flag from true to false" in text
    assert (
        "**Summary.** errors went red at 2027-01-15 08:00:00 UTC. Done: set flag from true to false; move live" in text
    )
    assert (
        "It was contained after 0.9 s, green after 2 min, closed after 2 min 10 s. 1 step waits for a person." in text
    )
    assert "- [ ] Decide on resume\\_trading" in text
    assert "- [ ] Revert or redeploy" in text
    assert "[s3://a/b](https://" in text
    assert "- 2027-01-15 errors: set flag from true to false; move live from 5 to 3 (demo-12345678-1a). Root" in text


def test_the_page_has_the_same_and_the_drawing(told: facts.Facts) -> None:
    text = page.write(told)

    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 1
    for what in ("move live from 5 to 3", "demo-12345678-1a.1.1", "Still in force", "set flag from true to false"):
        assert what in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_commands_to_decide_and_to_undo_are_there_to_copy(told: facts.Facts) -> None:
    text, shown = markdown.write(told), page.write(told)

    for one in ("Approve", "Undo"):
        assert f"```sh\nsam remote invoke {one} --stack-name selfheal --event '" in text
        assert f"<pre>sam remote invoke {one} --stack-name selfheal --event " in shown


def test_a_repair_is_not_to_be_undone(told: facts.Facts) -> None:
    changed = {"action": "roll_back_alias", "summary": "move live from 5 to 3", "incident": told.incident.id}
    text = markdown.write(replace(told, still_changed=(changed,)))

    assert "**Still in force**: move live from 5 to 3." in text
    assert "Undo, once the fix is live" not in text


def test_what_happened_first_stands_first_and_only_looks_are_no_deeds(told: facts.Facts) -> None:
    look = replace(told.decisions[0].step, number=-1, asked_at=START + 3, done_at=START + 4, detail="answered")
    probed = facts.Decision(look, "p", None)
    read = replace(result_of(told.incident, 0), direction=Direction.READ)
    looked = replace(told.decisions[0], result=read, step=replace(told.decisions[0].step, detail="looked at it"))

    assert [one.step.number for one in replace(told, probes=(probed,)).in_order] == [0, 1, -1, 2]
    assert "looked at it" not in markdown.summary(replace(told, decisions=(looked, *told.decisions[1:])))


def test_nothing_is_made_up_where_nothing_happened() -> None:
    opened = incident()
    text = markdown.write(facts.Facts(opened, START, "selfheal", None))

    assert "open (contain)" in text
    assert "| 2027-01-15 08:00:00 UTC | - | - | - | - |" in text
    assert "What was changed" not in text
    assert "Still in force" not in text
    assert "Revert or redeploy" not in text
    assert "nothing was changed" in text


def test_an_undone_step_says_by_what(told: facts.Facts) -> None:
    halt = replace(told.decisions[0], undone_by="undo-1")

    assert "undone by `undo-1`" in markdown.write(replace(told, decisions=(halt,)))


# -- nothing in it is more than a text ----------------------------------------------------------------------------


class Seen(HTMLParser):
    """Every element and attribute of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)


def with_names(name: str, stack: str | None = None) -> facts.Facts:
    base = healed()
    steps = tuple(replace(step, detail=name, target_name=name, captured=name) for step in base.steps)
    named = replace(base, system=name, response=name, steps=steps, escalations=(name,), alarms={})
    named = named.with_alarm(replace(alarm(name=name), reason=name))
    result = result_of(named, 0, before={name: name}, after={name: ""}, detail=name)
    decisions = tuple(facts.Decision(step, named.action_id(step), result, name) for step in named.steps)
    return facts.Facts(named, START, name if stack is None else stack, CONSOLE, decisions, (), ({"summary": name},))


def check_page(name: str) -> None:
    """However things are called, the page has the elements and attributes of one where they are called `x`."""
    plain, seen = Seen(), Seen()
    plain.feed(page.write(with_names("x")))
    seen.feed(page.write(with_names(name)))

    assert seen.tags <= plain.tags | {"a", "code"}
    assert {key for key, _ in seen.attributes} <= {key for key, _ in plain.attributes} | {"href"}
    for key, value in seen.attributes:
        assert key != "href" or (value or "").startswith("https://eu-central-1.console.aws.amazon.com/"), value


def test_a_hostile_name_is_only_a_text() -> None:
    check_page(HOSTILE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.text(some.characters(codec=None), max_size=60))
def test_any_name_is_only_a_text(name: str) -> None:
    check_page(name)


def test_a_hostile_name_ends_no_line_cell_or_code_in_the_markdown() -> None:
    plain, text = (markdown.write(with_names(name, "selfheal")) for name in ("x", HOSTILE))

    assert len(text.splitlines()) == len(plain.splitlines())
    for one, other in zip(_outside_blocks(text), _outside_blocks(plain), strict=True):
        bars, theirs = (line.replace("\\|", "").count("|") for line in (one, other))
        assert bars == theirs, one
        assert "<script" not in "".join(one.split("`")[::2]), "a code span shows tags as they are"


def _outside_blocks(text: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines():
        inside ^= line.startswith("```")
        if not inside:
            yield line


# -- the function -------------------------------------------------------------------------------------------------


def test_by_hand_it_answers_and_keeps_the_report(bucket: None, closed: Incident, lambda_context: Any) -> None:
    answer = app.lambda_handler({"incident": closed.id}, lambda_context)

    assert answer["markdown"] == stored("md", closed.id)
    assert stored("html", closed.id).startswith("<!doctype html>")
    assert answer["kept"]["html"] == f"s3://{BUCKET}/reports/demo/{closed.id}.html"
    assert json.loads(json.dumps(answer)) == answer
    assert app.lambda_handler({"incident": closed.id}, lambda_context)["kept"] == answer["kept"], "again is no harm"


def test_without_an_archive_it_still_answers(ledger: Ledger, closed: Incident, lambda_context: Any,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("ARCHIVE_BUCKET", "gone")
    answer = app.lambda_handler({"incident": closed.id}, lambda_context)

    assert "closed as healed" in answer["markdown"]
    assert closed.id in answer["not_kept"]


def test_without_an_incident_it_lists_the_open_ones(ledger: Ledger, lambda_context: Any) -> None:
    incident_store.commit(ledger, incident(), START)

    (one,) = app.lambda_handler({}, lambda_context)["open"]

    assert (one["incident"], one["phase"], one["red_at"]) == (incident().id, "contain", "2027-01-15 08:00:00 UTC")


def test_what_was_closed_lately_is_listed_with_whether_a_step_waits(
    ledger: Ledger, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.report.app.time.time", lambda: START + 200)
    ledger.write(closed_ones.listed(healed(), START + 130))
    ledger.write(closed_ones.listed(replace(healed(), id="older"), START - 3 * table.DAY_S))

    (one,) = app.lambda_handler({}, lambda_context)["closed"]

    assert (one["incident"], one["verdict"], one["waits"]) == ("demo-12345678-1a", "healed", True)
    assert one["red_at"] == "2027-01-15 08:00:00 UTC"


def test_the_event_file_names_an_incident_that_is_not_there(ledger: Ledger, lambda_context: Any) -> None:
    assert "there is no incident" in app.lambda_handler(event("report"), lambda_context)["error"]


@pytest.mark.parametrize("asked", [None, [], "x", 3, {"incidents": "x"}, {"incident": ["x"]}, {"incident": "\u00e4-1"}])
def test_anything_else_is_answered_with_what_would_be_right(asked: Any, ledger: Ledger, lambda_context: Any) -> None:
    assert set(app.lambda_handler(asked, lambda_context)) == {"error"}


def test_a_closed_incident_is_reported_and_measured(
    bucket: None, closed: Incident, lambda_context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    update = {
        "source": "selfheal",
        "detail-type": "Incident Update",
        "detail": {"what": "closed", "incident": closed.id},
    }
    answer = app.lambda_handler(update, lambda_context)

    assert stored("md", closed.id).startswith("# demo")
    assert set(answer) == {"incident", "kept"}
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "TimeToGreen" in line]
    assert (line["System"], line["TimeToContained"], line["TimeToGreen"]) == ("demo", [0.9], [120.0])
    assert "TimeToClosed" in line


def test_one_that_is_not_in_the_ledger_is_tried_again(ledger: Ledger, lambda_context: Any) -> None:
    update = {"source": "selfheal", "detail-type": "Incident Update", "detail": {"what": "closed", "incident": "a-1"}}
    with pytest.raises(LedgerUnavailable):
        app.lambda_handler(update, lambda_context)


def test_the_stage_of_a_probe_is_told(ledger: Ledger) -> None:
    probed = replace(healed(), probes=(replace(healed().steps[0], number=-1, stage=Stage.REMEDIATE),))

    assert "| probe | `halt_trading" in markdown.write(facts.gather(ledger, probed, START, None, "selfheal"))
