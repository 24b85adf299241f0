"""The map language on cells: arithmetic, scales, labels, zones, spans."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.common import to_ms
from stream_app.errors import Incompatible
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.relay import cells
from stream_app.ingest.relay.expressions import BadExpression, Names, compile_expression
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
