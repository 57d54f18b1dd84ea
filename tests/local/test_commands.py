"""The commands of docs/commands.md that look at a local stack, typed as a person types them, at the healed one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selfheal_build.runbooks import compiler

from local import stack
from local.emulator.environments import REPOSITORY
from tests.local.conftest import Healed

pytestmark = [pytest.mark.local, pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")]


@pytest.fixture(scope="module")
def port(healed: Healed) -> Iterator[str]:
    """Under which the commands find the stack that pytest has made."""
    number = healed.stack.emulator.port
    place = stack.home_of(number)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(healed.stack.home)
    try:
        yield str(number)
    finally:
        place.unlink()


def make(port: str, *words: str) -> tuple[int, str, str]:
    """Exit code of `make`, what it said, and what it said of errors."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
    done = subprocess.run(
        ["make", "--no-print-directory", *words, f"PORT={port}"],
        cwd=REPOSITORY, env={**ours, "COLUMNS": "60"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr, "no colour when piped"
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_incident_that_was_closed_is_listed_and_shown_and_reported(healed: Healed, port: str) -> None:
    name = str(healed.incident["id"])
    code, listed, _ = make(port, "incidents")
    assert code == 0
    assert f"make incident PORT={port} ID={name}" in listed
    assert "healed, a step waits for a person" in listed

    code, written, _ = make(port, "report", f"INCIDENT={name}")
    assert code == 0
    assert "roll_back_alias live: done" in written
    assert "sam remote invoke Approve --stack-name selfheal --event '" in written
    files = [REPOSITORY / line.removeprefix("written: ") for line in written.splitlines() if line.startswith("written")]
    try:
        assert {path.suffix for path in files} == {".md", ".html"}
        assert all(name in path.read_text() for path in files)
    finally:
        for path in files:
            path.unlink()


def test_what_is_not_there_is_said_with_what_to_type(healed: Healed, port: str) -> None:
    assert make(port, "incident")[2].startswith("error: which one? make incident ID=…")
    assert f"make incidents PORT={port} lists them" in make(port, "incident", "ID=nope")[2]
    assert "no local stack runs on port 9: make up PORT=9" in make("9", "doctor", "ON=local")[2]
    assert "a number from 1 to 65535 is right" in make("x", "uninstall", "ON=local")[2]


def test_doctor_looks_at_the_local_stack(healed: Healed, port: str) -> None:
    """Its exit code is left out: a machine that is busy misses ticks, and then an alarm of selfheal's own is red."""
    _, told, _ = make(port, "doctor", "ON=local")

    assert "✓ stack selfheal is deployed" in told
    assert "! nobody is told: the local stack sends no mail" in told
    assert "✓ 3 of 3 alarms have a response" in told
    assert "to mend before selfheal can heal (✗)" in told.splitlines()[-1]


def test_uninstall_refuses_while_trading_is_halted_and_asks_nobody_to_break_the_alias(
    healed: Healed, port: str
) -> None:
    code, _, told = make(port, "uninstall", "ON=local")

    assert code != 0
    assert "still in force: set /the-alchemiser/dev/trading_enabled from true to false" in told
    assert "put it back: sam remote invoke Undo --stack-name selfheal" in told
    assert "move live" not in told
    assert healed.stack.account.outputs(stack.NAME), "it is still there"


def test_a_draft_is_written_of_what_is_found(port: str, tmp_path: Path) -> None:
    out = tmp_path / "draft.yaml"
    code, told, _ = make(port, "new-runbook", "SYSTEM=the-alchemiser-v2-dev", "ON=local", f"ARGS=--out {out}")

    assert code == 0
    assert "found with the prefix the-alchemiser-v2-dev: 3 alarms" in told
    assert "called otherwise? PREFIX=…" in told
    assert compiler.compile_files([(out, out.name)])
