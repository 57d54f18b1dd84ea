"""The local stack: an emulator, and in it the demo system and selfheal, deployed from their templates by ``sam``."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local import demos, sam, system
from local.account import Account
from local.demos import Demo
from local.emulator.control import Emulator
from local.emulator.environments import REPOSITORY

NAME = "selfheal"
BUCKET = "selfheal-local-artefacts"
LOCAL = REPOSITORY / ".local"
ALARM_PERIOD_S = 10
DEFAULT_PORT = 4566
SOURCES = ("functions", "layers")
"""What the build of selfheal reads, besides its template."""

Step = Callable[[str], AbstractContextManager[None]]
"""Tells somebody what is going on while its block runs. Called from more than one thread."""


class PortTaken(Exception):
    """Something listens on the port already."""


@dataclass(frozen=True)
class Stack:
    """A running local stack; everything of it is under ``home``."""

    home: Path
    emulator: Emulator

    @cached_property
    def account(self) -> Account:
        """Its clients are made once, which takes longer than a call; a thread has an account of its own."""
        return Account(self.emulator.endpoint)

    @property
    def system(self) -> system.System:
        return system.System(self.account)

    @property
    def env_file(self) -> Path:
        return self.home / "env"

    @property
    def deploy_log(self) -> Path:
        return self.home / "deploy.log"

    def stop(self) -> None:
        """End it; nothing of it stays but its logs."""
        self.emulator.stop()
        latest = LOCAL / "env"
        if latest.exists() and self.env_file.exists() and latest.read_text() == self.env_file.read_text():
            latest.unlink()
        self.env_file.unlink(missing_ok=True)

    def save_logs(self, path: Path) -> list[str]:
        """Write what the functions have logged into a file, since it goes with the emulator; answers the lines."""
        lines = self.account.log_lines()
        path.write_text("\n".join(lines))
        return lines

    def write_env(self) -> None:
        """Exports for a shell: into the stack's home, and as ``.local/env`` for the one that was started last."""
        names = {
            **self.emulator.environment(),
            "SELFHEAL_STACK": NAME,
            "SELFHEAL_DEMO_STACK": system.NAME,
            "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in names.items()]
        lines.append(f'export PATH={shlex.quote(str(REPOSITORY / ".venv" / "bin"))}:"$PATH"')
        text = "\n".join([f"# the local stack on {self.emulator.endpoint}: source this file", *lines, ""])
        self.env_file.write_text(text)
        (LOCAL / "env").write_text(text)


def home_of(port: int) -> Path:
    """Where the stack on this port keeps its files."""
    return LOCAL / "stacks" / str(port)


def shown(path: Path) -> str:
    """A path as a person types it from the repository."""
    return str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)


def chosen_port() -> int:
    """PORT of the environment, else LocalStack's, which many tools know. Ends the program if it is none."""
    port = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SystemExit(f"error: PORT is {port!r}; a number from 1 to 65535 is right, for instance PORT=4600")
    return int(port)


def none_runs() -> str:
    """What to say where a local stack is needed and none is on the chosen port."""
    port = chosen_port()
    return f"error: no local stack runs on port {port}: make up PORT={port}"


def refuse_taken(port: int) -> None:
    """Raises :class:`PortTaken` with what to do about it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}). "
                f"If that is the local stack: `make down PORT={port}`; else choose another: PORT=4600"
            ) from error


def start(
    port: int | None,
    home: Path,
    step: Step,
    *,
    detached: bool,
    further: Sequence[Demo] = (),
    more: Mapping[str, str] | None = None,
) -> Stack:
    """Start the emulator, deploy the demo systems and selfheal to it. Whatever fails, nothing is left running.

    `more`: parameters of selfheal that no system brings along.

    Raises :class:`~local.emulator.control.EmulatorError`, :class:`~local.emulator.environments.InstallError`,
    :class:`~local.sam.SamFailed`.
    """
    home.mkdir(parents=True, exist_ok=True)
    for log in (home / "build.log", home / "deploy.log"):
        log.write_text("")
    with ThreadPoolExecutor(max_workers=1) as side, contextlib.ExitStack() as undo:
        demo = side.submit(_build_demo, home / "build.log", step)
        own = side.submit(_build_own, home / "build.log", step)
        with step("emulator started"):
            emulator = Emulator.start(port, home, detached=detached)
        undo.callback(emulator.stop)
        stack = Stack(home, emulator)
        stack.account.client("s3").create_bucket(Bucket=BUCKET)
        _deploy_demo(stack, demo.result(), step)
        for one in further:
            _deploy_further(stack, one, step)
        _deploy_own(stack, own.result(), step, further, more or {})
        undo.pop_all()
    return stack


def _build_demo(log: Path, step: Step) -> Path:
    """First, so that it is deployed while selfheal is built; the slow part, the dependencies, is for both."""
    layers = REPOSITORY / "layers"
    sources = [system.FOLDER, layers / "dependencies", layers / "build", layers / "selfheal"]
    with step(f"{system.NAME} and the dependencies built"):
        return sam.build(system.NAME, system.FOLDER / "template.yaml", sources, log)


def _build_own(log: Path, step: Step) -> Path:
    with step(f"{NAME} built"):
        return sam.build(NAME, REPOSITORY / "template.yaml", [REPOSITORY / name for name in SOURCES], log)


def _deploy_demo(stack: Stack, built: Path, step: Step) -> None:
    period = {"AlarmPeriod": str(ALARM_PERIOD_S)}
    with step(f"{system.NAME} deployed, with releases 1 to 4"):
        sam.deploy(system.NAME, built, bucket=BUCKET, parameters=period, **_deployment(stack))
        stack.system.publish_history()


def _deploy_further(stack: Stack, one: Demo, step: Step) -> None:
    with step(f"{one.NAME} deployed"):
        built = sam.build(one.NAME, one.FOLDER / "template.yaml", [one.FOLDER], stack.home / "build.log")
        period = {"AlarmPeriod": str(ALARM_PERIOD_S)}
        sam.deploy(one.NAME, built, bucket=BUCKET, parameters=period, **_deployment(stack))
        one.prepare(stack.account)


def _deploy_own(stack: Stack, built: Path, step: Step, further: Sequence[Demo], more: Mapping[str, str]) -> None:
    touched = [one.parameters() for one in further]
    given = {**parameters(stack.account.outputs(system.NAME), touched), **more}
    with step(f"{NAME} deployed"):
        sam.deploy(NAME, built, bucket=BUCKET, parameters=given, **_deployment(stack))


def _deployment(stack: Stack) -> dict[str, Any]:
    return {"environment": stack.emulator.environment(), "log": stack.deploy_log}


def parameters(demo: dict[str, str], further: Sequence[Mapping[str, list[str]]] = ()) -> dict[str, str]:
    """selfheal's parameters: it may touch the demo systems and nothing else, and act by itself."""
    first = {
        "ProtectedFunctions": [demo["FunctionArn"]],
        "ProtectedQueues": [demo["QueueArn"]],
        "ProtectedParameters": [demo["ParameterArn"]],
        "ProtectedSchedules": [demo["ScheduleArn"]],
        "SchedulerRoles": [demo["SchedulerRoleArn"]],
        "ProtectedLogGroups": [demos.arn("logs", f"log-group:/aws/lambda/{system.FUNCTION}")],
        # what a system of its kind also has; the demo has none, tests bring their own
        "ProtectedRules": [demos.arn("events", f"rule/{system.NAME}/*")],
        "ProtectedDeploymentGroups": [demos.arn("codedeploy", f"deploymentgroup:{system.NAME}/*")],
    }
    return {
        "MaxMode": "auto",
        "Architecture": "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
        **demos.together([first, *further]),
    }
