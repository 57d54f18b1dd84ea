"""Start, find and stop the emulator from the development environment (ministack is never imported here).

::

    with Emulator.start(port=None, home=Path(".local/tests")) as emulator:
        boto3.client("sqs", endpoint_url=emulator.endpoint, …)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from local.emulator import environments

ACCOUNT = "111111111111"
REGION = "us-east-1"
START_TIMEOUT = 30.0  # seconds from the start of the process to its first answer
STOP_TIMEOUT = 3.0  # seconds between asking and killing
LOG_TAIL = 4000  # characters of the log that an error carries
POLL = 0.02  # seconds
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the host may name a proxy


class EmulatorError(Exception):
    """The emulator did not do what it was asked for."""


class EmulatorNotStarted(EmulatorError):
    """It ended or stayed silent while starting; the message carries the end of its log."""


class EmulatorNotFound(EmulatorError):
    """No emulator runs in this home."""


@dataclass
class Emulator:
    """A running emulator: one account, one region (others work as well), loopback only."""

    home: Path
    pid: int
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "emulator.log"

    @classmethod
    def start(
        cls,
        port: int | None,
        home: Path,
        without: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        *,
        detached: bool = False,
    ) -> Emulator:
        """Start an emulator with its files under ``home`` and wait until it answers.

        ``port`` None takes a free one. ``without`` leaves mends out (``("all",)``: stock ministack). ``env`` adds to
        its environment, which otherwise holds nothing of this process's. ``detached`` lets it live on when this
        process ends; otherwise it ends with this process, however that ends.

        Raises :class:`EmulatorNotStarted`, and :class:`~local.emulator.environments.InstallError` when its
        environment could not be built.
        """
        python = environments.ensure("emulator")
        runtime = environments.ensure("runtime")
        home = home.resolve()
        state, temporary = home / "emulator.json", home / "tmp"
        with contextlib.suppress(EmulatorNotFound):
            raise EmulatorNotStarted(f"one runs already in {home}: pid {cls.attach(home).pid}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        state.unlink(missing_ok=True)
        with (home / "emulator.log").open("wb") as log:
            process = subprocess.Popen(
                [str(python), "-m", "local.emulator"],
                cwd=environments.REPOSITORY,
                env=_server_environment(home, temporary, runtime, port, without, detached=detached) | dict(env or {}),
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            found = _read_state(state)
            if found is not None and _answers(found[1]):
                return cls(home, process.pid, found[1], process)
            time.sleep(POLL)
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        tail = (home / "emulator.log").read_text(errors="replace")[-LOG_TAIL:]
        raise EmulatorNotStarted(f"no answer from the emulator in {home} (exit {process.returncode}):\n{tail}")

    @classmethod
    def attach(cls, home: Path) -> Emulator:
        """The emulator that runs in ``home``, whoever started it; raises :class:`EmulatorNotFound`."""
        home = home.resolve()
        found = _read_state(home / "emulator.json")
        if found is None:
            raise EmulatorNotFound(f"no emulator.json in {home}")
        emulator = cls(home, *found)
        if not emulator.is_alive() or not _answers(emulator.port):
            raise EmulatorNotFound(f"the emulator of {home} does not run any more")
        return emulator

    def environment(self) -> dict[str, str]:
        """What a client needs in its environment: the endpoint, root credentials, and no way to anywhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCOUNT,  # ministack: a twelve-digit key is the root of that account
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(self.home / "sam"),  # its notes, otherwise in the home folder
            "SAM_CLI_POLL_DELAY": "0.1",
            "SAM_CLI_CHECK_FOR_UPDATES": "0",
        }

    def archive_made_at(self, name: str, moment: float) -> None:
        """Move the creation time (epoch seconds) of an event archive: a replay wants one that is older than its lag.

        Raises :class:`EmulatorError` where there is no such archive. See the mend ``event_archives``.
        """
        body = json.dumps({"name": name, "made_at": moment}).encode()
        try:
            with _DIRECT.open(f"{self.endpoint}/_ministack/events/archives", data=body, timeout=5):
                pass
        except urllib.error.HTTPError as error:
            raise EmulatorError(f"archive {name} was not made older: {error}") from error

    def is_alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def stop(self) -> None:
        """End the emulator and every function that runs in it, and remove its temporary files; idempotent."""
        self._signal(signal.SIGTERM)
        if not self._gone_within(STOP_TIMEOUT):
            self._signal(signal.SIGKILL)
            self._gone_within(STOP_TIMEOUT)
        if self.process is not None:
            self.process.wait()
            if self.process.stdin is not None:
                self.process.stdin.close()
        (self.home / "emulator.json").unlink(missing_ok=True)
        shutil.rmtree(self.home / "tmp", ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.is_alive():
                os.kill(self.pid, number)

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True


def _server_environment(
    home: Path, temporary: Path, runtime: Path, port: int | None, without: tuple[str, ...], *, detached: bool
) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "GATEWAY_PORT": str(port or 0),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "0",
        "IOT_MTLS_ENABLED": "0",  # it would listen on port 8883
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{home}/no-docker.sock",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.5",  # AWS: 60
        "CODEDEPLOY_MINUTE_SECONDS": "1",  # AWS: 60
        "ECS_TASK_START_SECONDS": "1",  # AWS: some 30
        "SELFHEAL_EMULATOR_HOME": str(home),
        "SELFHEAL_RUNTIME_PYTHON": str(runtime),
        "SELFHEAL_WITHOUT_MENDS": ",".join(without),
        **({} if detached else {"SELFHEAL_EMULATOR_ATTACHED": "1"}),
    }


def _read_state(path: Path) -> tuple[int, int] | None:
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return int(state["pid"]), int(state["port"])


def _answers(port: int) -> bool:
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}/_ministack/ready", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
