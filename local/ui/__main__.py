"""`make ui`: the control room of the local stack on PORT, in a browser on this machine."""

from __future__ import annotations

import contextlib
import os
import sys

from local import stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.ui import server


def main() -> int:
    port, own = stack.chosen_port(), int(os.environ.get("PORT_UI") or 4580)
    try:
        running = Emulator.attach(stack.home_of(port))
        with server.served(running.endpoint, own) as page:
            print(f"the control room: {page.url}  (dark: {page.url}/?theme=dark)\nControl-C ends it", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                page.wait()
    except EmulatorNotFound:
        print(f"error: no local stack runs on port {port}: make up PORT={port}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: port {own} is taken ({error.strerror}): make ui PORT_UI=4581", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
