"""The further demo systems: found by name, and each may be touched where its parameters say."""

from __future__ import annotations

import pytest
from samcli.yamlhelper import yaml_parse

from local.demos import together
from local.demos.registry import ALL, UnknownSystem, named
from local.emulator.environments import REPOSITORY


def test_systems_are_named_or_all() -> None:
    assert named("") == ()
    assert named("polymarket-staging, algo-trading-prod") == (ALL["polymarket-staging"], ALL["algo-trading-prod"])
    assert named("all") == tuple(ALL.values())
    with pytest.raises(UnknownSystem, match="polymarket-staging"):
        named("polymarket")


def test_parameters_of_several_systems_are_one_list_each() -> None:
    assert together([{"A": ["1", "2"]}, {"A": ["2", "3"], "B": ["4"]}]) == {"A": "1,2,3", "B": "4"}


@pytest.mark.parametrize("name", ALL)
def test_a_system_has_a_template_and_only_parameters_that_selfheal_has(name: str) -> None:
    known = yaml_parse((REPOSITORY / "template.yaml").read_text(encoding="utf-8"))["Parameters"]

    assert (ALL[name].FOLDER / "template.yaml").is_file()
    assert set(ALL[name].parameters()) <= set(known)
