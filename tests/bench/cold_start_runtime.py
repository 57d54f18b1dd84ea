"""A function under AWS's own runtime loop: the Runtime Interface Emulator of SAM's wheel, and awslambdaric."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).with_name("cold_start_launch.py")
START_S = 20.0
EVENT_S = 30.0
_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RuntimeFailed(Exception):
    """The emulator or the function did not answer; the message carries its log."""


@dataclass(frozen=True)
class Function:
    """What is started: the folder of its code, what else Python finds, and its environment."""

    python: Path
    folder: Path
    packages: Sequence[Path]
    environment: Mapping[str, str]
    handler: str = "app.lambda_handler"
    writes_bytecode: bool = False


@dataclass(frozen=True)
class Started:
    """One cold start. CPU in ms of the runtime process alone; `events` of each event in turn, without INIT."""

    init_cpu: float
    events_cpu: Sequence[float]
    events_wall: Sequence[float]
    init_wall: float
    """As the emulator reports it (`INIT REPORT`)."""
    answers: Sequence[Any]
    log: str

    @property
    def cold_cpu(self) -> float:
        """INIT and the first event."""
        return self.init_cpu + self.events_cpu[0]


def emulator() -> Path:
    """The Runtime Interface Emulator for this machine."""
    found = importlib.util.find_spec("samcli")
    assert found is not None
    assert found.origin is not None
    kind = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    return Path(found.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{kind}"


def start(function: Function, events: Sequence[Any], before: Sequence[Any], scratch: Path) -> Started:
    """A fresh process, these events; `before` are called right before each of them.

    Raises:
        RuntimeFailed: it did not start, or a handler raised.
    """
    notes, log = scratch / "notes", scratch / "rie.log"
    notes.write_text("")
    api, front = _free_port(), _free_port()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(path) for path in function.packages),
        "PYTHONHASHSEED": "0",
        "BENCH_NOTES": str(notes),
        "LAMBDA_TASK_ROOT": str(function.folder),
        "_HANDLER": function.handler,
        "AWS_LAMBDA_FUNCTION_NAME": "measured",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        **({} if function.writes_bytecode else {"PYTHONDONTWRITEBYTECODE": "1"}),
        **function.environment,
    }
    command = [
        str(emulator()), "--runtime-interface-emulator-address", f"127.0.0.1:{front}",
        "--runtime-api-address", f"127.0.0.1:{api}",
        str(function.python), str(LAUNCHER), function.handler,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=function.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
        try:
            answers, walls = _send(front, events, before, log)
            noted = _notes(notes, len(events) + 1, log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    cpu = [cpu for cpu, _ in noted]
    spent = [later - earlier for earlier, later in itertools.pairwise(cpu)]
    text = log.read_text(errors="replace")
    told = _INIT.search(text)
    return Started(cpu[0], spent, walls, float(told.group(1)) if told else 0.0, answers, text)


def _send(port: int, events: Sequence[Any], before: Sequence[Any], log: Path) -> tuple[list[Any], list[float]]:
    answers, walls = [], []
    _wait_for(port, log)
    for event, prepare in zip(events, before, strict=True):
        prepare()
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        began = time.monotonic()
        try:
            with _DIRECT.open(url, data=json.dumps(event).encode(), timeout=EVENT_S) as response:
                answer = json.loads(response.read() or b"null")
        except (urllib.error.URLError, OSError) as error:
            raise RuntimeFailed(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from error
        walls.append((time.monotonic() - began) * 1000)
        if isinstance(answer, dict) and "errorType" in answer:
            raise RuntimeFailed(f"{answer}\n{log.read_text(errors='replace')[-3000:]}")
        answers.append(answer)
    return answers, walls


def _wait_for(port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeFailed(log.read_text(errors="replace")[-3000:])


def _notes(path: Path, count: int, log: Path) -> list[tuple[float, float]]:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        lines = path.read_text().splitlines()
        if len(lines) >= count:
            return [(float(cpu), float(wall)) for cpu, wall in (line.split() for line in lines)]
        time.sleep(0.005)
    raise RuntimeFailed(f"{path.read_text()}\n{log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
