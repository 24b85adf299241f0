"""Pre-aggregation: what the labels lane learnt in a batch, kept in plain lists and turned into columns at its end."""

from __future__ import annotations

import numpy as np

from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Intervals, Part
from stream_app.core.labels.config import HOUR_MS, Name

#: Slot numbers and row kinds share one integer, so that the per-event path appends to one list less.
KIND_BITS = 3

#: Records stay below the broker's default ``message.max.bytes`` of 1 MiB with room for headers and framing.
MAX_RECORD_BYTES = 800_000


class LaneCounts:
    """Rows of the epoch in hand. ``add`` is inlined by the stage: it appends to the public lists itself."""

    __slots__ = ("codes", "interval_slots", "interval_widths", "minus_codes", "minus_scores", "scores", "slots")

    def __init__(self) -> None:
        #: slot → (name, hour)
        self.slots: list[tuple[Name, int]] = []
        self.codes: list[int] = []
        self.scores: list[float] = []
        self.minus_codes: list[int] = []
        self.minus_scores: list[float] = []
        self.interval_slots: list[int] = []
        self.interval_widths: list[float] = []

    def slot(self, name: Name, hour: int) -> int:
        """Number of (name, hour) in this batch, new if it is."""
        number = len(self.slots)
        name.slots[hour] = number
        self.slots.append((name, hour))
        return number

    def parts(self, targets: int, after: int, narrow_below: float) -> list[Part | None]:
        """One part for each target partition, ``None`` where there is nothing; empties the lists.

        ``after``: the epoch tick (epoch ms) that opened the epoch; hours that ended less than an hour before it, or
        later, are reported for the choice of the active version.
        """
        out: list[Part | None] = [None] * targets
        if not self.slots:
            return out
        cells: list[list[CellId]] = [[] for _ in range(targets)]
        index: dict[tuple[str, str, int], int] = {}
        of_slot = np.empty(len(self.slots), dtype=np.uint32)
        target_of_slot = np.empty(len(self.slots), dtype=np.int64)
        for slot, (name, hour) in enumerate(self.slots):
            key = (name.model, name.version, hour)
            number = index.get(key)
            mine = cells[name.target]
            if number is None:
                number = index[key] = len(mine)
                mine.append(CellId(*key))
            of_slot[slot] = number
            target_of_slot[slot] = name.target
            name.slots.clear()
        codes = np.array(self.codes + self.minus_codes, dtype=np.int64)
        scores = np.array(self.scores + self.minus_scores, dtype=np.float64)
        counts = np.ones(len(codes), dtype=np.int64)
        counts[len(self.codes) :] = -1
        slots, kinds = codes >> KIND_BITS, codes & ((1 << KIND_BITS) - 1)
        made = np.bincount(slots[kinds < deltas.LABEL_TN], minlength=len(self.slots))
        interval_slots = np.array(self.interval_slots, dtype=np.int64)
        widths = np.array(self.interval_widths, dtype=np.float64)
        for target in range(targets):
            if not cells[target]:
                continue
            order, rank = _ranks(cells[target])
            mine_rows = target_of_slot[slots] == target
            rows = deltas.aggregate(
                rank[of_slot[slots[mine_rows]]], kinds[mine_rows], scores[mine_rows], counts[mine_rows]
            )
            mine_widths = target_of_slot[interval_slots] == target
            out[target] = Part(
                after=after,
                cells=[cells[target][i] for i in order],
                cell=rows.cells.tobytes(),
                kind=rows.kinds.tobytes(),
                score=rows.scores.tobytes(),
                count=rows.counts.tobytes(),
                intervals=_intervals(rank[of_slot[interval_slots[mine_widths]]], widths[mine_widths], narrow_below),
                hours=self._hours(target, made, after),
            )
        self.slots.clear()
        self.codes.clear()
        self.scores.clear()
        self.minus_codes.clear()
        self.minus_scores.clear()
        self.interval_slots.clear()
        self.interval_widths.clear()
        return out

    def _hours(self, target: int, made: np.ndarray, after: int) -> list[HourCount]:
        sums: dict[tuple[str, str, int], int] = {}
        for slot, (name, hour) in enumerate(self.slots):
            if name.target == target and made[slot] and (hour + 2) * HOUR_MS > after:
                key = (name.model, name.version, hour)
                sums[key] = sums.get(key, 0) + int(made[slot])
        return [HourCount(*key, count) for key, count in sorted(sums.items())]


def _ranks(cells: list[CellId]) -> tuple[list[int], np.ndarray]:
    """Order of the cells by identity, and for each old number its place in that order."""
    order = sorted(range(len(cells)), key=cells.__getitem__)
    rank = np.empty(len(cells), dtype=np.uint32)
    rank[order] = np.arange(len(cells), dtype=np.uint32)
    return order, rank


def _intervals(cell: np.ndarray, widths: np.ndarray, narrow_below: float) -> list[Intervals]:
    if not len(cell):
        return []
    fixed = np.rint(widths * deltas.FIXED).astype(np.int64)
    cells, inverse = np.unique(cell, return_inverse=True)
    count = np.bincount(inverse, minlength=len(cells))
    narrow = np.bincount(inverse[widths < narrow_below], minlength=len(cells))
    total = np.zeros(len(cells), dtype=np.int64)
    np.add.at(total, inverse, fixed)
    return [Intervals(int(c), int(n), int(w), int(k)) for c, n, w, k in zip(cells, count, total, narrow, strict=True)]


def records(source: int, parts: list[Part]) -> list[bytes]:
    """Encode parts as one record, or as several where one would be too large for the broker."""
    value = deltas.encode(DeltaRecord(source, parts))
    if len(value) <= MAX_RECORD_BYTES:
        return [value]
    if len(parts) > 1:
        half = len(parts) // 2
        return records(source, parts[:half]) + records(source, parts[half:])
    first, second = _halves(parts[0])
    return records(source, [first]) + records(source, [second])


def _halves(part: Part) -> tuple[Part, Part]:
    """Split a part between two cells, or within the rows of its only cell, and its hours; the second carries the close.

    Hours are summed by metrics whatever part they stand in, so they need not stand with their cells.
    """
    rows, hour = part.rows(), len(part.hours) // 2
    if len(part.cells) > 1:
        middle = len(part.cells) // 2
        row = int(np.searchsorted(rows.cells, middle))
        cells_a, cells_b, shift = part.cells[:middle], part.cells[middle:], middle
    else:
        middle, row = 1, len(rows.cells) // 2
        cells_a, cells_b, shift = part.cells, part.cells, 0

    def piece(a: int | None, b: int | None, cells: list[CellId], minus: int, first: bool) -> Part:
        cut = slice(a, b)
        return Part(
            after=part.after,
            closed=None if first else part.closed,
            end_offsets={} if first else part.end_offsets,
            dispositions={} if first else part.dispositions,
            cells=cells,
            cell=(rows.cells[cut] - np.uint32(minus)).tobytes(),
            kind=rows.kinds[cut].tobytes(),
            score=rows.scores[cut].tobytes(),
            count=rows.counts[cut].tobytes(),
            intervals=[
                Intervals(i.cell - minus, i.count, i.width_sum, i.narrow)
                for i in part.intervals
                if (i.cell < middle) == first
            ],
            hours=part.hours[:hour] if first else part.hours[hour:],
        )

    return piece(None, row, cells_a, 0, True), piece(row, None, cells_b, shift, False)
