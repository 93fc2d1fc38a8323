"""Unpacking, cells, dates and numbers of delimited text, apart from any one format."""

from __future__ import annotations

import datetime as dt
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.delimited import decode_text, gunzip, parse_day, read_cells


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_gunzip_undoes_gzip_of_any_members(parts: list[bytes]) -> None:
    assert gunzip(b"".join(gzip.compress(part, mtime=0) for part in parts)) == b"".join(parts)


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 7999))
def test_every_cut_of_a_gzip_file_is_noticed(content: bytes, cut: int) -> None:
    packed = gzip.compress(content, mtime=0)
    with pytest.raises(PayloadError, match="not_truncated"):
        gunzip(packed[: -(cut % (len(packed) - 1)) - 1] or packed[:1])


def test_gunzip_holds_its_limit() -> None:
    packed = gzip.compress(b"x" * 1000, mtime=0)
    assert len(gunzip(packed, limit=1000)) == 1000
    for body in (packed, packed + packed):
        with pytest.raises(PayloadError, match="size_bound"):
            gunzip(body, limit=len(gunzip(body)) - 1)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(value: float) -> None:
    cells = read_cells(f"a,b\nx,{value!r}\n", ",", 1, 2)
    assert cells.numbers(1, "b").tolist() == [value]


@given(st.text(alphabet="0123456789.,+-eEinfaN x_", max_size=12))
def test_numbers_are_finite_missing_or_refused(text: str) -> None:
    cells = read_cells(f"a;b\nx;{text}\n", ";", 1, 2)
    try:
        (value,) = cells.numbers(1, "b").tolist()
    except PayloadError as error:
        refusal = (error.rule, error.locator)
    else:
        assert np.isfinite(value) or text.strip().lower() in {"", "-", "--", "na"}
        return
    assert refusal == ("number_valid", "row 2")


def test_comma_in_numbers() -> None:
    cells = read_cells("a\tb\nx\t1,234\n", "\t", 1, 2)
    assert cells.numbers(1, "b", is_english=True).tolist() == [1234.0]
    with pytest.raises(PayloadError, match="decimal point"):
        cells.numbers(1, "b")


def test_lines_are_physical() -> None:
    cells = read_cells(decode_text(b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n,\r\n3,4"), ",", 1, 2)
    assert cells.lines.tolist() == [3, 5]
    assert cells.locators.to_pylist() == ["row 3", "row 5"]


@given(st.dates(dt.date(1900, 1, 1)))
def test_days_in_every_notation(day: dt.date) -> None:
    iso = day.isoformat()
    for text in (
        iso,
        iso.replace("-", "/"),
        iso.replace("-", ""),
        f"{day.day} {day:%B %Y}",
        f"{day:%b} {day.day}, {day.year}",
    ):
        assert parse_day(text) == (day, False)
    assert parse_day(f"{iso} 16:00:00+08:00") == (day, False)
    assert parse_day(f"{iso}T16:00:00Z") == (day, True)
    assert parse_day(f"{iso} 00:00:00+00:00") == (day, False)
    assert parse_day(f"{day:%d.%m.}{day.year}", day_first=True) == (day, False)
    assert parse_day(f"{day:%m/%d/}{day.year}", day_first=False) == (day, False)
