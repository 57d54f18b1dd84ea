"""One mended emulator for the whole session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.emulator.control import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator with all mends and IAM enforced; tests share it, so they use names of their own."""
    with Emulator.start(port=None, home=tmp_path_factory.mktemp("emulator")) as running:
        yield running
