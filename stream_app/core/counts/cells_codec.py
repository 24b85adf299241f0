"""Stored bytes of a cell.

::

    0   u1  format, 2
    1   u1  flags: 1 binned scores, 2 unlabelled count as negatives, 4 drift was looked for
    2   i8  folded_to, epoch ms
    10  i4  revision
    14  i4  n, distinct scores or bins
    18  --  only with flag 4: f8 ks_statistic, f8 p_value, f8 performance_delta (NaN: none),
            u1 is_degraded (2: none)
    --  u2  v, bytes of the next part
    --  --  Zstandard frame: vector i8[62]
    --  --  Zstandard frame: values f8[n], counts i4[4][n] column by column

Two frames, because much of what a close asks needs no scores. A close unpacks some forty cells a model: zlib would take
three times as long.

Bound: an exact cell has at most 4,096 scores and a binned one 4,096 bins, so n ≤ 4,096 and a value is at most
514 + 24 n bytes before compression, 98,818 in all. Measured: 200 distinct scores 2.1 kB, 200 scores of two digits
0.8 kB, 20,000 predictions in bins 12 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

import numpy as np
import zstandard

from stream_app.core.counts.cells import SIZE, Cell, Counts, DriftNote
from stream_app.core.counts.score_sketch import COLUMNS, EMPTY, ScoreSketch, collect
from stream_app.core.counts.summing import total
from stream_app.core.kit.codec import UNREADABLE, at_key, body, reading
from stream_app.errors import Broken

FORMAT: Final = 2
_HEAD: Final = Struct("<BBqii")
_NOTE: Final = Struct("<dddB")
_HEAD_BYTE: Final = bytes((FORMAT,))
_MOST: Final = 2**31 - 1
_pack = zstandard.ZstdCompressor(level=1, write_checksum=False).compress
_unzip = zstandard.ZstdDecompressor().decompress
#: most bytes of either frame, unpacked: a damaged one may claim any size
_LARGEST: Final = 8 << 20
_NAN: Final = float("nan")


def _unpack(frame: bytes) -> bytes:
    if zstandard.frame_content_size(frame) > _LARGEST:
        raise ValueError("a frame claims more bytes than a cell has")
    return _unzip(frame)


def encode(cell: Cell) -> bytes:
    """Bytes of a cell; the same cell always gives the same bytes with the same Zstandard. Raises :class:`Broken`."""
    scores = cell.counts.scores
    if len(scores.counts) and int(np.abs(scores.counts).max()) > _MOST:
        raise Broken(f"a cell counts one score more than {_MOST} times: the stored count has 32 bits")
    vector = _pack(cell.counts.vector.astype("<i8").tobytes())
    body = scores.values.astype("<f8").tobytes() + np.ascontiguousarray(scores.counts.T, dtype="<i4").tobytes()
    flags = scores.binned | cell.assume_negative << 1 | (cell.drift is not None) << 2
    head = _HEAD.pack(FORMAT, flags, cell.folded_to, cell.revision, len(scores.values))
    if cell.drift is not None:
        head += _note(cell.drift)
    return b"".join((head, len(vector).to_bytes(2, "little"), vector, _pack(body)))


def folded_to(value: bytes) -> int:
    """Only the epoch (ms) that a stored cell is folded to, without unpacking it."""
    with reading("cell"):
        return int(_HEAD.unpack_from(value)[2])


def add_up(values: Sequence[bytes], ordered: bool = True) -> Counts:
    """What :func:`~stream_app.core.counts.summing.total` gives for the stored cells' counts, at half the cost:
    their columns are joined as bytes and unpacked once. Raises ``UnknownFormat`` or ``Broken``."""
    for value in values:
        if value[:1] != _HEAD_BYTE:
            body(value, FORMAT, "cell")
    try:
        return _add_up(values, ordered)
    except (*UNREADABLE, zstandard.ZstdError) as error:
        raise Broken(f"a cell cannot be read ({error or type(error).__name__})") from error


def _add_up(values: Sequence[bytes], ordered: bool) -> Counts:
    if len(values) == 1 or len({value[1] & 1 for value in values}) != 1:
        return total([decode(value).counts for value in values], ordered)
    vectors: list[bytes] = []
    columns: tuple[list[bytes], ...] = tuple([] for _ in range(1 + COLUMNS))
    for value in values:
        _, flags, _, _, n = _HEAD.unpack_from(value)
        at = _HEAD.size + (_NOTE.size if flags & 4 else 0) + 2
        end = at + int.from_bytes(value[at - 2 : at], "little")
        vectors.append(_unpack(value[at:end]))
        body = _unpack(value[end:])
        columns[0].append(body[: 8 * n])
        for i in range(1, 1 + COLUMNS):
            columns[i].append(body[(4 + 4 * i) * n : (8 + 4 * i) * n])
    vector = np.frombuffer(b"".join(vectors), dtype="<i8").reshape(-1, SIZE).sum(axis=0)
    scores = np.frombuffer(b"".join(columns[0]), dtype="<f8").astype(np.float64, copy=False)
    counts = np.empty((len(scores), COLUMNS), dtype=np.int64)
    for i in range(1, 1 + COLUMNS):
        counts[:, i - 1] = np.frombuffer(b"".join(columns[i]), dtype="<i4")
    binned = bool(values[0][1] & 1)
    return Counts(vector, collect(scores, counts, binned) if ordered else ScoreSketch(scores, counts, binned))


def _note(note: DriftNote) -> bytes:
    numbers = (_NAN if x is None else x for x in (note.ks_statistic, note.p_value, note.performance_delta))
    return _NOTE.pack(*numbers, 2 if note.is_degraded is None else note.is_degraded)


def _read_note(value: bytes) -> DriftNote:
    *numbers, degraded = _NOTE.unpack_from(value, _HEAD.size)
    statistic, p_value, delta = (None if x != x else x for x in numbers)
    return DriftNote(statistic, p_value, delta, None if degraded == 2 else bool(degraded))


def decode(value: bytes, key: bytes = b"", *, scores: bool = True) -> Cell:
    """Inverse of :func:`encode`; without ``scores`` only the vector is unpacked.

    ``key``: where it stands in its table, for the message. Raises ``UnknownFormat`` or ``Broken``.
    """
    if value[:1] != _HEAD_BYTE:
        body(value, FORMAT, at_key("cell", key))
    try:
        return _decode(value, scores)
    except (*UNREADABLE, zstandard.ZstdError) as error:
        raise Broken(f"{at_key('cell', key)} cannot be read ({error or type(error).__name__})") from error


def _decode(value: bytes, scores: bool) -> Cell:
    _, flags, folded_to, revision, n = _HEAD.unpack_from(value)
    note = _read_note(value) if flags & 4 else None
    at = _HEAD.size + (_NOTE.size if flags & 4 else 0) + 2
    end = at + int.from_bytes(value[at - 2 : at], "little")
    vector = np.frombuffer(_unpack(value[at:end]), dtype="<i8", count=SIZE).astype(np.int64, copy=False)
    if not scores:
        return Cell(Counts(vector, EMPTY), folded_to, revision, bool(flags & 2), note)
    body = _unpack(value[end:])
    values = np.frombuffer(body, dtype="<f8", count=n).astype(np.float64, copy=False)
    counts = np.frombuffer(body, dtype="<i4", offset=8 * n).reshape(COLUMNS, n).T.astype(np.int64)
    return Cell(
        Counts(vector, ScoreSketch(values, counts, bool(flags & 1))), folded_to, revision, bool(flags & 2), note
    )
