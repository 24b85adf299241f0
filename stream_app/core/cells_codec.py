"""Stored bytes of a cell.

::

    0   u1  format, 1
    1   u1  flags: 1 binned scores, 2 unlabelled count as negatives
    2   i8  folded_to, epoch ms
    10  i4  revision
    14  i4  n, distinct scores or bins
    18  --  zlib (level 1) of: vector i8[62], values f8[n], counts i4[3][n] column by column

Bound: an exact cell has at most 4,096 scores and a binned one 4,096 bins, so n ≤ 4,096 and a value is at most
514 + 20 n bytes before compression, 82,434 in all. Measured: 200 distinct scores 2.1 kB, 200 scores of two digits
0.8 kB, 20,000 predictions in bins 12 kB.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final

import numpy as np

from stream_app.core.cells import SIZE, Cell, Counts
from stream_app.core.score_sketch import ScoreSketch
from stream_app.errors import Broken, Incompatible

FORMAT: Final = 1
_HEAD: Final = Struct("<BBqii")
_HEAD_BYTE: Final = bytes((FORMAT,))
_VECTOR_BYTES: Final = 8 * SIZE
_MOST: Final = 2**31 - 1


class UnknownCellFormat(Incompatible):
    """A stored cell was written by a release this one cannot read."""


def encode(cell: Cell) -> bytes:
    """Bytes of a cell; the same cell always gives the same bytes with the same zlib. Raises :class:`Broken`."""
    scores = cell.counts.scores
    if len(scores.counts) and int(np.abs(scores.counts).max()) > _MOST:
        raise Broken(f"a cell counts one score more than {_MOST} times: the stored count has 32 bits")
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
    if value[:1] != _HEAD_BYTE:
        raise UnknownCellFormat(
            f"cell has format {value[0] if value else 'none'}, this release reads {FORMAT}: run the release that "
            "wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    _, flags, folded_to, revision, n = _HEAD.unpack_from(value)
    body = zlib.decompress(memoryview(value)[_HEAD.size :])
    vector = np.frombuffer(body, dtype="<i8", count=SIZE).astype(np.int64)
    values = np.frombuffer(body, dtype="<f8", count=n, offset=_VECTOR_BYTES).astype(np.float64)
    counts = np.frombuffer(body, dtype="<i4", offset=_VECTOR_BYTES + 8 * n).reshape(3, n).T.astype(np.int64)
    return Cell(Counts(vector, ScoreSketch(values, counts, bool(flags & 1))), folded_to, revision, bool(flags & 2))
