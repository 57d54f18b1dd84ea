"""Pictures in fewer bytes: the same picture, whatever filter its rows have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.screenshots import png

WIDTH = 4
ROWS = st.lists(st.tuples(st.integers(0, 4), st.binary(min_size=WIDTH * 3, max_size=WIDTH * 3)), min_size=1, max_size=6)


def made_of(rows: list[tuple[int, bytes]], *, depth: int = 8, kind: int = 2) -> bytes:
    """A PNG of rows as they stand in the file: filter, bytes."""
    header = struct.pack(">IIBBBBB", WIDTH, len(rows), depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(bytes([filter_]) + row for filter_, row in rows))
    return png.SIGNATURE + png._chunk(b"IHDR", header) + png._chunk(b"IDAT", body) + png._chunk(b"IEND", b"")


def shown(data: bytes) -> list[bytes]:
    """The colours of a picture with a palette."""
    found = dict(png._chunks(data))
    width, height, depth, kind, *_ = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert (depth, kind) == (8, 3)
    raw = zlib.decompress(found[b"IDAT"])
    numbers = [raw[row * (width + 1) + 1 + at] for row in range(height) for at in range(width)]
    return [found[b"PLTE"][3 * number : 3 * number + 3] for number in numbers]


@settings(deadline=None)
@given(ROWS)
def test_a_picture_of_few_colours_stays_what_it_is(rows: list[tuple[int, bytes]]) -> None:
    data = made_of(rows)

    assert shown(png.with_palette(data)) == png._pixels(data)[2]


def test_the_filters_are_those_of_the_standard() -> None:
    rows = [(0, bytes(range(1, 13))), (1, b"\1" * 12), (2, b"\1" * 12), (3, b"\2" * 12), (4, b"\1" * 12)]
    pixels = png._pixels(made_of(rows))[2]

    assert pixels[4:8] == [b"\1\1\1", b"\2\2\2", b"\3\3\3", b"\4\4\4"]  # left
    assert pixels[8:12] == [b"\2\2\2", b"\3\3\3", b"\4\4\4", b"\5\5\5"]  # above
    assert pixels[12:16] == [b"\3\3\3", b"\5\5\5", b"\6\6\6", b"\7\7\7"]  # half of left and above
    assert pixels[16] == b"\4\4\4"  # above is nearest


def test_a_rare_colour_becomes_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_COLOURS", 2)
    data = made_of([(0, b"\0\0\0" * 3 + b"\xf0\xf0\xf0"), (0, b"\xff\xff\xff" * 4)])

    assert shown(png.with_palette(data))[3] == b"\xff\xff\xff"


def test_a_picture_that_would_grow_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(made_of([(0, bytes(12))]))
    before = path.read_bytes()
    png.shrink(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize(("depth", "kind"), [(16, 2), (8, 0), (8, 3)])
def test_another_kind_of_picture_is_refused_by_name(depth: int, kind: int) -> None:
    with pytest.raises(ValueError, match=f"{depth} bits, colour type {kind}"):
        png.with_palette(made_of([(0, bytes(12))], depth=depth, kind=kind))
