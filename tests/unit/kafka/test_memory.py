"""What unpacked batches may take of a process' memory."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from schemas.deadletters import build
from schemas.unreadable import Unreadable
from stream_app.kafka import batches, budget, faults, unpacking
from stream_app.kafka.record import Record
from tests.support.batches import CODECS, TP, Assignment, Clock, State, batch, compress, record, varint


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (batches, faults, budget):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_unpacking_allocates_no_more_than_the_bound() -> None:
    for codec in ("gzip", "snappy", "snappy-raw", "lz4", "zstd"):
        packed = compress(codec, bytes(50 << 20))
        tracemalloc.start()
        with pytest.raises(unpacking.TooLarge):
            unpacking.unpack(CODECS[codec.split("-")[0]], memoryview(packed), bytearray(), 8 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (12 << 20) + 3 * len(packed), codec


def test_partitions_wait_for_their_turn_and_lose_nothing(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Two partitions whose batches do not fit side by side, read a few records at a time in turn."""
    monkeypatch.setattr(batches, "MOST", 3 << 20)
    monkeypatch.setattr(batches, "BUDGET", budget.Budget(4 << 20))
    big = [record(i, b"k%d" % i, b"v%d|" % i + b"0" * 250_000) for i in range(10)]
    readers = []
    for _ in range(3):
        assignment = Assignment(State(10))
        records: Any = batches.PartitionRecords(
            TP, batches.Batches(batch(0, big, codec="gzip")), [], 0, None, None, True, 1
        )
        readers.append(batches.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0.1))
    got: list[list[int]] = [[], [], []]
    for _ in range(200):
        for found, reader in zip(got, readers, strict=True):
            if reader.has_more():
                found += [r.offset for r in reader.getall(3)]
        assert sum(lease.size for lease in batches.BUDGET._leases) <= 4 << 20
        clock.now += 0.1
    assert got == [list(range(10))] * 3


def test_a_partition_that_stands_still_gives_its_room_away(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    small = budget.Budget(10)
    idle = small.lease(iter([1, 2]), 8, small=1)
    assert idle.take() == 1
    assert small.room(1) == 2
    clock.now += 2
    assert small.room(5) == 10
    with pytest.raises(budget.Evicted):
        idle.take()


@pytest.mark.parametrize("codec", [*CODECS, "snappy-raw"])
@pytest.mark.parametrize(("each", "size"), [(1, 6 << 20), (40, 150_000), (4_000, 1_500)])
@pytest.mark.parametrize("most", [None, 7])
def test_a_poll_hands_out_little_of_what_is_unpacked_and_the_next_goes_on(
    codec: str, each: int, size: int, most: int | None
) -> None:
    """Three partitions of one consumer, each with a fetch of ten batches of 6 MB."""
    readers, last = [], 10 * each
    packed = [
        batch(at, [record(i, b"k", bytes(size)) for i in range(each)], codec=codec) for at in range(0, last, each)
    ]
    for _ in range(3):
        fetched = batches.Batches(b"".join(packed))
        records: Any = batches.PartitionRecords(TP, fetched, [], 0, None, None, True, 1)
        made = Assignment(State(last))
        readers.append(batches.FetchResult(TP, assignment=made, partition_records=records, backoff=0.1))
    got: list[list[int]] = [[], [], []]
    while any(reader.has_more() for reader in readers):
        with budget.polling():
            given = [reader.getall(most) if reader.has_more() else [] for reader in readers]
        for found, part in zip(got, given, strict=True):
            found += [record.offset for record in part]
        for part in given:
            assert codec == "none" or sum(len(record.value) for record in part) <= budget.SHARE + (6 << 20)
        assert any(given)
        assert sum(lease.size for lease in batches.BUDGET._leases) <= budget.TOTAL
    assert got == [list(range(last))] * 3
    assert not batches.BUDGET._leases


@pytest.mark.parametrize("where", ["key", "value", "header"])
def test_a_record_that_is_larger_than_any_in_use_is_oversized_alone(where: str) -> None:
    large = bytes(batches.LARGEST)
    key, value, header = (large if name == where else b"x" for name in ("key", "value", "header"))
    rows = [record(0, b"k", b"v"), record(1, key, value, [(b"h", header)]), record(2, b"k", b"v")]
    records: Any = batches.PartitionRecords(
        TP, batches.Batches(batch(0, rows, codec="zstd")), [], 0, None, None, True, 1
    )
    reader = batches.FetchResult(TP, assignment=Assignment(State(3)), partition_records=records, backoff=0.1)
    first, odd, third = reader.getall()
    assert [first.offset, odd.offset, third.offset] == [0, 1, 2]
    assert (first.value, third.value) == (b"v", b"v")
    assert isinstance(odd.value, Unreadable)
    assert (odd.value.reason, odd.value.records, odd.value.last_offset) == ("oversized", 1, 1)
    assert len(odd.value) <= batches.KEPT + 1
    # the same dead-lettered record as of one that was handed out whole
    whole = Record(odd.topic, odd.partition, 1, odd.timestamp, odd.timestamp_type, key, value, (("h", header),))
    assert build(odd, "labels", "oversized", "") == build(whole, "labels", "oversized", "")


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
@pytest.mark.parametrize("most", [None, 3])
def test_a_record_that_is_damaged_in_what_a_later_poll_hands_out_costs_itself_alone(
    codec: str, most: int | None
) -> None:
    rows = [record(i, b"k", bytes(1 << 20)) for i in range(20)]
    rows[13] = varint(21) + bytes(21)
    records: Any = batches.PartitionRecords(
        TP, batches.Batches(batch(0, rows, codec=codec)), [], 0, None, None, True, 1
    )
    reader = batches.FetchResult(TP, assignment=Assignment(State(20)), partition_records=records, backoff=0.1)
    polls = []
    while reader.has_more():
        with budget.polling():
            polls.append(reader.getall(most))
    found = [row for poll in polls for row in poll]
    assert [row.offset for row in found] == list(range(20))
    assert [row.offset for row in found if isinstance(row.value, Unreadable)] == [13]
    assert getattr(found[13].value, "reason", None) == "unreadable_record"
    assert len(polls) > 3
    assert all(len(poll) <= 8 for poll in polls)
    assert not batches.BUDGET._leases


def test_what_is_left_of_a_batch_is_let_go_with_its_reader() -> None:
    rows = [record(i, b"k", bytes(1 << 20)) for i in range(20)]
    records: Any = batches.PartitionRecords(
        TP, batches.Batches(batch(0, rows, codec="zstd")), [], 0, None, None, True, 1
    )
    reader = batches.FetchResult(TP, assignment=Assignment(State(20)), partition_records=records, backoff=0.1)
    with budget.polling():
        assert 0 < len(reader.getall()) < 20
    assert batches.BUDGET._leases
    del reader, records
    gc.collect()
    assert not batches.BUDGET._leases
