"""What unpacked batches may take of a process' memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from stream_app.kafka import batches, budget, faults, unpacking
from tests.support.batches import CODECS, TP, Assignment, Clock, State, batch, compress, record


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
