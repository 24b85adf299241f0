"""Deltas that are here and not folded into every cell yet: by source, in log order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stream_app.core import cells, deltas
from stream_app.core.cells import Counts
from stream_app.core.deltas import DeltaRecord, Intervals, Part, Rows
from stream_app.core.metrics_stage.keys import cell_key, delta_key


class Pending:
    """Parts of epochs, each with the stored record it came from."""

    def __init__(self) -> None:
        #: source → (closing tick or 0 while unknown, offset of its record, part), in order
        self._parts: dict[int, list[tuple[int, int, Part]]] = {}

    def put(self, offset: int, record: DeltaRecord, closed: int, folded: int) -> int:
        """Take a record in; parts at or below what the source closed, or folded already, are ignored.

        Returns the tick the source has closed now (epoch ms).
        """
        queue = self._parts.setdefault(record.source, [])
        for part in record.parts:
            if part.after < closed or (part.closed is not None and part.closed <= folded):
                continue
            if part.closed is not None:
                for i in range(len(queue) - 1, -1, -1):
                    if queue[i][0]:
                        break
                    queue[i] = (part.closed, queue[i][1], queue[i][2])
                closed = part.closed
            queue.append((part.closed or 0, offset, part))
        return closed

    def epochs(self, after: int, until: int) -> Iterator[tuple[int, Part]]:
        """(source, part) of epochs that closed in (after, until], sources in order."""
        for source in sorted(self._parts):
            for closed, _, part in self._parts[source]:
                if after < closed <= until:
                    yield source, part

    def forget(self, until: int) -> list[bytes]:
        """Drop what closed at or before ``until``; returns the keys of records nothing refers to any more."""
        gone: list[bytes] = []
        for source, queue in self._parts.items():
            kept = [item for item in queue if not 0 < item[0] <= until]
            needed = {offset for _, offset, _ in kept}
            gone += [delta_key(source, o) for o in sorted({offset for _, offset, _ in queue} - needed)]
            self._parts[source] = kept
        return gone


def changes(parts: Iterable[Part], oldest_day: int) -> dict[bytes, Counts]:
    """What the parts mean for each cell, by cell key in key order; days before ``oldest_day`` touch no cell."""
    index: dict[bytes, int] = {}
    columns: list[Rows] = []
    intervals: list[Intervals] = []
    for part in parts:
        numbers = np.empty(len(part.cells), dtype=np.int64)
        for i, cell in enumerate(part.cells):
            if cell.day < oldest_day:
                numbers[i] = -1
                continue
            numbers[i] = index.setdefault(cell_key(cell.line, cell.version, cell.day), len(index))
        rows = part.rows()
        if len(rows.cells):
            number = numbers[rows.cells]
            keep = number >= 0
            columns.append(Rows(number[keep], rows.kinds[keep], rows.scores[keep], rows.counts[keep]))  # type: ignore[arg-type]
        intervals += [
            Intervals(int(numbers[item.cell]), item.count, item.width_sum, item.narrow)
            for item in part.intervals
            if numbers[item.cell] >= 0
        ]
    if not index:
        return {}
    joined = Rows(*(np.concatenate(column) for column in zip(*columns, strict=True))) if columns else _NO_ROWS
    found = cells.changes(len(index), joined, intervals)
    # A label taken back and given again within the stretch is no change.
    return {key: found[index[key]] for key in sorted(index) if found[index[key]].vector.any()}


def predictions_by_version(part: Part) -> dict[tuple[str, str], int]:
    """Active-role predictions of a part by (line, version)."""
    rows = part.rows()
    made = rows.kinds < deltas.LABEL_TN
    by_cell = np.bincount(rows.cells[made], weights=rows.counts[made], minlength=len(part.cells))
    sums: dict[tuple[str, str], int] = {}
    for cell, count in zip(part.cells, by_cell, strict=True):
        key = (cell.line, cell.version)
        sums[key] = sums.get(key, 0) + int(count)
    return sums


_NO_ROWS = Part(0).rows()
