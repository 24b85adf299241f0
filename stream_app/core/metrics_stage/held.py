"""Stored bytes of a held baseline: the summed counts of a version's last healthy days, one record for each kind.

A format byte, then MessagePack; the sums of working days and of weekends are Zstandard frames of a vector i8[62],
values (f8[n], u2[n] once binned) and the columns that the kind compares (i8[n] each, byte plane by byte plane, so that
the many high bytes that are zero cost nothing).

Bound: 128 kB. What is larger is binned, and binned it has at most 2 × 4,096 bins of 2 bytes and two counts of at most
5 bytes that are not zero in each: 98 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import zstandard

from stream_app.core.counts.cells import EMPTY, SIZE, Counts
from stream_app.core.counts.score_sketch import (
    COLUMNS,
    NEGATIVES,
    POSITIVES,
    PREDICTIONS,
    ScoreSketch,
    to_bins,
)
from stream_app.core.kit.codec import Codec, at_key, reading
from stream_app.core.metrics_stage.baselines import Baseline
from stream_app.core.metrics_stage.version_days import Kind
from stream_app.core.model_log import BaselineEntry
from stream_app.errors import Broken

FORMAT: Final = 1
LARGEST: Final = 128_000
#: Columns of the score sketch that a kind of comparison looks at.
_COLUMNS: Final[dict[Kind, tuple[int, ...]]] = {
    "statistical": (PREDICTIONS,),
    "performance": (POSITIVES, NEGATIVES),
}
#: Counts by row kind, of each day.
_DAILY: Final = 6
_zip = zstandard.ZstdCompressor(level=1, write_checksum=False).compress
_unzip = zstandard.ZstdDecompressor().decompress


class HeldSide(msgspec.Struct, frozen=True, array_like=True):
    """Sums over days of one kind; ``frame`` as the module says."""

    binned: bool
    rows: int
    frame: bytes


class HeldRecord(msgspec.Struct, frozen=True, array_like=True):
    """A held baseline as it is stored."""

    entry: BaselineEntry
    kind: Kind
    workdays: HeldSide
    weekends: HeldSide
    #: (day, counts by row kind); as many days as a baseline window has
    daily: list[tuple[int, list[int]]]


_codec: Final = Codec[HeldRecord](HeldRecord, FORMAT, "held baseline")
encode, decode = _codec.encode, _codec.decode


def pack(kind: Kind, baseline: Baseline) -> bytes:
    """Bytes of a baseline; its entry says ``held`` from then on."""
    value = _packed(kind, baseline, baseline.workdays.scores, baseline.weekends.scores)
    if len(value) <= LARGEST:
        return value
    return _packed(kind, baseline, to_bins(baseline.workdays.scores), to_bins(baseline.weekends.scores))


def _packed(kind: Kind, baseline: Baseline, workdays: ScoreSketch, weekends: ScoreSketch) -> bytes:
    entry = msgspec.structs.replace(baseline.entry, kind="held")
    a, b = _side(kind, baseline.workdays.vector, workdays), _side(kind, baseline.weekends.vector, weekends)
    daily = [(day, counts.vector[:_DAILY].tolist()) for day, counts in baseline.daily]
    return encode(HeldRecord(entry, kind, a, b, daily))


def unpack(value: bytes, key: bytes = b"") -> Baseline:
    """Inverse of :func:`pack`, but for the columns that the kind does not compare. Raises ``UnknownFormat`` or
    ``Broken``."""
    record = decode(value, key)
    with reading(at_key("held baseline", key)):
        try:
            workdays, weekends = _read(record.kind, record.workdays), _read(record.kind, record.weekends)
        except zstandard.ZstdError as error:
            raise Broken(f"{at_key('held baseline', key)} cannot be read ({error})") from error
        return Baseline(record.entry, workdays, weekends, [(day, _light(counts)) for day, counts in record.daily])


def entry_of(value: bytes, key: bytes = b"") -> BaselineEntry:
    """Which days a stored one holds, without unpacking them."""
    return decode(value, key).entry


def days_of(value: bytes, key: bytes = b"") -> int:
    """How many days are in its sums."""
    return len(decode(value, key).daily)


def _side(kind: Kind, vector: np.ndarray, scores: ScoreSketch) -> HeldSide:
    values = scores.values.astype("<u2" if scores.binned else "<f8").tobytes()
    planes = [_planes(scores.counts[:, column]) for column in _COLUMNS[kind]]
    frame = _zip(b"".join((vector.astype("<i8").tobytes(), values, *planes)))
    return HeldSide(scores.binned, len(scores.values), frame)


def _read(kind: Kind, side: HeldSide) -> Counts:
    columns, n = _COLUMNS[kind], side.rows
    width = 2 if side.binned else 8
    size = 8 * SIZE + (width + 8 * len(columns)) * n
    if zstandard.frame_content_size(side.frame) != size:
        raise ValueError("its sums have another size than they say")
    body = _unzip(side.frame)
    vector = np.frombuffer(body, dtype="<i8", count=SIZE).astype(np.int64, copy=False)
    at = 8 * SIZE
    values = np.frombuffer(body, dtype="<u2" if side.binned else "<f8", count=n, offset=at).astype(np.float64)
    counts = np.zeros((n, COLUMNS), dtype=np.int64)
    at += width * n
    for column in columns:
        planes = np.frombuffer(body, dtype="u1", count=8 * n, offset=at).reshape(8, n)
        counts[:, column] = np.ascontiguousarray(planes.T).view("<i8").ravel()
        at += 8 * n
    return Counts(vector, ScoreSketch(values, counts, side.binned))


def _planes(column: np.ndarray) -> bytes:
    return np.ascontiguousarray(column, dtype="<i8").view("u1").reshape(-1, 8).T.tobytes()


def _light(counts: Sequence[int]) -> Counts:
    vector = np.zeros(SIZE, dtype=np.int64)
    vector[:_DAILY] = counts
    return Counts(vector, EMPTY.scores)
