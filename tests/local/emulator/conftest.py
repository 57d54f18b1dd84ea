from __future__ import annotations

from pathlib import Path

import pytest

from local.emulator.control import Emulator
from tests.local.emulator.account import Account


@pytest.fixture
def account(emulator: Emulator, tmp_path: Path) -> Account:
    """The mended emulator's account."""
    return Account(emulator, tmp_path)
