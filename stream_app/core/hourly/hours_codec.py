"""Stored bytes of a model version's day by hours (:mod:`~stream_app.core.hourly.hours`).

::

    0   u1  format, 1
    1   --  Zstandard frame: 864 varints (LEB128), column by column (36), hour by hour (24) within

Bound: a count below 2**31 takes at most 5 bytes, so a value is at most 4,320 bytes before compression. Measured: 0.4 kB
at 1,000 predictions a day, 0.7 kB at 10,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from stream_app.core.hourly.hours import COLUMNS, HOURS, HourCounts
from stream_app.core.kit.codec import UNREADABLE, at_key, body
from stream_app.errors import Broken

FORMAT: Final = 1
_WHAT: Final = "hours of a day"
_HEAD: Final = bytes((FORMAT,))
_VALUES: Final = HOURS * COLUMNS
#: most bytes of a varint here: nine hold 63 bits
_WIDEST: Final = 9
_pack = zstandard.ZstdCompressor(level=3, write_checksum=False).compress
_unzip = zstandard.ZstdDecompressor().decompress
_STEPS: Final = np.array([1 << 7 * k for k in range(1, _WIDEST)], dtype=np.int64)


def encode(counts: HourCounts) -> bytes:
    """Bytes of a day; the same counts always give the same bytes with the same Zstandard. Raises :class:`Broken` for a
    negative count: counts are sums over whole epochs, and every correction follows what it corrects."""
    values = np.ascontiguousarray(counts.T, dtype=np.int64).ravel()
    if int(values.min()) < 0:
        raise Broken("an hour counts something less than zero times: a correction came without what it corrects")
    if int(values.max()) < _STEPS[0]:
        return _HEAD + _pack(values.astype(np.uint8).tobytes())
    width = 1 + np.searchsorted(_STEPS, values, side="right")
    start = np.cumsum(width) - width
    out = np.zeros(int(width.sum()), dtype=np.uint8)
    for k in range(int(width.max())):
        more = width > k
        out[start[more] + k] = (values[more] >> 7 * k & 127) | np.where(width[more] > k + 1, 128, 0)
    return _HEAD + _pack(out.tobytes())


def decode(value: bytes, key: bytes = b"") -> HourCounts:
    """Inverse of :func:`encode`. ``key``: where it stands in its table. Raises ``UnknownFormat`` or ``Broken``."""
    if value[:1] != _HEAD:
        body(value, FORMAT, at_key(_WHAT, key))
    try:
        found: HourCounts = _values(_frame(value), 1)[0]
    except (*UNREADABLE, zstandard.ZstdError) as error:
        raise Broken(f"{at_key(_WHAT, key)} cannot be read ({error or type(error).__name__})") from error
    return found


def read_days(values: Sequence[bytes]) -> NDArray[np.int64]:
    """Several days at once, at a fraction of the cost; shape (n, 24, 36). Raises ``UnknownFormat`` or ``Broken``."""
    for value in values:
        if value[:1] != _HEAD:
            body(value, FORMAT, _WHAT)
    try:
        return _values(b"".join([_frame(value) for value in values]), len(values))
    except (*UNREADABLE, zstandard.ZstdError) as error:
        raise Broken(f"{_WHAT} cannot be read ({error or type(error).__name__})") from error


def _frame(value: bytes) -> bytes:
    frame = memoryview(value)[1:]
    if zstandard.frame_content_size(frame) > _VALUES * _WIDEST:
        raise ValueError("a frame claims more bytes than a day has")
    found: bytes = _unzip(frame)
    if found and found[-1] > 127:
        raise ValueError("the last number does not end")
    return found


def _values(packed: bytes, days: int) -> NDArray[np.int64]:
    octets = np.frombuffer(packed, dtype=np.uint8)
    if len(octets) == days * _VALUES:
        if len(octets) and int(octets.max()) > 127:
            raise ValueError("too few numbers")
        numbers = octets.astype(np.int64)
    else:
        ends = np.flatnonzero(octets < 128)
        if len(ends) != days * _VALUES:
            raise ValueError(f"{len(ends)} numbers where {days * _VALUES} belong")
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        width = ends - starts + 1
        if int(width.max()) > _WIDEST:
            raise ValueError("a number of more than 63 bits")
        numbers = (octets[starts] & 127).astype(np.int64)
        for k in range(1, int(width.max())):
            wider = np.flatnonzero(width > k)
            numbers[wider] |= (octets[starts[wider] + k] & 127).astype(np.int64) << 7 * k
    return np.ascontiguousarray(numbers.reshape(days, COLUMNS, HOURS).transpose(0, 2, 1))
