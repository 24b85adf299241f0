"""Thousands and fractions in CSV files whose columns are not parted by commas: what the files say decides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ingest.decimal_signs import COMMA, FIGURE, POINT, plain
from tests.support.table_files import NAMED, TableRead, read

FEATURES = ("--features", "x,y")
UNCLEAR = "with thousands or with a fraction, and the other numbers say"


def put(path: Path, *rows: tuple[str, str, str], sign: str = ";") -> Path:
    lines = [sign.join((f"p-{n}", f"2026-03-02T10:0{n}:00Z", *row, "1")) for n, row in enumerate(rows)]
    path.write_text("\n".join([sign.join(("id", "time", "score", "x", "y", "actual")), *lines]) + "\n")
    return path


def cells(found: TableRead) -> list[Any]:
    assert found.refused is None, found.refused
    return [tuple(row["features"].values()) for row in found.predictions]


#: Rows of score, x and y; what x and y are, or what is said of them.
CASES: dict[str, tuple[list[tuple[str, str, str]], list[Any] | str]] = {
    "nothing says": ([("1", "1,234", "5"), ("0", "2", "7")], f"row 1: 'x' is '1,234', {UNCLEAR} nothing"),
    "the score says comma": ([("0,5", "1,234", "5")], [(1.234, 5)]),
    "the score says point": ([("0.5", "1,234", "5")], [(1234, 5)]),
    "another column says comma": ([("1", "1,234", "5,25")], [(1.234, 5.25)]),
    "another column says point": ([("1", "1,234", "5.25")], [(1234, 5.25)]),
    "another row says": ([("1", "1,234", "5"), ("0", "12,5", "")], [(1.234, 5), (12.5, None)]),
    "both are said": ([("0,5", "1,234", "5"), ("0.5", "1", "6")], f"row 1: 'x' is '1,234', {UNCLEAR} both"),
    "both are said, of a point": ([("0,5", "1.234", "5"), ("0.5", "1", "6")], f"'x' is '1.234', {UNCLEAR} both"),
    "both are said and nothing is unclear": ([("0,5", "12,5", "1.5")], [(12.5, 1.5)]),
    "millions": ([("1", "1,234,567", "1,234")], [(1234567, 1234)]),
    "millions in points": ([("1", "1.234.567", "1.234")], [(1234567, 1234)]),
    "thousands with a fraction": ([("1", "1,234.5", "1,000")], [(1234.5, 1000)]),
    "thousands with a comma": ([("0,5", "1.234,5", "1.000")], [(1234.5, 1000)]),
    "points alone": ([("1", "1.234", "5")], [(1.234, 5)]),
    "minus": ([("0.5", "-1,234", "+2,000")], [(-1234, 2000)]),
    "a text column says nothing": ([("1", "1,234", "0,5"), ("1", "2", "unknown")], f"'x' is '1,234', {UNCLEAR} noth"),
    "in text nothing is unclear": ([("1", "1,234", "5"), ("1", "unknown", "7")], [("1,234", 5), ("unknown", 7)]),
    "a share has no thousands": ([("1,000", "5", "7")], [(5, 7)]),
    "leading zeros are no groups": ([("1", "0,123", "5")], [(0.123, 5)]),
}


@pytest.mark.parametrize("sign", [";", "\t", "|"])
@pytest.mark.parametrize("name", CASES)
def test_a_number_that_can_be_read_two_ways_is_read_as_the_others_are_or_refused(
    name: str, sign: str, tmp_path: Path
) -> None:
    rows, wanted = CASES[name]
    found = read(put(tmp_path / "a.csv", *rows, sign=sign), *NAMED, *FEATURES)
    if isinstance(wanted, str):
        assert wanted in (found.refused or "")
        assert "--decimal comma" in (found.refused or "")
    else:
        assert cells(found) == wanted


def test_a_decimal_sign_that_is_named_counts(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", ("1", "1,234", "2.500"))
    assert cells(read(path, *NAMED, *FEATURES, "--decimal", "comma")) == [(1.234, 2500)]
    assert cells(read(path, *NAMED, *FEATURES, "--decimal", "point")) == [(1234, 2.5)]
    quoted = put(tmp_path / "b.csv", ('"0,5"', '"1,234"', "7"), sign=",")
    assert cells(read(quoted, *NAMED, *FEATURES, "--decimal", "comma")) == [(1.234, 7)]


def test_numbers_that_expressions_read_are_read_as_the_file_decides(tmp_path: Path) -> None:
    scaled = ("--map", "score=score | scale(0, 10000)")
    path = put(tmp_path / "a.csv", ("1,234", "5", "7"))
    assert UNCLEAR in (read(path, *NAMED, *FEATURES, *scaled).refused or "")
    for other, score in (("0,5", 0.0001234), ("0.5", 0.1234)):
        found = read(put(tmp_path / "b.csv", ("1,234", other, "7")), *NAMED, *FEATURES, *scaled)
        assert found.predictions[0]["score"] == pytest.approx(score)


def written(value: int, fraction: str, sign: str, grouped: bool) -> str:
    group = {COMMA: POINT, POINT: COMMA}[sign]
    whole = f"{value:,}".replace(",", group) if grouped else str(value)
    return whole + (sign + fraction if fraction else "")


@given(
    value=st.integers(0, 10**12), fraction=st.from_regex(r"[0-9]{0,6}", fullmatch=True),
    sign=st.sampled_from([COMMA, POINT]), grouped=st.booleans(),
)  # fmt: skip
def test_a_number_is_read_as_it_was_written_once_its_sign_is_known(
    value: int, fraction: str, sign: str, grouped: bool
) -> None:
    text = written(value, fraction, sign, grouped)
    assert re.match(FIGURE, text)
    assert float(plain(text, sign)) == float(f"{value}.{fraction or 0}")
