"""The stack that is deployed: its name is that of samconfig.toml, for the environment CONFIG_ENV."""

from __future__ import annotations

import os
import tomllib

from local.emulator.environments import REPOSITORY


def chosen_stack() -> str:
    """`selfheal`, or what the environment variable CONFIG_ENV stands for. Ends the program if there is no such one."""
    environment = os.environ.get("CONFIG_ENV") or "default"
    with (REPOSITORY / "samconfig.toml").open("rb") as file:
        settings = tomllib.load(file)
    known = [name for name, value in settings.items() if isinstance(value, dict)]
    if environment not in known:
        raise SystemExit(f"error: samconfig.toml has no environment {environment!r}; it has {', '.join(known)}")
    return str(settings[environment]["global"]["parameters"]["stack_name"])
