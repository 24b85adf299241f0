from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn import metrics as sk

from stream_app.core.counts import cells, cells_codec
from stream_app.core.counts.cells import Cell
from stream_app.core.metrics_stage.keys import cell_key
from stream_app.core.metrics_stage.windows import TableCells, get_baseline_metrics, get_recent_metrics, window_metrics
from tests.unit.test_metrics import Batch

HOUR = 3_600_000
DAY = 24 * HOUR
MODEL, VERSION, TODAY = "fraud:a", "v1", 20_000


class DictTable:
    """Committed state of a worker, as a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        raise AssertionError("a window is read by its keys, never by a scan")


def table(days: range | list[int], assume: bool = False) -> tuple[TableCells, dict[int, Batch]]:
    stored, batches = DictTable(), {}
    for day in days:
        batches[day] = Batch(40, day, None, labelled=0.5)
        cell = Cell(batches[day].counts(), 1, 1, assume and day % 2 == 0)
        stored.rows[cell_key(MODEL, VERSION, day)] = cells_codec.encode(cell)
        stored.rows[cell_key(MODEL, "v2", day)] = cells_codec.encode(Cell(cells.EMPTY))
        stored.rows[cell_key("fraud:b", VERSION, day)] = cells_codec.encode(Cell(cells.EMPTY))
    return TableCells(stored), batches


@pytest.mark.parametrize(
    "as_of",
    [
        TODAY * DAY,
        TODAY * DAY + 2 * HOUR,
        (TODAY + 1) * DAY - 1,
        datetime(2024, 10, 4, 23, 59, 59, 999_000, tzinfo=UTC),
    ],
)
def test_recent_is_the_seven_days_before_the_close_of_as_ofs_own_date(as_of: int | datetime) -> None:
    reader, _ = table(range(TODAY - 100, TODAY + 3))
    found = get_recent_metrics(reader, MODEL, VERSION, as_of)
    assert [d.day for d in found] == list(range(TODAY - 7, TODAY))
    assert (found[0].date, found[-1].date) == ("2024-09-27", "2024-10-03")


def test_one_millisecond_before_midnight_belongs_to_the_day_before() -> None:
    reader, _ = table(range(TODAY - 100, TODAY + 3))
    assert get_recent_metrics(reader, MODEL, VERSION, TODAY * DAY - 1)[-1].day == TODAY - 2


def test_baseline_begins_sixty_days_before_the_close_and_ends_before_the_thirtieth() -> None:
    reader, _ = table(range(TODAY - 100, TODAY + 3))
    found = get_baseline_metrics(reader, MODEL, VERSION, TODAY * DAY + 3 * HOUR)
    assert [d.day for d in found] == list(range(TODAY - 60, TODAY - 30))


def test_other_lengths_have_the_same_edges() -> None:
    reader, _ = table(range(TODAY - 100, TODAY + 3))
    assert [d.day for d in get_recent_metrics(reader, MODEL, VERSION, TODAY * DAY, days=1)] == [TODAY - 1]
    assert [d.day for d in get_baseline_metrics(reader, MODEL, VERSION, TODAY * DAY, 8, 10)] == [TODAY - 10, TODAY - 9]


def test_missing_days_are_absent_and_never_replaced_by_older_ones() -> None:
    held = [TODAY - 8, TODAY - 7, TODAY - 4, TODAY - 1, TODAY, TODAY - 61, TODAY - 60, TODAY - 31, TODAY - 30]
    reader, _ = table(held)
    assert [d.day for d in get_recent_metrics(reader, MODEL, VERSION, TODAY * DAY)] == [TODAY - 7, TODAY - 4, TODAY - 1]
    assert [d.day for d in get_baseline_metrics(reader, MODEL, VERSION, TODAY * DAY)] == [TODAY - 60, TODAY - 31]
    assert get_recent_metrics(reader, MODEL, "v9", TODAY * DAY) == []


def test_a_window_is_the_sum_of_its_cells_not_the_mean_of_its_days() -> None:
    reader, batches = table(range(TODAY - 7, TODAY))
    found = window_metrics(get_recent_metrics(reader, MODEL, VERSION, TODAY * DAY))
    known = [b.labelled for b in batches.values()]
    y = np.concatenate([b.actual[k] for b, k in zip(batches.values(), known, strict=True)])
    s = np.concatenate([b.score[k] for b, k in zip(batches.values(), known, strict=True)])
    assert (found.predictions, found.outcomes) == (280, len(y))
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, s >= 0.5), abs=1e-12)
    assert found.pr_auc == pytest.approx(sk.average_precision_score(y, s), abs=1e-9)
    assert found.brier == pytest.approx(sk.brier_score_loss(y, s), abs=1e-9)


def test_a_window_may_hold_days_that_assume_negatives_and_days_that_do_not() -> None:
    reader, batches = table(range(TODAY - 7, TODAY), assume=True)
    found = window_metrics(get_recent_metrics(reader, MODEL, VERSION, TODAY * DAY))
    judged = {day: b.labelled | (day % 2 == 0) for day, b in batches.items()}
    y = np.concatenate([(b.actual & b.labelled)[judged[day]] for day, b in batches.items()])
    s = np.concatenate([b.score[judged[day]] for day, b in batches.items()])
    assert found.assumed_negatives == sum((~b.labelled).sum() for day, b in batches.items() if day % 2 == 0)
    assert found.outcomes == sum(b.labelled.sum() for b in batches.values())
    assert found.precision == pytest.approx(sk.precision_score(y, s >= 0.5), abs=1e-12)
    assert found.pr_auc == pytest.approx(sk.average_precision_score(y, s), abs=1e-9)
    assert found.brier == pytest.approx(sk.brier_score_loss(y, s), abs=1e-9)


def test_an_empty_window_has_no_ratios() -> None:
    found = window_metrics([])
    assert (found.predictions, found.coverage, found.accuracy, found.score_mode) == (0, None, None, "exact")


def test_a_window_of_exact_days_stays_exact_and_one_binned_day_makes_it_binned() -> None:
    stored = DictTable()
    for day, n in ((TODAY - 3, 3000), (TODAY - 2, 3000), (TODAY - 1, 5000)):
        stored.rows[cell_key(MODEL, VERSION, day)] = cells_codec.encode(Cell(Batch(n, day, None).counts()))
    days = get_recent_metrics(TableCells(stored), MODEL, VERSION, TODAY * DAY)
    assert [d.figures.score_mode for d in days] == ["exact", "exact", "binned"]
    assert window_metrics(days[:2]).score_mode == "exact"
    assert window_metrics(days).score_mode == "binned"


def test_a_time_without_offset_and_a_window_that_ends_before_it_starts_are_refused() -> None:
    reader, _ = table([])
    with pytest.raises(ValueError, match="no offset"):
        get_recent_metrics(reader, MODEL, VERSION, datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="would end 30 days before and begin 30 days before"):
        get_baseline_metrics(reader, MODEL, VERSION, 0, 30, 30)
