"""The timeline without a stack: which line a change becomes, and how a line is shown."""

from __future__ import annotations

import io
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import invoke, sam, stack, system
from local.emulator.control import Emulator
from local.screenshots.terminal import Recorded
from local.stack import PortTaken, Stack
from local.system import State
from local.timeline import Line, Screen
from local.watch import View, changes, waiting_for

CALM = View(
    at=100.0,
    state=State("true", "ENABLED", "5", 0, dict.fromkeys(system.ALARMS, "OK"), 2),
)


def step(number: int, **given: Any) -> dict[str, Any]:
    return {
        "number": number,
        "stage": "contain",
        "action": "halt_trading",
        "target_name": "trading",
        "status": "waiting",
        "tries": 1,
        "asked_at": None,
        "done_at": None,
        "retry_at": None,
        "reason": "",
        "detail": "",
        **given,
    }


def incident(*steps: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {
        "id": "i",
        "severity": "P0",
        "response": "failing",
        "opened_at": 101.0,
        "green_at": None,
        "closed_at": None,
        "escalated_at": None,
        "verdict": "",
        "escalations": [],
        "probes": [],
        "steps": list(steps),
        "alarms": {"a": {"name": "errors", "state": "ALARM"}},
        **given,
    }


def texts(old: View, new: View) -> list[str]:
    return [f"{line.kind}: {line.text}" for line in changes(old, new)]


def test_nothing_new_is_no_line() -> None:
    assert changes(CALM, replace(CALM, at=200.0)) == []


def test_resources_tell_what_they_are_and_were() -> None:
    alarms = {**CALM.state.alarms, system.ALARMS[0]: "ALARM"}
    seen = texts(CALM, replace(CALM, state=replace(CALM.state, flag="false", version="3", alarms=alarms)))

    assert seen == [
        "resource: live points to version 3 (was 5)",
        "resource: trading_enabled is false (was true)",
        "alarm: the-alchemiser-v2-dev-errors is ALARM (was OK)",
    ]


@pytest.mark.parametrize("status", ["refused", "held", "failed", "inconclusive"])
def test_a_step_that_did_not_act_is_told_with_its_reason(status: str) -> None:
    asked = replace(CALM, incident=incident(step(0, status="asked", asked_at=102.0)))
    ended = replace(CALM, incident=incident(step(0, status=status, asked_at=102.0, reason="paused", retry_at=103.0)))

    assert texts(asked, ended) == [f"refused: halt_trading trading: {status}: paused"]


def test_an_incident_is_told_from_its_opening_to_its_end() -> None:
    asked = replace(CALM, incident=incident(step(0, status="asked", asked_at=102.0)))
    done = step(0, status="done", asked_at=102.0, done_at=102.5, detail="set to false")
    closed = incident(done, green_at=110.0, closed_at=111.0, verdict="healed", escalations=["late"], escalated_at=109.0)

    assert texts(CALM, asked) == [
        "incident: P0 opened: failing (errors); i",
        "contain: halt_trading trading: decided (at once: the alarm is red)",
    ]
    assert texts(asked, replace(CALM, incident=closed)) == [
        "contain: halt_trading trading: done (0.5 s): set to false",
        "escalated: late",
        "green: errors is ALARM",
        "closed: incident closed: healed",
    ]


def test_refusals_and_messages_are_told_once() -> None:
    record = {"r": {"at": 105.0, "reason": "no_runbook", "detail": "no response fits"}}
    new = replace(CALM, records=record, told=("[P0] opened",))

    assert texts(CALM, new) == ["told: people: [P0] opened", "refused: no_runbook: no response fits"]
    assert texts(new, new) == []


def test_what_is_waited_for_is_said_in_words() -> None:
    canary = step(4, action="replay_dlq", target_name="dlq", status="asked", asked_at=1.0)
    probe = step(-1, action="smoke_test", status="done", asked_at=1.0, done_at=2.0)

    assert waiting_for(None) == ""
    assert waiting_for(incident(phase="closed")) == ""
    assert waiting_for(incident(step(0, status="asked"), phase="contain")) == "for halt_trading trading"
    assert "canary" in waiting_for(incident(canary, phase="recover"))
    assert waiting_for(incident(phase="settle")) == "for the alarm's period to end"
    assert waiting_for(incident(phase="settle", probes=[probe])).endswith("the probe has passed")


def test_a_wait_is_a_line_once_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.timeline.WAIT_IS_LONG_S", 0.0)
    out = io.StringIO()
    screen = Screen(out)
    for what in ("for a", "for a", "for a", "", "for b", "for b"):
        screen.waiting(what)

    assert out.getvalue().split() == ["waiting", "for", "a", "waiting", "for", "b"]


def test_plain_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.red_at = 100.0
    screen.line(Line(101.25, "alarm", "red [not markup]" + "x" * 200))

    assert out.getvalue() == f"    +1.2 s  alarm      red [not markup]{'x' * 200}\n"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_no_color(monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    Screen(out).check(good=False, what="x")

    assert ("\x1b[1;31m" in out.getvalue()) is coloured


def _terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> io.StringIO:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", columns)
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    return out


def _everything(screen: Screen) -> None:
    screen.red_at = 100.0
    screen.heading("a heading")
    screen.say("bold", "bold red")
    screen.sentence("a sentence that goes on and on, and then some more of it, and more", "green", first="! ", indent=2)
    screen.line(
        Line(101.25, "alarm", "threshold crossed: three of the last three were over it; a-name-that-stays-whole")
    )
    screen.check(good=True, what="done")
    with screen.step("built"):
        pass


@pytest.mark.parametrize("columns", ["60", "200"])
def test_a_pipe_and_no_color_get_no_escape_codes(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, piped = _terminal(monkeypatch, columns), io.StringIO()
    _everything(Screen(coloured))
    _everything(Screen(piped))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = _terminal(monkeypatch, columns)
    _everything(Screen(plain))

    assert "\x1b" in coloured.getvalue()
    assert "\x1b" not in piped.getvalue()
    assert "\x1b" not in plain.getvalue()


def test_a_narrow_terminal_gets_its_lines_wrapped_below_where_they_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out, piped = _terminal(monkeypatch, "60"), io.StringIO()
    _everything(Screen(out))
    _everything(Screen(piped))
    lines = out.getvalue().splitlines()

    assert max(map(len, lines)) <= 60
    assert "    +1.2 s  alarm      threshold crossed: three of the last" in lines
    assert " " * 23 + "a-name-that-stays-whole" in lines
    assert "  and more" in lines
    assert len(piped.getvalue().splitlines()) == len(lines) - 3, "a pipe gets each line whole"


def test_a_terminal_with_hardly_room_wraps_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = _terminal(monkeypatch, "30")
    Screen(out).line(Line(0.0, "alarm", "a text that is longer than that"))

    assert out.getvalue().endswith("alarm      a text that is longer than that\n")


def test_the_picture_of_the_terminal_fetches_nothing_and_ends_before_the_checks() -> None:
    screen = Recorded()
    screen.heading("Timeline")
    screen.line(Line(0.0, "alarm", "red <b>"))
    screen.heading("End state, read from the resources")
    screen.check(good=True, what="not shown")
    drawn = screen.svg("make demo")

    assert "red&#160;&lt;b&gt;" in drawn
    assert "shown" not in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "٣"])
def test_what_is_no_port_is_said_so(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SystemExit, match="a number from 1 to 65535 is right"):
        stack.chosen_port()


def test_a_port_that_is_taken_is_refused_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"make down PORT={port}"):
            stack.refuse_taken(port)
    stack.refuse_taken(port)


def test_env_file_of_the_stack_that_ends_is_removed_and_another_one_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack, "LOCAL", tmp_path)
    monkeypatch.setattr(Emulator, "stop", lambda _: None)
    for port in (1, 2):
        (tmp_path / str(port)).mkdir()
    first, second = (Stack(tmp_path / str(port), Emulator(tmp_path / str(port), 0, port)) for port in (1, 2))
    first.write_env()
    second.write_env()

    first.stop()
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:2\n" in (tmp_path / "env").read_text()
    second.stop()
    assert not (tmp_path / "env").exists()


def test_sam_gets_no_way_to_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")

    environment = sam.clean_environment()

    assert "mine" not in environment.values()
    assert environment["AWS_CONFIG_FILE"] == "/dev/null"


def test_each_function_has_the_event_that_invoke_takes_by_default() -> None:
    assert invoke.folder_of("RollBackAlias") == "roll_back_alias"
    assert invoke.folder_of("Undo") == "undo"
