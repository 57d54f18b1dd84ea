"""Takes orders. What it does with a price differs from release to release."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

RELEASE = "1"


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """An order, `{"price": …}`; `{"mode": "test"}` places none."""
    price = float(event.get("price", "1.0"))
    return {"status": "ok", "release": RELEASE, "price": price, "environment": os.environ["ENVIRONMENT"]}
