"""Sets of message ids that stay small: eight bytes of memory for each, however many a drain has sent.

An id is kept as the first 64 bits of its SHA-256. Two ids of a million look alike in fewer than one of ten million
queues (n²/2 pairs over 2^64).
"""

from __future__ import annotations

import hashlib
from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Iterable
from heapq import merge

FRESH = 20_000
"""So many are kept as a set before they are sorted in."""


def key_of(text: str) -> int:
    """The 64 bits of one id, or of one fingerprint."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def pack(texts: Iterable[str]) -> str:
    """Their keys as text, for a document of the ledger."""
    return b64encode(b"".join(key_of(text).to_bytes(8, "big") for text in texts)).decode()


def unpack(packed: str) -> list[int]:
    """The keys that `pack` wrote."""
    raw = b64decode(packed)
    return [int.from_bytes(raw[at : at + 8], "big") for at in range(0, len(raw), 8)]


class Ids:
    """A set that only grows."""

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._fresh: set[int] = set()

    def __len__(self) -> int:
        """How many; exact as long as none was added twice."""
        return len(self._sorted) + len(self._fresh)

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and len(self) > 0 and self.has_key(key_of(text))

    def has_key(self, key: int) -> bool:
        """As `in`, for who has the key already."""
        if key in self._fresh:
            return True
        at = bisect_left(self._sorted, key)
        return at < len(self._sorted) and self._sorted[at] == key

    def add(self, text: str) -> None:
        """One id."""
        self.add_keys((key_of(text),))

    def add_keys(self, keys: Iterable[int]) -> None:
        """What `unpack` read."""
        self._fresh.update(keys)
        if len(self._fresh) > FRESH:
            self._sorted = array("Q", merge(self._sorted, sorted(self._fresh)))
            self._fresh.clear()
