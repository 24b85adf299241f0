"""Records of a sound batch of which aiokafka could not read all: those that can be read, and what cannot.

Only batches come here that the C parser raised on, so this is written for certainty, not for speed. Every record that
the batch's header counts appears once: as it is, with header names that are no UTF-8 escaped, or as :class:`Lost`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """What a batch's header says. Offsets are the log's, times epoch ms."""

    base: int
    last: int
    records: int
    first_ms: int
    #: time of every record, for batches that the broker stamped
    appended_ms: int | None


class Salvaged(NamedTuple):
    """A record that can be read."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Lost(NamedTuple):
    """One record or more that cannot be read: first and last offset, how many, their bytes, why."""

    offset: int
    last: int
    records: int
    raw: bytes
    error: str


class _Damaged(ValueError):
    """``end``: where the record ends if its own fields are believed, -1 if they run out of the batch."""

    def __init__(self, message: str, end: int = -1) -> None:
        super().__init__(message)
        self.end = end


def records(data: bytes, frame: Frame) -> Iterator[Salvaged | Lost]:
    """All ``frame.records`` records of the unpacked ``data``, in the order they stand."""
    at, seen, expected = 0, 0, frame.base
    while seen < frame.records and at < len(data):
        left = frame.records - seen
        try:
            record, end = _record(data, at, frame, expected)
        except _Damaged as damage:
            end = _next(data, at, left, damage.end)
            if end < 0:
                yield Lost(expected, frame.last, left, bytes(data[at:]), str(damage))
                return
            # one record is lost, and its offset is the one that is missing
            after = _offset(data, end, frame, expected + 1)
            offset = min(expected, frame.last) if after is None else after - 1
            yield Lost(expected, max(expected, offset), 1, bytes(data[at:end]), str(damage))
            expected = max(expected, offset) + 1
        else:
            yield record
            expected = record.offset + 1
        at, seen = end, seen + 1
    left = frame.records - seen
    if expected <= frame.last and (left or at < len(data)):
        yield Lost(
            expected, frame.last, left or frame.last - expected + 1, bytes(data[at:]),
            f"the batch counts {frame.records} records and holds {seen}",
        )  # fmt: skip


def _next(data: bytes, at: int, left: int, inner: int) -> int:
    """Where the record after a damaged one begins, -1 if that is lost.

    By the record's length, or by its fields if the length is what is damaged: whichever leads through all that follow.
    """
    try:
        length, begin = _varint(data, at)
    except _Damaged:
        framed = -1
    else:
        framed = begin + length if 0 < length <= len(data) - begin else -1
    for end in (framed, inner):
        if end > at and _leads_to_the_end(data, end, left - 1):
            return end
    return -1


def _leads_to_the_end(data: bytes, at: int, left: int) -> bool:
    for _ in range(left):
        try:
            length, at = _varint(data, at)
        except _Damaged:
            return False
        if not 0 < length <= len(data) - at:
            return False
        at += length
    return at == len(data)


def _offset(data: bytes, at: int, frame: Frame, least: int) -> int | None:
    """Offset of the record there, if it can be read."""
    try:
        return _record(data, at, frame, least)[0].offset
    except _Damaged:
        return None


def _record(data: bytes, at: int, frame: Frame, least: int) -> tuple[Salvaged, int]:
    length, at = _varint(data, at)
    begin = at
    at += 1  # attributes, unused
    delta_ms, at = _varint(data, at)
    delta, at = _varint(data, at)
    key, at = _bytes(data, at)
    value, at = _bytes(data, at)
    count, at = _varint(data, at)
    if not 0 <= count <= len(data) - at:
        raise _Damaged(f"a record with {count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(data, at)
        if name is None:
            raise _Damaged("a header without a name")
        content, at = _bytes(data, at)
        headers.append((name.decode("utf-8", "backslashreplace"), content))
    if at - begin != length:
        raise _Damaged(f"a record of {at - begin} bytes says that it has {length}", at)
    offset, timestamp = frame.base + delta, frame.first_ms + delta_ms
    if not least <= offset <= frame.last:
        raise _Damaged(f"a record at offset {offset}, where {least} to {frame.last} are left", at)
    if frame.appended_ms is not None:
        timestamp = frame.appended_ms
    if not -(1 << 63) <= timestamp < 1 << 63:
        raise _Damaged("a record whose time is no number of 64 bits", at)
    return Salvaged(offset, timestamp, key, value, tuple(headers)), at


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    if length < 0:
        return None, at
    if length > len(data) - at:
        raise _Damaged(f"a field of {length} bytes, where {len(data) - at} are left")
    return bytes(data[at : at + length]), at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Damaged("a number that does not end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
