"""The dashboard: its body is JSON, every alarm of selfheal itself is on it, graphs show metrics that are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from selfheal.words import Outcome

from tests.project.conftest import ROOT

MAX_WIDGETS = 500


@pytest.fixture
def widgets(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The widgets, with `<Name>` in the place of what CloudFormation fills in."""
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    filled = re.sub(r"\$\{([^!}][^}]*)\}", r"<\1>", body).replace("${!", "${")
    document = json.loads(filled)
    assert set(document) == {"widgets"}
    found: list[dict[str, Any]] = document["widgets"]
    return found


def test_the_control_room_is_on_top_over_the_whole_width(widgets: list[dict[str, Any]]) -> None:
    first = widgets[0]

    assert first["type"] == "custom"
    assert (first["x"], first["y"], first["width"]) == (0, 0, 24)
    assert first["properties"]["endpoint"] == "<ShowControlRoom.Arn>"


def test_every_alarm_of_its_own_is_shown(widgets: list[dict[str, Any]], template: Mapping[str, Any]) -> None:
    shown = {arn for one in widgets if one["type"] == "alarm" for arn in one["properties"]["alarms"]}
    alarms = {name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}

    assert shown == {f"<{name}.Arn>" for name in alarms}


def test_a_graph_shows_metrics_that_the_code_writes(widgets: list[dict[str, Any]]) -> None:
    text = json.dumps([one for one in widgets if one["type"] == "metric"])
    shown = {*re.findall(r'MetricName=\\+"(\w+)', text), *re.findall(r'"selfheal", "(\w+)"', text)}
    code = "".join(
        path.read_text() for path in [*ROOT.glob("functions/*/app.py"), *ROOT.glob("layers/selfheal/**/*.py")]
    )
    outcomes = {f"Action{one.title().replace('_', '')}" for one in Outcome}

    assert {f"Action{one}" for one in ("Acted", "Refused", "Failed")} <= shown
    assert {one for one in shown - outcomes if f'"{one}"' not in code} == set()


def test_no_widget_lies_over_another(widgets: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for one in widgets:
        cells = {(one["x"] + x, one["y"] + y) for x in range(one["width"]) for y in range(one["height"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len(widgets) < MAX_WIDGETS
