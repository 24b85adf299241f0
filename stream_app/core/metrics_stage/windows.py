"""Daily figures of one version on one model, and windows over them (CONTRACT section 2).

A window is a sum of cells, never a mean of daily values. All days are UTC days of the predictions; ``close`` is 00:00
of the UTC date of ``as_of``, so the day in progress is in no window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from schemas.common import to_ms
from stream_app.core.counts import cells, cells_codec
from stream_app.core.counts.cells import Cell
from stream_app.core.counts.figures import Figures, assume, figures, figures_with
from stream_app.core.kit.days import date_of, day_of
from stream_app.core.kit.effects import TableReader
from stream_app.core.kit.spans import baseline_span, recent_span
from stream_app.core.metrics_stage.keys import cell_key

#: A full week, so that every kind of day counts once.
RECENT_DAYS: Final = 7
#: A month that ends a month ago: long enough to be steady, and not yet the present it is compared with.
BASELINE_START_DAYS: Final = 30
BASELINE_END_DAYS: Final = 60


class CellReader(Protocol):
    """Where cells come from: a worker's table, or a simulator."""

    def cells(self, model: str, version: str, days: range) -> list[Cell | None]:
        """One cell for each of ``days`` (since 1970) in their order, ``None`` where there is none."""
        ...


class TableCells:
    """Cells of the metrics stage's table."""

    def __init__(self, table: TableReader) -> None:
        self._table = table

    def cells(self, model: str, version: str, days: range) -> list[Cell | None]:
        """One cell for each of ``days``, ``None`` where there is none."""
        keys = [cell_key(model, version, day) for day in days]
        found = zip(keys, self._table.get_many(keys), strict=True)
        return [cells_codec.decode(value, key) if value is not None else None for key, value in found]


@dataclass(frozen=True, slots=True, eq=False)
class DailyMetrics:
    """One day's cell with its figures. ``day`` is days since 1970, ``date`` the same as ``YYYY-MM-DD``."""

    model: str
    version: str
    day: int
    date: str
    revision: int
    figures: Figures
    cell: Cell


def get_recent_metrics(
    reader: CellReader, model: str, version: str, as_of: int | datetime, days: int = RECENT_DAYS
) -> list[DailyMetrics]:
    """Daily metrics with close − ``days`` ≤ day < close, oldest first; days without predictions are absent.

    ``as_of``: epoch milliseconds or an aware datetime.
    """
    return _daily(reader, model, version, recent_span(_close_day(as_of), days))


def get_baseline_metrics(
    reader: CellReader,
    model: str,
    version: str,
    as_of: int | datetime,
    days_ago_start: int = BASELINE_START_DAYS,
    days_ago_end: int = BASELINE_END_DAYS,
) -> list[DailyMetrics]:
    """Daily metrics with close − ``days_ago_end`` ≤ day < close − ``days_ago_start``, oldest first.

    Raises ``ValueError`` if the window would end before it starts.
    """
    return _daily(reader, model, version, baseline_span(_close_day(as_of), days_ago_start, days_ago_end))


def window_metrics(days: Iterable[DailyMetrics]) -> Figures:
    """Figures of the summed cells. Unlabelled predictions count as negatives only in the days that assume so.

    Exact scores stay exact, whatever their number; one binned day makes the sum binned. No days: counts 0, ratios null.
    """
    total, assumed = cells.EMPTY, 0
    for day in days:
        counts, more = assume(day.cell.counts) if day.cell.assume_negative else (day.cell.counts, 0)
        total, assumed = cells.add(total, counts), assumed + more
    return figures_with(total, assumed)


def _daily(reader: CellReader, model: str, version: str, days: range) -> list[DailyMetrics]:
    return [
        DailyMetrics(model, version, day, date_of(day), cell.revision, figures(cell.counts, cell.assume_negative), cell)
        for day, cell in zip(days, reader.cells(model, version, days), strict=True)
        if cell is not None
    ]


def _close_day(as_of: int | datetime) -> int:
    if isinstance(as_of, datetime):
        if as_of.tzinfo is None:
            raise ValueError(f"as_of {as_of.isoformat()} has no offset")
        as_of = to_ms(as_of)
    return day_of(as_of)
