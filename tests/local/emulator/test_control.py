"""The emulator starts, is found, and goes with everything that it started, however it goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from local.emulator.control import Emulator, EmulatorNotFound, EmulatorNotStarted
from local.emulator.environments import REPOSITORY
from tests.local.emulator.account import Account

pytestmark = pytest.mark.local

AS_MAKE = {**os.environ, "PYTHONPATH": str(REPOSITORY / "layers" / "build")}
"""The Makefile starts what is under `local` so: its environments are built by the package that builds .venv."""

SLEEPER = "import os, time\ndef handler(event, context):\n    time.sleep(event['seconds'])\n    return os.getpid()\n"


def worker(account: Account) -> int:
    """The process of a function that is busy for a minute from now on."""
    function, client = account.function(SLEEPER, Timeout=60), account.client("lambda")
    pid = int(client.invoke(FunctionName=function.name, Payload=b'{"seconds": 0}')["Payload"].read())
    client.invoke(FunctionName=function.name, Payload=b'{"seconds": 60}', InvocationType="Event")
    return pid


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_stop_is_quick_and_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    emulator = Emulator.start(port=None, home=tmp_path)
    busy = worker(Account(emulator, tmp_path))

    began = time.monotonic()
    emulator.stop()

    assert time.monotonic() - began < 3
    assert not emulator.is_alive()
    assert gone(busy)
    assert not (tmp_path / "emulator.json").exists()
    assert not (tmp_path / "tmp").exists()
    emulator.stop()  # once more does no harm


def test_killed_emulator_takes_its_functions_along(tmp_path: Path) -> None:
    with Emulator.start(port=None, home=tmp_path) as emulator:
        busy = worker(Account(emulator, tmp_path))

        os.kill(emulator.pid, signal.SIGKILL)

        assert gone(busy)


def test_emulator_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    start = (
        "import time; from pathlib import Path; from local.emulator.control import Emulator\n"
        f"print(Emulator.start(None, Path({str(tmp_path)!r})).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", start], cwd=REPOSITORY, env=AS_MAKE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        emulator = int(starter.stdout.readline())

        starter.kill()

    assert gone(emulator)


def test_detached_emulator_outlives_its_starter_and_is_stopped_by_another(tmp_path: Path) -> None:
    start = (
        "from pathlib import Path; from local.emulator.control import Emulator\n"
        f"print(Emulator.start(None, Path({str(tmp_path)!r}), detached=True).endpoint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=REPOSITORY, env=AS_MAKE, capture_output=True, text=True, check=True
    )

    found = Emulator.attach(tmp_path)

    assert found.endpoint == done.stdout.strip() == json.loads((tmp_path / "emulator.json").read_text())["endpoint"]
    with pytest.raises(EmulatorNotStarted, match="one runs already"):
        Emulator.start(port=None, home=tmp_path)
    found.stop()
    assert gone(found.pid)
    with pytest.raises(EmulatorNotFound):
        Emulator.attach(tmp_path)


def test_failing_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(EmulatorNotStarted, match="no such mend: nonsense"):
        Emulator.start(port=None, home=tmp_path, without=("nonsense",))


def test_loopback_only_and_nothing_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "false")
    with Emulator.start(port=None, home=tmp_path) as emulator:
        with urllib.request.urlopen(f"{emulator.endpoint}/_ministack/health", timeout=5) as response:  # noqa: S310
            health = json.load(response)
        assert health["auth"] == "enabled"
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        assert emulator.environment()["AWS_ENDPOINT_URL"] == emulator.endpoint


def test_reset_empties_the_account(tmp_path: Path) -> None:
    with Emulator.start(port=None, home=tmp_path) as emulator:
        account = Account(emulator, tmp_path)
        account.queue()
        account.client("codedeploy").create_application(applicationName="a", computePlatform="Lambda")

        with urllib.request.urlopen(f"{emulator.endpoint}/_ministack/reset", data=b"", timeout=5):  # noqa: S310
            assert not account.client("sqs").list_queues().get("QueueUrls")
        assert account.client("codedeploy").list_applications()["applications"] == []
