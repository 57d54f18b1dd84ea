"""In a runbook, a check of a kind can name a target of that kind, for the kinds that selfheal also acts on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selfheal.checks import read_check
from selfheal_build.runbooks import compile_folder

TARGETS = {
    "function": {"function": "web"},
    "alias": {"function": "web", "alias": "live"},
    "event_source": {"event_source": "14e0db71-5d35-4eb5-b481-8945cf9d10c2"},
    "service": {"cluster": "shop", "service": "web"},
    "database": {"database": "orders"},
    "api": {"rest_api": "a1b2c3", "stage": "live"},
    "queue": {"queue": "dead"},
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_check_takes_its_names_from_a_target(tmp_path: Path, kind: str) -> None:
    written = {"system": "shop", "owner": "ann", "targets": {"it": TARGETS[kind]}, "checks": [{kind: "it"}]}
    (tmp_path / "shop.yaml").write_text(json.dumps(written))

    (system,) = compile_folder(tmp_path)["systems"]

    assert system["checks"] == [{kind: TARGETS[kind]}]
    assert read_check(system["checks"][0]).kind == kind
