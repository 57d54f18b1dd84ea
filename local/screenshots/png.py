"""PNGs in fewer bytes: the pictures are flat, and of 256 colours none is missed."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_COLOURS = 256
_TRUECOLOUR = {2: 3, 6: 4}
"""Colour type → bytes of a pixel."""


def shrink(path: Path) -> None:
    """Write a picture of 8-bit RGB or RGBA anew with a palette; it stays as it is where that is no gain."""
    data = path.read_bytes()
    smaller = with_palette(data)
    if len(smaller) < len(data):
        path.write_bytes(smaller)


def with_palette(data: bytes) -> bytes:
    """The same picture, of as many colours as a palette has; any other becomes the nearest of them."""
    width, height, pixels = _pixels(data)
    counted = Counter(pixels)
    palette = _palette(counted)
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in counted:
        if colour not in index:
            index[colour] = min(range(len(palette)), key=lambda number: _distance(palette[number], colour))
    numbers = bytes(index[pixel] for pixel in pixels)
    rows = b"".join(b"\0" + numbers[start : start + width] for start in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(*one) for one in chunks)


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """All colours, if there are so few. Else first the most frequent ones, which fill areas; then of each group that
    looks alike the most frequent one, the largest groups first: the many shades at the edges of letters would leave no
    room for a small mark of a colour of its own."""
    if len(counted) <= MAX_COLOURS:
        return list(counted)
    groups: Counter[bytes] = Counter()
    first: dict[bytes, bytes] = {}
    for colour, count in counted.most_common():
        alike = bytes(part >> 4 for part in colour)
        groups[alike] += count
        first.setdefault(alike, colour)
    areas = [colour for colour, _ in counted.most_common(MAX_COLOURS // 2)]
    marks = [first[alike] for alike, _ in groups.most_common()]
    return list(dict.fromkeys([*areas, *marks]))[:MAX_COLOURS]


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def _pixels(data: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height, and the RGB of each pixel, row by row."""
    found = list(_chunks(data))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", dict(found)[b"IHDR"])
    if depth != 8 or kind not in _TRUECOLOUR or interlaced:
        raise ValueError(f"a PNG of {depth} bits, colour type {kind}, interlaced {interlaced}")
    size = _TRUECOLOUR[kind]
    raw = zlib.decompress(b"".join(body for name, body in found if name == b"IDAT"))
    pixels: list[bytes] = []
    before = bytes(width * size)
    for start in range(0, height * (width * size + 1), width * size + 1):
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], before, size)
        pixels += [before[at : at + 3] for at in range(0, width * size, size)]
    return width, height, pixels


def _unfiltered(kind: int, row: bytes, above: bytes, size: int) -> bytes:
    """One row; a filter of PNG is what is left after a guess from the pixels to the left and above."""
    if kind == 0:
        return row
    made = bytearray(row)
    for at, value in enumerate(row):
        left = made[at - size] if at >= size else 0
        corner = above[at - size] if at >= size else 0
        guess = (left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind - 1]
        made[at] = (value + guess) & 0xFF
    return bytes(made)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))
