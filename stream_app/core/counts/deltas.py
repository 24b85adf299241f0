"""What the labels stage tells the metrics stage: additive counts, exact and in columns.

One record goes out per (checkpoint, target partition). It holds *parts*, one for each epoch the checkpoint touched,
in order. A part belongs to the epoch that starts after epoch tick ``after`` and, if the source lane has reached the
tick that ends the epoch, carries that tick in ``closed``. Sums of parts are independent of where checkpoints fell:
rows hold exact score values with signed counts, never bins and never floating-point sums.

Layout of a record: one format byte, then MessagePack of :class:`DeltaRecord`. Columns are little-endian arrays.

========  ======  =====================================================================================
column    dtype   meaning
========  ======  =====================================================================================
cell      ``u4``  index into ``Part.cells``
kind      ``u1``  one of the ``PREDICTED_*`` and ``LABEL_*`` constants
score     ``f8``  the prediction's score, in [0, 1]
count     ``i4``  signed: a correction takes the old kind back (−1) and adds the new one (+1)
========  ======  =====================================================================================
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.kit.codec import Codec, at_key
from stream_app.errors import Broken

FORMAT: Final = 2

#: Every additive real number travels as ``round(x * FIXED)``: integers add up to the same sum in any order.
#: Rounding costs at most 2**-33 per event, far below the 1e-9 that ratios are held to; 2**31 events a cell fit in i8.
FIXED: Final = 2**32

PREDICTED_NEGATIVE: Final = 0
PREDICTED_POSITIVE: Final = 1
LABEL_TN: Final = 2
LABEL_FN: Final = 3
LABEL_FP: Final = 4
LABEL_TP: Final = 5
KINDS: Final = 6


def label_kind(predicted: bool, actual: bool) -> int:
    """Row kind of a label: 2 + 2·predicted + actual."""
    return 2 + 2 * predicted + actual


class CellId(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """Identity of the counts: model ``type:tenant``, model version, UTC hour of the prediction (hours since 1970)."""

    model: str
    version: str
    hour: int

    @property
    def day(self) -> int:
        """UTC day of the prediction (days since 1970); a day's counts are the sum of its hours'."""
        return self.hour // 24


class HourCount(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """Active-role predictions of one model and version made in one hour (hours since 1970)."""

    model: str
    version: str
    hour: int
    count: int


class Intervals(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Confidence intervals of a cell: how many, Σ round(width · FIXED), how many narrower than the limit."""

    cell: int
    count: int
    width_sum: int
    narrow: int


class Part(msgspec.Struct, frozen=True, array_like=True):
    """The counts of (a piece of) one epoch from one source partition."""

    #: epoch tick (epoch ms) that opened the epoch; 0 before the first
    after: int
    #: epoch tick (epoch ms) that ended it, in the last piece only
    closed: int | None = None
    #: input end offsets of the closing tick, by topic name
    end_offsets: dict[str, int] = {}
    #: running totals of the source partition at the closing tick: {"predictions": {...}, "outcomes": {...}}
    dispositions: dict[str, dict[str, int]] = {}
    cells: list[CellId] = []
    cell: bytes = b""
    kind: bytes = b""
    score: bytes = b""
    count: bytes = b""
    intervals: list[Intervals] = []
    hours: list[HourCount] = []

    def sound(self) -> bool:
        """Whether the columns have one length and point at cells and kinds that there are."""
        rows, known = len(self.kind), len(self.cells)
        if (len(self.cell), len(self.score), len(self.count)) != (4 * rows, 8 * rows, 4 * rows):
            return False
        columns = self.rows()
        points_at_cells = not rows or (int(columns.cells.max()) < known and int(columns.kinds.max()) < KINDS)
        return points_at_cells and all(0 <= item.cell < known for item in self.intervals)

    def rows(self) -> Rows:
        """The four row columns as arrays of equal length."""
        return Rows(
            np.frombuffer(self.cell, dtype="<u4"),
            np.frombuffer(self.kind, dtype="u1"),
            np.frombuffer(self.score, dtype="<f8"),
            np.frombuffer(self.count, dtype="<i4"),
        )


class Rows(NamedTuple):
    """Columns of a part; shape (n,) each."""

    cells: NDArray[np.uint32]
    kinds: NDArray[np.uint8]
    scores: NDArray[np.float64]
    counts: NDArray[np.int32]


class DeltaRecord(msgspec.Struct, frozen=True, array_like=True):
    """One record of the model-deltas topic."""

    source: int
    parts: list[Part]


_codec: Final = Codec[DeltaRecord](DeltaRecord, FORMAT, "delta record")
encode = _codec.encode


def decode(value: bytes, key: bytes = b"") -> DeltaRecord:
    """Inverse of :func:`encode`. Raises ``UnknownFormat``, or ``Broken`` also for columns that do not fit together."""
    record = _codec.decode(value, key)
    for part in record.parts:
        if not part.sound():
            raise Broken(f"{at_key(_codec.what, key)} cannot be read: its columns do not fit together")
    return record


def aggregate(cell: Any, kind: Any, score: Any, count: Any) -> Rows:
    """Sum rows that agree in (cell, kind, score); drop those that sum to nothing; order them by that triple.

    Inputs are sequences of equal length n. The order makes the bytes a function of the content alone.
    """
    cells = np.asarray(cell, dtype="<u4")
    kinds = np.asarray(kind, dtype="u1")
    scores = np.asarray(score, dtype="<f8")
    counts = np.asarray(count, dtype="<i8")
    if not len(cells):
        return Rows(cells, kinds, scores, counts.astype("<i4"))
    order = np.lexsort((scores, kinds, cells))
    cells, kinds, scores, counts = cells[order], kinds[order], scores[order], counts[order]
    new = np.empty(len(cells), dtype=bool)
    new[0] = True
    new[1:] = (cells[1:] != cells[:-1]) | (kinds[1:] != kinds[:-1]) | (scores[1:] != scores[:-1])
    start = np.flatnonzero(new)
    sums = np.add.reduceat(counts, start)
    keep = start[sums != 0]
    return Rows(cells[keep], kinds[keep], scores[keep], sums[sums != 0].astype("<i4"))
