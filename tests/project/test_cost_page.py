"""docs/cost.md is computed from template.yaml: what was added there since then shows here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import cost_page
from tests.bench.cost_stack import MINUTES, POLLS_PER_MIN, stack
from tests.bench.figure import kept

WRITE_IT = "it is not of this template or these prices: run make bench ONE=cost"


@pytest.fixture
def page(root: Path) -> str:
    """docs/cost.md."""
    return (root / "docs" / "cost.md").read_text()


def test_the_page_counts_what_the_template_has(page: str) -> None:
    has = stack()
    for line in (
        f"| selfheal's own alarms | {cost_page.count(has.alarms)} ",
        f"| the clock: invocations of Respond | {has.ticks:,.0f} ",
        f"| Lambda polls the paced queue | {has.mappings * POLLS_PER_MIN * MINUTES:,} ",
    ):
        assert line in page, WRITE_IT


def test_the_page_has_the_prices(page: str) -> None:
    assert cost_page.prices() in page, WRITE_IT


def test_the_page_is_of_the_figure_that_is_kept(page: str) -> None:
    figure = kept("cost")
    assert figure is not None
    assert f"| **in all** | | **{cost_page.money(figure['facts']['month_at_rest_usd'])}** |" in page, WRITE_IT
