"""No function's process outlives the emulator, not even one that is killed.

Every process group that the emulator starts is announced here. A watchdog process holds the other end of a
pipe; when the emulator is gone (the pipe ends, whatever the reason) it kills what was announced and removes the
temporary directory. A pipe is used because it works alike on Linux and macOS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

_WATCHDOG = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    sign, group = line[0], int(line[1:])
    (groups.add if sign == "+" else groups.discard)(group)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""

_lock = threading.Lock()
_groups: set[int] = set()
_pipes: list[IO[str]] = []


def start_watchdog(temporary: Path) -> None:
    """Start the process that cleans up behind this one; ``temporary`` is removed in the end."""
    watchdog = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(temporary)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    if watchdog.stdin is None:
        raise RuntimeError("the watchdog has no pipe")
    _pipes.append(watchdog.stdin)


def announce(group: int) -> None:
    """Have the process group ``group`` killed when the emulator ends."""
    with _lock:
        _groups.add(group)
        _tell(f"+{group}\n")


def kill(group: int) -> None:
    """Kill the process group ``group`` now, with everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    with _lock:
        _groups.discard(group)
        _tell(f"-{group}\n")


def kill_all() -> None:
    """Kill every announced process group; called last, from a signal handler (so it takes no lock)."""
    for group in tuple(_groups):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _tell(line: str) -> None:
    for pipe in _pipes:
        pipe.write(line)
        pipe.flush()
