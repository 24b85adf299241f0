"""Deltas that are here and not folded into every cell yet: by source, in log order."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.counts import cells
from stream_app.core.counts.cells import Counts
from stream_app.core.counts.deltas import LABEL_TN, DeltaRecord, Intervals, Part, Rows
from stream_app.core.hourly.hours import COLUMNS, EDGES, HOURS, LABELS
from stream_app.core.metrics_stage.keys import cell_key, delta_key


class _Held(NamedTuple):
    #: tick (epoch ms) that closed its epoch; 0 while unknown
    closed: int
    #: offset of its record
    offset: int
    part: Part


class Pending:
    """Parts of epochs, each with the stored record it came from. Memory: the bytes of the parts held."""

    def __init__(self) -> None:
        self._parts: dict[int, deque[_Held]] = {}

    def put(self, offset: int, record: DeltaRecord, closed: int) -> tuple[int, DeltaRecord | None]:
        """Take a record in; parts at or below what the source has ``closed`` (epoch ms) are ignored.

        Returns the tick the source has closed now, and what of the record is to be stored: a record that comes back
        from the table holds nothing that was ignored.
        """
        kept: list[Part] = []
        for part in record.parts:
            if part.after < closed:
                continue
            kept.append(part)
            closed = part.closed or closed
        if not kept:
            return closed, None
        record = record if len(kept) == len(record.parts) else msgspec.structs.replace(record, parts=kept)
        self.restore(offset, record)
        return closed, record

    def restore(self, offset: int, record: DeltaRecord) -> None:
        """Take back what was stored; :meth:`forget` what was folded when all is here."""
        queue = self._parts.setdefault(record.source, deque())
        for part in record.parts:
            if part.closed is not None:
                for i in range(len(queue) - 1, -1, -1):
                    if queue[i].closed:
                        break
                    queue[i] = queue[i]._replace(closed=part.closed)
            queue.append(_Held(part.closed or 0, offset, part))

    def epochs(self, after: int, until: int) -> Iterator[tuple[int, Part]]:
        """(source, part) of epochs that closed in (after, until], sources in order."""
        for source in sorted(self._parts):
            for held in self._parts[source]:
                if not 0 < held.closed <= until:
                    break
                if held.closed > after:
                    yield source, held.part

    def parts(self, after: int, until: int) -> Iterator[Part]:
        """Parts of epochs that closed in (after, until]."""
        return (part for _, part in self.epochs(after, until))

    def forget(self, until: int) -> list[bytes]:
        """Drop what closed at or before ``until``; returns the keys of records nothing refers to any more."""
        gone: list[bytes] = []
        for source in sorted(self._parts):
            queue = self._parts[source]
            dropped: list[int] = []
            while queue and 0 < queue[0].closed <= until:
                dropped.append(queue.popleft().offset)
            needed = queue[0].offset if queue else None
            gone += [delta_key(source, offset) for offset in sorted(set(dropped)) if offset != needed]
        return gone


class Changes:
    """What parts mean for each cell, a slice of cells at a time; ``keys`` are the cells' keys in order."""

    def __init__(self, parts: Iterable[Part], oldest_day: int, only: Collection[bytes] | None = None) -> None:
        """Days before ``oldest_day`` touch no cell; ``only``: no other cells than these."""
        index: dict[bytes, int] = {}
        columns: list[tuple[np.ndarray, np.ndarray, Rows]] = []
        spans: list[Intervals] = []
        for part in parts:
            numbers = np.full(len(part.cells), -1, dtype=np.int64)
            for i, cell in enumerate(part.cells):
                if cell.day < oldest_day:
                    continue
                key = cell_key(cell.model, cell.version, cell.day)
                if only is None or key in only:
                    numbers[i] = index.setdefault(key, len(index))
            rows = part.rows()
            if len(rows.cells):
                hours = np.array([cell.hour % HOURS for cell in part.cells], dtype=np.int64)
                columns.append((numbers[rows.cells], hours[rows.cells], rows))
            spans += [
                Intervals(int(numbers[item.cell]), item.count, item.width_sum, item.narrow)
                for item in part.intervals
                if numbers[item.cell] >= 0
            ]
        self.keys = sorted(index)
        rank = np.empty(len(index), dtype=np.int64)
        rank[[index[key] for key in self.keys]] = np.arange(len(index))
        none = NO_ROWS.cells.astype(np.int64)
        numbers = np.concatenate([none, *(n for n, _, _ in columns)])
        kept = np.flatnonzero(numbers >= 0)
        order = kept[np.argsort(rank[numbers[kept]], kind="stable")]
        self._cells = rank[numbers[order]]
        self._hours = np.concatenate([none, *(h for _, h, _ in columns)])[order]
        self._kinds = np.concatenate([NO_ROWS.kinds, *(r.kinds for _, _, r in columns)])[order]
        self._scores = np.concatenate([NO_ROWS.scores, *(r.scores for _, _, r in columns)])[order]
        self._counts = np.concatenate([NO_ROWS.counts, *(r.counts for _, _, r in columns)])[order]
        self._spans = sorted(
            (Intervals(int(rank[s.cell]), s.count, s.width_sum, s.narrow) for s in spans), key=lambda s: s.cell
        )
        self._span_cells = [s.cell for s in self._spans]

    def hours(self, start: int, stop: int) -> NDArray[np.int64]:
        """Changes of the same cells by hour (:mod:`~stream_app.core.hourly.hours`); shape (stop − start, 24, 36).

        A day that sums to nothing may hold hours that changed.
        """
        a, b = np.searchsorted(self._cells, (start, stop))
        kinds, cells = self._kinds[a:b].astype(np.int64), self._cells[a:b] - start
        column = np.where(
            kinds < LABEL_TN, LABELS + np.searchsorted(_EDGES, self._scores[a:b], side="left"), kinds - LABEL_TN
        )
        place = (cells * HOURS + self._hours[a:b]) * COLUMNS + column
        # float64 weights: exact below 2**53
        sums = np.bincount(place, weights=self._counts[a:b], minlength=(stop - start) * HOURS * COLUMNS)
        return sums.astype(np.int64).reshape(stop - start, HOURS, COLUMNS)

    def take(self, start: int, stop: int) -> list[Counts]:
        """Changes of the cells ``keys[start:stop]``."""
        a, b = np.searchsorted(self._cells, (start, stop))
        rows = Rows(
            (self._cells[a:b] - start).astype(np.uint32), self._kinds[a:b], self._scores[a:b], self._counts[a:b]
        )
        spans = self._spans[bisect_left(self._span_cells, start) : bisect_left(self._span_cells, stop)]
        return cells.changes(
            min(stop, len(self.keys)) - start,
            rows,
            [Intervals(s.cell - start, s.count, s.width_sum, s.narrow) for s in spans],
        )


NO_ROWS = Part(0).rows()
_EDGES = np.array(EDGES)
