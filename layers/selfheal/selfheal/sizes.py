"""Documents that must fit: an item of DynamoDB, an entry of EventBridge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def trimmed(document: Mapping[str, Any], max_bytes: int, names: Sequence[str]) -> dict[str, Any]:
    """The document; while its JSON is longer than `max_bytes`, one more of the fields `names` gives way to its size."""
    fits = dict(document)
    for name in names:
        if size(fits) <= max_bytes:
            break
        fits[name] = {"too_large": f"{size(fits[name])} bytes were left out"}
    return fits


def size(value: object) -> int:
    """Bytes of the JSON form."""
    return len(json.dumps(value, default=str).encode())
