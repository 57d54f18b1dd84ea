"""A span of time in words, the same in every message."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Minutes below two hours, then hours to three digits: `90 min`, `2.5 h`."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
