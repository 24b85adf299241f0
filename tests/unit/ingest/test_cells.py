"""The map language on cells: arithmetic, scales, labels, zones, spans."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import click
import pytest

from schemas.common import to_ms
from stream_app.cli.tables import reading_of
from stream_app.errors import Incompatible
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.relay import cells
from stream_app.ingest.relay.expressions import BadExpression, Names, compile_expression
from stream_app.ingest.relay.functions import FUNCTIONS
from stream_app.ingest.relay.source import Unmappable
from stream_app.ingest.relay.words import Fault
from stream_app.ingest.span import bulk, stated


def value(written: str, **row: Any) -> Any:
    source: Any = SimpleNamespace(value=row)
    return compile_expression(written, Names({}, columns=True)).evaluate(source)


def test_arithmetic_binds_as_it_is_written_and_stays_whole() -> None:
    assert value("a + 2 * b", a="1", b=3) == 7
    assert value("(a + b) / 4 - 1", a=1, b=7) == 1
    assert value("a * 1000", a=2**60) == 2**60 * 1000
    assert value("a + 1", a=str(2**53)) == 2**53 + 1
    assert value("a + b", a=1) is None
    assert value("a | scale(0, 100) ?? b", b=0.5) == 0.5
    assert value("value.a | scale(-1, 1)", a=0) == 0.5
    with pytest.raises(Unmappable):
        value("a / b", a=1, b=0)
    with pytest.raises(Unmappable):
        value("a | scale(0, 100)", a=101)
    with pytest.raises(BadExpression):
        value("a -1", a=3)


def test_labels_are_compared_as_people_write_them() -> None:
    assert [cells.label(text, ("fraud",)) for text in ("Fraud ", "legit", "", None, "nan")] == [
        True, False, None, None, None,
    ]  # fmt: skip
    assert [cells.label(item, ("0",)) for item in (0, "0.0", False, "1", True)] == [True, True, True, False, False]
    with pytest.raises(Fault):
        cells.label("other", ("fraud",), ("legit",))
    assert [cells.decision(item, ("fraud",)) for item in ("1", 0, "fraud", "fine")] == [True, False, True, False]


def test_labels_that_are_large_integers_or_decimals_keep_every_digit() -> None:
    large = 2**53
    assert [cells.label(item, (str(large + 1),)) for item in (large, str(large), large + 1)] == [False, False, True]
    assert [cells.label(Decimal(item), ("2",)) for item in ("2.00", "2.5", large)] == [True, False, False]


def test_an_id_is_the_same_in_a_map_and_in_a_table_but_for_blanks_around_it() -> None:
    item: Any
    for item in ("a", 12, 2**80, Decimal(12), b"a"):
        assert value("a | id", a=item) == cells.name_in_cell(item) == (item.decode() if item == b"a" else str(item))
    for item in ("", " ", "NaN", "n/a", None, float("nan")):
        assert value("a | id ?? 'none'", a=item) == "none"
        assert cells.name_in_cell(item) is None
    for item in (12.0, True, Decimal("1.0"), [1], b"\xff", cells.Instant(5)):
        with pytest.raises(Unmappable):
            value("a | id", a=item)
    assert value("a | id", a=" a") == " a"
    with pytest.raises(Fault, match="begins or ends with a blank"):
        cells.name_in_cell(" a")


@pytest.mark.parametrize("written", ["1.23E+10", "1,23E+14", "9E+15", "4.7e+21"])
def test_an_id_that_a_spreadsheet_rounded_is_none(written: str) -> None:
    with pytest.raises(Fault, match="export the column as text"):
        cells.name_in_cell(written)


@pytest.mark.parametrize("written", ["1e10", "12e45678", "a1.5E+10", "+4915112345", "1.23E+1", "7E+", "10.5E+10"])
def test_an_id_that_only_looks_like_a_rounded_number_stays(written: str) -> None:
    assert cells.name_in_cell(written) == written


def test_summer_time_is_right_on_both_of_its_days() -> None:
    def at(text: str) -> datetime:
        return datetime.fromtimestamp(cells.moment(text, "", "Europe/Berlin") / 1000, UTC)

    assert at("2026-03-29 01:59:59") == datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    assert at("2026-03-29 03:00:00") == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert at("2026-10-25 02:30:00") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert at("2026-10-25 03:00:00") == datetime(2026, 10, 25, 2, tzinfo=UTC)
    with pytest.raises(Fault, match="does not exist in Europe/Berlin"):
        at("2026-03-29 02:30:00")


def test_times_of_every_unit_are_exact() -> None:
    at = 1_772_445_600_123
    assert cells.moment(f"{at // 1000}.{at % 1000}", "s") == at
    assert cells.moment(at * 1_000_000 + 999_999, "ns") == at
    assert cells.moment(cells.WallTime(at), "", "UTC") == at
    assert cells.moment(cells.Instant(at), "s") == at
    assert cells.moment("2026-03-02T10:00:00.1239Z") == to_ms(datetime(2026, 3, 2, 10, 0, 0, 123_000, UTC))


@pytest.mark.parametrize(
    "text", ["1_700_000_000", "1e99999999", "-1e99999999", "1e400", "nan", "inf", "0x10", "", "1 2"]
)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_what_is_no_number_of_a_unit_is_refused_at_once(text: str, unit: str) -> None:
    with pytest.raises(Fault, match="is no number of"):
        cells.epoch_ms(text, unit)


@pytest.mark.parametrize("text", ["1_000", "1__0"])
def test_underscores_make_no_numbers(text: str) -> None:
    for name in ("integer", "number"):
        with pytest.raises(Fault, match="is not a"):
            FUNCTIONS[name].apply(text)


def test_a_bulk_holds_what_is_spread_and_not_what_stands_alone() -> None:
    today = 20_500
    years = Counter(range(today - 1_500, today))
    assert all(bulk(years, today).holds(day) for day in years)
    lone = Counter({today: 100, today - 5: 100, 0: 150, today + 26_000: 150})
    span = bulk(lone, today)
    assert [span.holds(day) for day in (today, today - 5, 0, today + 26_000)] == [True, True, False, False]
    assert bulk(Counter(), today).holds(today)
    assert stated("2026-03-02", "", span).holds(20_514)
    assert not stated("2026-03-02", "", span).holds(20_513)


@pytest.mark.parametrize(
    "options",
    [
        {"timezone": "Europe/Berlim"}, {"timezone": "UTC", "assume_utc": True}, {"negative": ("a",)},
        {"content_ids": True, "columns": {"prediction_id": "id"}}, {"columns": {"scor": "x"}},
        {"first_day": "2.3.2026"},
    ],
)  # fmt: skip
def test_options_that_say_nothing_true_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Incompatible):
        Mapping(**options)


@pytest.mark.parametrize("word", ["None", "", "-", "NaN"])
def test_what_says_that_there_is_no_label_cannot_be_the_positive_one(word: str) -> None:
    with pytest.raises(Incompatible, match="no label"):
        Mapping({}, {}, positive=("yes", word))


@pytest.mark.parametrize("word", ["", "nan", "NaN", "None", "NaT", "null", "undefined"])
def test_a_word_for_missing_is_no_id_whatever_kind_of_column_it_stands_in(word: str) -> None:
    assert cells.name_in_cell(word) is None
    assert cells.name_in_cell(word.encode()) is None


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u2060"])
def test_a_sign_that_nobody_sees_is_no_part_of_an_id(mark: str) -> None:
    for value in (mark + "a-1", "a-1" + mark):
        with pytest.raises(Fault, match="a sign that nobody sees"):
            cells.name_in_cell(value)


@pytest.mark.parametrize("encoding", ["rot13", "base64", "hex", "uu", "zip", "no-such"])
def test_codecs_of_no_text_are_refused_as_encodings(encoding: str) -> None:
    with pytest.raises(click.BadParameter, match="no encoding of text"):
        reading_of({"encoding": encoding, "delimiter": None, "decimal": None}, {})
