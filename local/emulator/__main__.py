"""Run the emulator: ``python -m local.emulator`` with the python of its own environment.

Started by :mod:`local.emulator.control`, which sets the environment: ``SELFHEAL_EMULATOR_HOME`` (the directory that
gets ``emulator.json``), ``GATEWAY_PORT`` (0: any free one) and ``SELFHEAL_WITHOUT_MENDS`` (names of mends to leave
out, or ``all``; for the contract tests). When ``SELFHEAL_EMULATOR_ATTACHED`` is set, the end of standard input ends
the emulator: a starter that dies takes it along.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from local.emulator import offspring

ACCEPT_BACKLOG = 200


def main() -> None:
    home = Path(os.environ["SELFHEAL_EMULATOR_HOME"])
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("GATEWAY_PORT", "0"))), backlog=ACCEPT_BACKLOG)
    port = listener.getsockname()[1]
    # ministack reads its port and endpoint from the environment when it is imported.
    os.environ["GATEWAY_PORT"] = str(port)
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"

    offspring.start_watchdog(Path(os.environ["TMPDIR"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if os.environ.get("SELFHEAL_EMULATOR_ATTACHED"):
        threading.Thread(target=_stop_with_starter, daemon=True, name="starter-watch").start()

    from local.emulator import mends  # noqa: PLC0415 - imports ministack, which reads the environment set above

    mends.apply_all(without=tuple(filter(None, os.environ.get("SELFHEAL_WITHOUT_MENDS", "").split(","))))

    state = {"pid": os.getpid(), "port": port, "endpoint": f"http://127.0.0.1:{port}"}
    scratch = home / f"emulator.json.{os.getpid()}"
    scratch.write_text(json.dumps(state))
    scratch.rename(home / "emulator.json")
    asyncio.run(_serve(listener))


async def _serve(listener: socket.socket) -> None:
    from hypercorn.asyncio import serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack.app import app  # noqa: PLC0415

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.loglevel = os.environ.get("LOG_LEVEL", "WARNING")
    never = asyncio.Event()  # _stop ends the process: there is no state worth a graceful shutdown
    await serve(app, config, shutdown_trigger=never.wait)


def _stop_with_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(*_: object) -> None:
    offspring.kill_all()
    os._exit(0)


if __name__ == "__main__":
    main()
