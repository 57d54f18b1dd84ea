"""The pure Python runtime client speaks the same Runtime API as the compiled one, which macOS lacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.emulator import environments, runtime_client
from local.emulator.control import Emulator
from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def test_function_runs_with_the_pure_client(tmp_path: Path) -> None:
    """A wrapper for the runtime's python puts the pure module in front of the compiled one."""
    python = environments.ensure("runtime")
    ahead = tmp_path / "ahead"
    ahead.mkdir()
    shutil.copy(Path(str(runtime_client.__file__)), ahead / "runtime_client.py")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{ahead}:$PYTHONPATH" exec "{python}" "$@"\n')
    wrapper.chmod(0o755)
    code = (
        "import runtime_client\ndef handler(event, context):\n"
        "    if event == 'fail': raise ValueError('told to')\n    return [runtime_client.__file__, event]\n"
    )

    with Emulator.start(
        port=None, home=tmp_path / "emulator", env={"SELFHEAL_RUNTIME_PYTHON": str(wrapper)}
    ) as emulator:
        account = Account(emulator, tmp_path)
        function, client = account.function(code), account.client("lambda")
        answer = json.loads(client.invoke(FunctionName=function.name, Payload=b'{"a": 1}')["Payload"].read())
        failure = json.loads(client.invoke(FunctionName=function.name, Payload=b'"fail"')["Payload"].read())

    assert answer == [str(ahead / "runtime_client.py"), {"a": 1}]
    assert (failure["errorType"], failure["errorMessage"]) == ("ValueError", "told to")


def test_second_call_of_ensure_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    python = environments.ensure("runtime")

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", no_process)

    assert environments.ensure("runtime") == python
    assert os.access(python, os.X_OK)
