"""`make up`: the local stack on 127.0.0.1, left running; `.local/env` tells shells where it is."""

from __future__ import annotations

import os
import sys

from local import stack, system
from local.demos.registry import UnknownSystem, named
from local.emulator.control import EmulatorError
from local.emulator.environments import InstallError
from local.sam import SamFailed
from local.stack import PortTaken
from local.timeline import Screen


def main() -> int:
    screen, port = Screen(), stack.chosen_port()
    try:
        further = named(os.environ.get("SYSTEMS", ""))
        stack.refuse_taken(port)
        with screen.busy():
            running = stack.start(port, stack.home_of(port), screen.step, detached=True, further=further)
    except (PortTaken, UnknownSystem, InstallError, EmulatorError, SamFailed) as error:
        screen.say(f"error: {error}", style="bold red")
        return 1
    running.write_env()
    names = ", ".join([system.NAME, *(one.NAME for one in further)])
    screen.say(f"""
{stack.NAME} and {names} run on {running.emulator.endpoint}, IAM enforced.
  . .local/env                          for aws, sam and boto3
  make invoke FN=RollBackAlias PORT={port}  one function, with its event of events/
  make down PORT={port}                     ends it""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
