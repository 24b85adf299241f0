"""A batch whose checksum is wrong, or that does not frame: how often it is fetched, and where it ends."""

from __future__ import annotations

import hashlib
import struct
import time
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from stream_app.kafka.unpacking import MOST

#: Seconds before each further fetch of a batch with a wrong checksum. A fault on the way or in a page of memory is gone
#: with the next fetch; one on the broker's disk is not gone after an hour either.
AGAIN_S: Final = (1.0, 3.0, 6.0)

LENGTH = struct.Struct(">i")
HEADER = struct.Struct(">qiibIhiqqqhii")
OVERHEAD = 12
MAGIC_AT = 16
_SMALLEST = 26  # a legacy message without key and value


class KeptFaults(NamedTuple):
    """What came of a partition's log from a damaged batch on, at the offset that is wanted next.

    ``aborted``: (producer, first offset) of transactions in it that were taken back.
    """

    offset: int
    buffer: bytes
    aborted: list[tuple[int, int]]


class Attempts:
    """Fetches of the batch at which a partition stands and that fails its checksum."""

    __slots__ = ("count", "due", "given_up", "kept", "offset")

    def __init__(self) -> None:
        self.kept: KeptFaults | None = None
        self.offset = -1
        self.count = 0
        self.due = 0.0
        #: digest of the batch given up last: bytes passed by piecemeal are not tried again for each offset
        self.given_up = ""

    def wait(self, offset: int, digest: str) -> float | None:
        """Monotonic time of the next fetch, or ``None`` when there were enough."""
        now = time.monotonic()
        if digest == self.given_up:
            return None
        if offset != self.offset:
            self.offset, self.count, self.due = offset, 0, now + AGAIN_S[0]
        elif now >= self.due:
            self.count += 1
            if self.count == len(AGAIN_S):
                self.given_up = digest
                return None
            self.due = now + AGAIN_S[self.count]
        return self.due

    def served(self) -> None:
        """The broker answers again: what it could not serve next is waited for anew, and what was kept has no use."""
        self.kept = None
        if self.given_up == NOTHING:
            self.given_up = ""


#: digest of an offset for which the broker has no bytes
NOTHING: Final = hashlib.sha256().hexdigest()

_ATTEMPTS: WeakKeyDictionary[Any, Attempts] = WeakKeyDictionary()


def attempts_of(state: Any) -> Attempts:
    """Of a consumer's partition, by aiokafka's state of it."""
    return _ATTEMPTS.setdefault(state, Attempts())


def known_attempts(state: Any) -> Attempts | None:
    """The same, if there were any."""
    return _ATTEMPTS.get(state) if state is not None else None


def checked(view: memoryview, at: int, stop: int) -> Any:
    """The batch between two positions if it has a batch's form and its checksum is right, else ``None``."""
    if not _SMALLEST <= stop - at <= min(len(view) - at, MOST):
        return None
    magic = view[at + MAGIC_AT]
    try:
        if magic == 2:
            if stop - at < HEADER.size:
                return None
            batch: Any = DefaultRecordBatch(view[at:stop])
        elif magic < 2:
            batch = LegacyRecordBatch(view[at:stop], magic)
        else:
            return None
        return batch if batch.validate_crc() else None
    except Exception:
        return None


class Extent(NamedTuple):
    """What stands at a buffer's start in the place of a batch. ``last`` is before the first offset that is wanted where
    nothing of that is lost; ``records`` 0 if nobody knows; ``stop`` where the next sound batch begins, 0 without one.
    """

    raw: bytes
    last: int
    records: int
    stop: int


def extent(buffer: bytes, first: int) -> Extent:
    """Where a batch ends whose header cannot be believed; ``first`` is the offset that is wanted.

    It ends where the next sound batch begins. Without one in this fetch its header is believed only where its fields
    say the same twice; else one offset is passed by, and the next fetch begins at the one after.

    A batch whose base offset is damaged stands in front of what a broker answers for later offsets too: it looks for
    the first batch that ends at the wanted one or after, and goes by the headers. Nothing of those is lost by it.
    """
    view, end = memoryview(buffer), len(buffer)
    framed = OVERHEAD + LENGTH.unpack_from(buffer, 8)[0]
    base = delta = count = -1
    if end >= HEADER.size and buffer[MAGIC_AT] == 2:
        base, _, _, _, _, _, delta, _, _, _, _, _, count = HEADER.unpack_from(buffer)
    agrees = 0 <= delta < 1 << 31 and count == delta + 1
    at, last = _following(view, framed, first)
    if at:
        return Extent(buffer[:at], last, count if agrees else 0, at)
    if agrees and base <= first <= base + delta and _SMALLEST <= framed <= end:
        return Extent(buffer[:framed], base + delta, count, 0)
    return Extent(buffer[: framed if _SMALLEST <= framed <= end else end], first, 1, 0)


def _following(view: memoryview, framed: int, first: int) -> tuple[int, int]:
    """(position of the next sound batch that ends at ``first`` or after, offset before its first), or zeros."""
    buffer, end = bytes(view), len(view)
    at = framed if _SMALLEST <= framed < end else 0
    position = 0
    while True:
        if at and end - at > MAGIC_AT and -(1 << 31) < (base := _base(view, at)) - first < 1 << 31:
            batch = checked(view, at, at + OVERHEAD + LENGTH.unpack_from(view, at + 8)[0])
            if batch is not None and batch.next_offset > first:
                return at, base - 1
        found = buffer.find(b"\x02", position + 1 + MAGIC_AT)
        if found < 0:
            return 0, 0
        at = position = found - MAGIC_AT


def _base(view: memoryview, at: int) -> int:
    return int.from_bytes(view[at : at + 8], "big", signed=True)
