"""Every further demo system by the name of its stack."""

from __future__ import annotations

from collections.abc import Mapping

from local.demos import Demo, alchemiser_events, algo_trading, crypto_trading, polymarket

ALL: Mapping[str, Demo] = {one.NAME: one for one in (alchemiser_events, crypto_trading, polymarket, algo_trading)}


class UnknownSystem(Exception):
    """There is no demo system of this name."""


def named(text: str) -> tuple[Demo, ...]:
    """The systems in a list with commas, or `all`. Raises UnknownSystem that says which there are."""
    names = list(ALL) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ALL]:
        raise UnknownSystem(f"no demo system is called {', '.join(unknown)}; there are {', '.join(ALL)}, or `all`")
    return tuple(ALL[name] for name in names)
