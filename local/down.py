"""`make down`: end the local stack on PORT and everything that runs in it."""

from __future__ import annotations

import sys

from local import stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.stack import Stack


def main() -> int:
    home = stack.home_of(stack.chosen_port())
    try:
        Stack(home, Emulator.attach(home)).stop()
    except EmulatorNotFound:
        print(f"nothing runs on port {home.name}" + _others())
        return 0
    print(f"the local stack on port {home.name} has ended")
    return 0


def _others() -> str:
    running = []
    for home in sorted((stack.LOCAL / "stacks").glob("*")):
        try:
            running.append(str(Emulator.attach(home).port))
        except EmulatorNotFound:
            continue
    return "".join(f"; one runs on {port}: make down PORT={port}" for port in running)


if __name__ == "__main__":
    sys.exit(main())
