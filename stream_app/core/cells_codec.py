"""Stored bytes of a cell.

::

    0   u1  format, 1
    1   u1  flags: 1 binned scores, 2 unlabelled count as negatives
    2   i8  folded_to, epoch ms
    10  i4  revision
    14  i4  n, distinct scores or bins
    18  --  zlib (level 1) of: vector i8[62], values f8[n], counts i4[3][n] column by column

Grows to at most 4,096 scores: about 80 kB raw; 200 distinct scores a day come to some 2 kB.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final

import numpy as np

from stream_app.core.cells import SIZE, Cell, Counts
from stream_app.core.score_sketch import ScoreSketch

FORMAT: Final = 1
_HEAD: Final = Struct("<BBqii")
_VECTOR_BYTES: Final = 8 * SIZE


class UnknownCellFormat(ValueError):
    """A stored cell was written by a release this one cannot read."""


def encode(cell: Cell) -> bytes:
    """Bytes of a cell; the same cell always gives the same bytes with the same zlib."""
    scores = cell.counts.scores
    body = b"".join(
        (
            cell.counts.vector.astype("<i8").tobytes(),
            scores.values.astype("<f8").tobytes(),
            np.ascontiguousarray(scores.counts.T, dtype="<i4").tobytes(),
        )
    )
    flags = scores.binned | cell.assume_negative << 1
    head = _HEAD.pack(FORMAT, flags, cell.folded_to, cell.revision, len(scores.values))
    return head + zlib.compress(body, 1)


def decode(value: bytes) -> Cell:
    """Inverse of :func:`encode`. Raises :class:`UnknownCellFormat`."""
    if value[0] != FORMAT:
        raise UnknownCellFormat(
            f"cell has format {value[0]}, this release reads {FORMAT}: run the release that wrote it, or start afresh "
            "with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    _, flags, folded_to, revision, n = _HEAD.unpack_from(value)
    body = zlib.decompress(memoryview(value)[_HEAD.size :])
    vector = np.frombuffer(body, dtype="<i8", count=SIZE).astype(np.int64)
    values = np.frombuffer(body, dtype="<f8", count=n, offset=_VECTOR_BYTES).astype(np.float64)
    counts = np.frombuffer(body, dtype="<i4", offset=_VECTOR_BYTES + 8 * n).reshape(3, n).T.astype(np.int64)
    return Cell(Counts(vector, ScoreSketch(values, counts, bool(flags & 1))), folded_to, revision, bool(flags & 2))
