"""The batch reader of every consumer: no batch that can be fetched stops a partition or takes its neighbours along.

aiokafka reads the batches of a fetch inside ``getmany`` and raises for one that it cannot read; by then it has moved
the positions of the other partitions it drained in the same call, so nobody can catch that and lose nothing. So the
reader itself is replaced, once for the process: :func:`install` puts three classes in the place of aiokafka's own.
Batches are still parsed by aiokafka's C code; only where that raised, :mod:`.salvage` reads the batch record by record.

What cannot be read becomes a record whose value is :class:`~schemas.unreadable.Unreadable`. It carries the *last*
offset it stands for, so that a position after it never lies inside the batch.

- A batch that cannot be unpacked: at once, its header is sound. Unpacking is bounded (:mod:`.unpacking`).
- A batch whose checksum is wrong or whose length does not frame: the partition yields nothing while it is fetched
  again, three times over ten seconds; then it is passed by, up to where the next sound batch begins. The reader goes
  on with a new fetch, since what it knew of open transactions may stand in the bytes it could not read.
- A record damaged inside a sound batch: that record alone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch

from schemas.deadletters import too_large
from schemas.unreadable import Unreadable
from stream_app.kafka import legacy, salvage
from stream_app.kafka.budget import BUDGET, Evicted, Lease, hands_out, is_full, next_partition
from stream_app.kafka.faults import HEADER, LENGTH, MAGIC_AT, OVERHEAD, Extent, KeptFaults, attempts_of, checked, extent
from stream_app.kafka.record import Batches, Record
from stream_app.kafka.unpacking import MOST, NotUnpacked, TooLarge, unpack

log = logging.getLogger(__name__)

#: Bytes of an unreadable batch that are kept: enough for its header and a look inside.
KEPT: Final = 1024

_CODEC_BITS = 0x07
_APPEND_TIME_BIT = 0x08
_SMALL = 1 << 20

#: bytes of one record, unpacked: eight times what an input record may have, four times the largest that we write
LARGEST: Final = 8 << 20


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """Records of one partition's fetch, in the order of their offsets."""

    _records: Batches
    next_fetch_offset: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._key_deserializer or self._value_deserializer:
            raise ValueError("records are handed out as bytes: decode them where they are read")
        #: monotonic time before which there is nothing to do here, while a batch waits to be fetched again
        self.due: float | None = None
        #: whether it ended to wait for its turn, with records left in the buffer
        self.waits = False
        self.state: Any = None
        #: whether the broker says that it cannot read its log here
        self.unserved = False
        self._at = 0
        #: a large batch of which a poll has handed out a part
        self._lease: Lease | None = None

    def __del__(self) -> None:
        """Nobody goes on with it."""
        lease = getattr(self, "_lease", None)
        if lease is not None:
            BUDGET.give_back(lease)

    def resume(self) -> None:
        """Go on where it stopped to wait."""
        self.waits = False
        self._records_iterator = self._unpack_records()

    # -- batches ---------------------------------------------------------------------------------------------------

    def _unpack_records(self) -> Iterator[Record]:
        buffer = self._records.buffer
        view, end = memoryview(buffer), len(buffer)
        if self.unserved:
            yield from self._faulty(Extent(b"", self.next_fetch_offset, 1, 0), buffer)
        while end - self._at > MAGIC_AT:
            at = self._at
            stop = at + OVERHEAD + LENGTH.unpack_from(buffer, at + 8)[0]
            if at and stop > end:
                self._keep(buffer[at:])
                return  # the last batch of a fetch is cut where the fetch ends, or its length is wrong
            batch = self._sound(view, at, stop)
            if batch is None:
                if at:
                    self._keep(buffer[at:])
                    return  # fetched again, it is the first
                found = extent(buffer, self.next_fetch_offset)
                if found.last >= self.next_fetch_offset:
                    yield from self._faulty(found, buffer)
                    return
                self._at = found.stop
                continue
            last = batch.next_offset - 1
            if buffer[MAGIC_AT + at] < 2:
                yield from self._legacy(view[at:stop], last)
                if self.waits:
                    return
            elif not self._passed_over(batch):
                count, data = HEADER.unpack_from(buffer, at)[12], view[at:stop]
                if batch.compression_type and (count or len(data) > HEADER.size):
                    frame = (batch.base_offset, last, count)
                    yield from self._compressed(data, frame, batch.timestamp_type, batch.max_timestamp)
                    if self.waits:
                        return
                else:
                    start, expected = self.next_fetch_offset, batch.base_offset
                    # aiokafka's own loop, over local names: this runs for every record
                    topic, partition, kind = self._tp.topic, self._tp.partition, batch.timestamp_type
                    try:
                        for record in batch:
                            offset = record.offset
                            if not expected <= offset <= last:
                                raise ValueError(f"a record at offset {offset}")
                            expected = offset + 1
                            if offset < start:
                                continue
                            self.next_fetch_offset = expected
                            yield Record(
                                topic, partition, offset, record.timestamp, kind, record.key, record.value,
                                tuple(record.headers),
                            )  # fmt: skip
                    except Exception as error:
                        yield from self._salvaged(data, error)
            self.next_fetch_offset = max(self.next_fetch_offset, last + 1)
            self._at = stop

    def _sound(self, view: memoryview, at: int, stop: int) -> Any:
        """The batch, if it frames, its checksum is right and it stands where a batch may; else ``None``."""
        batch = checked(view, at, stop)
        if batch is None:
            return None
        after = batch.next_offset
        highwater = getattr(self.state, "highwater", None)
        if after <= self.next_fetch_offset or (highwater is not None and after > highwater):
            return None  # base offset and length are not in the checksum
        if view[at + MAGIC_AT] == 2 and batch.base_offset > self.next_fetch_offset and len(view) - stop > MAGIC_AT:
            following = int.from_bytes(view[stop : stop + 8], "big", signed=True)
            if following < after and view[stop + MAGIC_AT] == 2:
                return None
        return batch

    def _passed_over(self, batch: Any) -> bool:
        """Whether it holds no records for us: markers, and what a transaction took back."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._aborts(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _aborts(self, batch: Any) -> bool:
        try:
            marker = next(iter(batch))
            return bool(ControlRecord.parse(marker.key) == ABORT_MARKER)
        except Exception:
            log.warning("%s: the marker at offset %d cannot be read", self._where(), batch.base_offset)
            return True  # an abort ends what is taken back; of a commit there was nothing to end

    # -- what aiokafka does not read -------------------------------------------------------------------------------

    def _is_next_polls(self) -> bool:
        """Whether this poll has handed out enough: then the partition waits for the next."""
        self.waits = is_full()
        return self.waits

    def _compressed(self, data: memoryview, frame: tuple[int, int, int], kind: int, max_ms: int) -> Iterator[Record]:
        if self._is_next_polls():
            return
        base, last, count = frame
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                yield from self._taken(lease, (base, last), kind)
                return
            except _Misread:
                pass  # its bytes are needed again, to save what stands behind the damage
        plain = bytearray(data[: HEADER.size])
        codec = plain[22] & _CODEC_BITS
        room = max(_SMALL, BUDGET.room(MOST))
        try:
            unpack(codec, data[HEADER.size :], plain, min(MOST, room))
        except TooLarge as error:
            if room < MOST:
                self.waits = True
                return
            yield self._unreadable(data, (base, last), count, str(error), max_ms)
            return
        except NotUnpacked as error:
            yield self._unreadable(data, (base, last), count, str(error), max_ms)
            return
        plain[22] &= ~_CODEC_BITS
        LENGTH.pack_into(plain, 8, len(plain) - OVERHEAD)
        lease = BUDGET.lease(iter(DefaultRecordBatch(plain)), len(plain), small=_SMALL)
        if not lease.held:
            hands_out(len(plain))
        try:
            yield from self._taken(lease, (base, last), kind)
        except _Misread as error:
            yield from self._salvaged(memoryview(plain), error)

    def _taken(self, lease: Lease, span: tuple[int, int], kind: int) -> Iterator[Record]:
        """What is left of an unpacked batch, or as much of a large one as this poll may hand out."""
        try:
            yield from self._leased(lease, span, kind)
        except Evicted:
            self.waits = True
        finally:
            if self._lease is None:
                BUDGET.give_back(lease)

    def _leased(self, lease: Lease, span: tuple[int, int], kind: int) -> Iterator[Record]:
        start, expected, last = self.next_fetch_offset, span[0], span[1]
        topic, partition, large = self._tp.topic, self._tp.partition, lease.held
        take: Any = lease.take if large else lease.iterator.__next__
        while True:
            if large and self.next_fetch_offset <= last and self._is_next_polls():
                self._lease = lease
                return
            try:
                record = take()
                offset, key, value, headers = record.offset, record.key, record.value, tuple(record.headers)
            except StopIteration:
                return
            except Evicted:
                raise
            except Exception as error:
                raise _Misread(str(error)) from error
            if not expected <= offset <= last:
                raise _Misread(f"a record at offset {offset}")
            expected = offset + 1
            if offset < start:
                continue
            self.next_fetch_offset = expected
            made = Record(topic, partition, offset, record.timestamp, kind, key, value, headers)
            if large:
                made = self._small_enough(made)
                hands_out(made.size)
            yield made

    def _salvaged(self, batch: memoryview, error: Exception) -> Iterator[Record]:
        """The rest of a sound, unpacked batch that the C parser raised on."""
        base, _, _, _, _, attributes, delta, first_ms, max_ms, _, _, _, count = HEADER.unpack_from(batch)
        last, start, (topic, partition) = base + delta, self.next_fetch_offset, self._tp
        appended = max_ms if attributes & _APPEND_TIME_BIT else None
        kind = int(appended is not None)
        log.warning("%s: reading the batch at offset %d record by record: %s", self._where(), base, error)
        frame = salvage.Frame(base, last, count if 0 < count <= delta + 1 else delta + 1, first_ms, appended)
        for item in salvage.records(bytes(batch[HEADER.size :]), frame):
            if isinstance(item, salvage.Salvaged):
                if item.offset < start:
                    continue
                self.next_fetch_offset = item.offset + 1
                made = Record(topic, partition, item.offset, item.timestamp, kind, item.key, item.value, item.headers)
                hands_out(made.size)
                yield self._small_enough(made)
            elif item.last >= start:
                yield self._unreadable(
                    item.raw, (item.offset, item.last), item.records, item.error, max_ms, reason="unreadable_record"
                )

    def _legacy(self, message: memoryview, last: int) -> Iterator[Record]:
        """A message of format 0 or 1, or the messages that are packed in it."""
        if self._is_next_polls():
            return
        try:
            found = legacy.records(message, self.next_fetch_offset)
        except NotUnpacked as error:
            yield self._unreadable(message, (self.next_fetch_offset, last), 0, str(error), 0)
            return
        hands_out(sum(len(each.key or b"") + len(each.value or b"") for each in found))
        for offset, timestamp, kind, key, value in found:
            if offset < self.next_fetch_offset or offset > last:
                continue
            self.next_fetch_offset = offset + 1
            made = Record(self._tp.topic, self._tp.partition, offset, timestamp, kind, key, value)
            yield self._small_enough(made)

    def _faulty(self, found: Extent, buffer: bytes) -> Iterator[Record]:
        """The first batch of the fetch fails its checksum or does not frame: again later, or passed by."""
        first = self.next_fetch_offset
        self.due = attempts_of(self.state).wait(first, hashlib.sha256(found.raw).hexdigest())
        if self.due is not None:
            self._keep(buffer)
            log.warning("%s: the batch at offset %d fails its checksum; it is fetched again", self._where(), first)
            return
        error = "the broker cannot read its log there" if self.unserved else "its checksum or its length is wrong"
        yield self._unreadable(found.raw, (first, found.last), found.records, error, 0)
        self._keep(buffer[found.stop :] if found.stop else b"")

    def _keep(self, rest: bytes) -> None:
        """In case that the broker cannot serve the log from here on."""
        aborted = [(producer, self.next_fetch_offset) for producer in self._aborted_producers]
        more = len(rest) > MAGIC_AT
        kept = KeptFaults(self.next_fetch_offset, rest, [*aborted, *self._aborted_transactions]) if more else None
        attempts_of(self.state).kept = kept

    def _small_enough(self, record: Record) -> Record:
        """The record, or what stands in its place if it is larger than any that somebody has a use for."""
        if record.size <= LARGEST:
            return record
        value = too_large(record.key, record.value, record.headers, record.offset)
        log.warning("%s: oversized at offset %d: %s", self._where(), record.offset, value.error)
        return msgspec.structs.replace(record, key=None, value=value, headers=())

    # -- markers ---------------------------------------------------------------------------------------------------

    def _where(self) -> str:
        return f"{self._tp.topic}[{self._tp.partition}]"

    def _unreadable(
        self, raw: bytes | memoryview, span: tuple[int, int], count: int, error: str, timestamp: int,
        *, reason: str = "unreadable_batch",
    ) -> Record:  # fmt: skip
        first, last = max(span[0], self.next_fetch_offset), span[1]
        offsets = last - first + 1
        records = count if 0 < count <= offsets else offsets
        kept = bytes(raw[:KEPT])
        if b"\0" not in kept:
            kept = b"\0" + kept  # no decoder takes it for a message, whatever a producer wrote
        value = Unreadable.of(
            kept, reason=reason, error=error, span=(first, last), records=records,
            sha256=hashlib.sha256(raw).hexdigest(),
        )  # fmt: skip
        self.next_fetch_offset = last + 1
        log.warning("%s: %s at offsets %d to %d: %s", self._where(), reason, first, last, error)
        return Record(self._tp.topic, self._tp.partition, last, max(0, timestamp), 0, None, value)


class _Misread(ValueError):
    """The C parser raised, or read what cannot stand there."""


class FetchResult(fetcher.FetchResult):  # type: ignore[misc]
    """One partition's fetch; keeps a partition that waits from being fetched in a circle."""

    _partition_records: PartitionRecords | None

    def __init__(self, tp: Any, *, assignment: Any, partition_records: PartitionRecords, backoff: float) -> None:
        super().__init__(tp, assignment=assignment, partition_records=partition_records, backoff=backoff)
        partition_records.state = assignment.state_value(tp)

    def getall(self, max_records: int | None = None) -> list[Record]:
        """Records that are there; none while the partition waits."""
        kept: PartitionRecords | None = self._partition_records
        if kept is None:
            return []
        if kept.due is not None and kept.due > time.monotonic() and self.check_assignment(self._topic_partition):
            return []
        if not self.check_assignment(self._topic_partition):
            return []
        next_partition()
        iterator = kept._records_iterator or ()
        found = list(iterator if max_records is None else islice(iterator, max_records))
        self._update_position()
        if max_records is None or len(found) < max_records:
            self._partition_records = None
            self._keep(kept)
        return found

    def getone(self) -> Record | None:
        """One record, or ``None`` if there is none now."""
        kept: PartitionRecords | None = self._partition_records
        found: Record | None = super().getone()
        if kept is not None:
            self._keep(kept)
        return found

    def _keep(self, kept: PartitionRecords) -> None:
        if self._partition_records is not None or not self._assignment.active:
            return
        if kept.waits:
            kept.resume()
            self._partition_records = kept
        elif kept.due is not None and kept.due > time.monotonic():
            self._partition_records = kept


def install() -> None:
    """Put these classes in the place of aiokafka's, for every consumer that this process makes from now on."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords = PartitionRecords
    fetcher.FetchResult = FetchResult
