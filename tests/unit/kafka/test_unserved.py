"""What a broker cannot serve: read from what it sent before, passed by where there is nothing of it."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher

from schemas.unreadable import Unreadable
from stream_app.kafka import batches, budget, faults, unserved
from tests.support.batches import TP, Assignment, Clock, State, batch, record


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (batches, faults, budget):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(unserved, "_PAUSE_S", 0)
    return clock


def _sound(base: int) -> bytes:
    return batch(base, [record(i, b"k", b"v%d" % (base + i)) for i in range(5)], codec="lz4")


class Broker:
    """Serves a log as bytes; behind a length that is wrong it finds nothing, as far as no index leads on."""

    def __init__(self, answers: dict[int, bytes], error: int, throttle_ms: int = 0, before: bytes = b"") -> None:
        self.answers, self.error, self.throttle_ms, self.before = answers, error, throttle_ms, before
        self.asked: list[int] = []

    async def send(self, node: int, request: Any) -> Any:
        offset = request.topics[-1][1][0][1]
        self.asked.append(offset)
        found = self.answers.get(offset)
        error, highwater = (0, 20) if found or not self.error else (self.error, -1)
        topics: list[Any] = [("topic", [(TP.partition, error, highwater, highwater, 0, [], -1, found)])]
        if self.before:
            topics.insert(0, ("another", [(0, 0, 9, 9, 0, [], -1, self.before)]))
        return SimpleNamespace(topics=topics, API_VERSION=11, throttle_time_ms=self.throttle_ms)


class States(Assignment):
    """A partition's state as the fetcher wants it."""

    def __init__(self) -> None:
        self.state = State(20)
        self.state.has_valid_position = True  # type: ignore[attr-defined]
        self.another = State(0)
        super().__init__(self.state)

    def state_value(self, tp: Any) -> State:
        return self.state if tp == TP else self.another


async def _read(broker: Broker, clock: Clock, rounds: int = 60) -> list[Any]:
    """As aiokafka does: fetch where nothing is left to read, take what is there."""
    made = unserved.Fetcher.__new__(unserved.Fetcher)
    made._client, made._records, made._isolation_level = unserved._Client(broker), {}, fetcher.READ_COMMITTED
    made._client_rack, made._rack_warning_logged, made._preferred_read_replica = "", False, {}
    made._key_deserializer = made._value_deserializer = None
    made._check_crcs, made._prefetch_backoff, made._retry_backoff = True, 0.1, 0
    assignment = States()
    assignment.another.has_valid_position = False  # type: ignore[attr-defined]
    got: list[Any] = []
    for _ in range(rounds):
        if assignment.state.position == 20:
            break
        if TP not in made._records:
            parts = [("topic", [(TP.partition, assignment.state.position, 1 << 20)])]
            if broker.before:
                parts.insert(0, ("another", [(0, 0, 1 << 20)]))
            await made._proc_fetch_request(assignment, 1, SimpleNamespace(topics=parts))
        result = made._records.get(TP)
        if result is not None:
            got += result.getall()
            if not result.has_more():
                del made._records[TP]
        clock.now += 0.5
    return [
        (r.value.offset, r.value.last_offset, r.value.records) if isinstance(r.value, Unreadable) else r.offset
        for r in got
    ]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MemoryRecords", "PartitionRecords", "FetchResult"):
        monkeypatch.setattr(fetcher, name, {"MemoryRecords": batches.Batches}.get(name) or getattr(batches, name))


GOOD = [0, 1, 2, 3, 4, (5, 9, 5), *range(10, 20)]


@pytest.mark.parametrize("error", [0, 2, -1])
@pytest.mark.parametrize("length", [0, -1, 14, 60, 5_000, 2**31 - 1])
async def test_behind_a_length_that_is_wrong_the_reader_goes_on_with_what_it_was_sent_before(
    length: int, error: int, clock: Clock
) -> None:
    bad = bytearray(_sound(5))
    struct.pack_into(">i", bad, 8, length)
    broker = Broker({0: _sound(0) + bytes(bad) + _sound(10) + _sound(15)}, error)
    assert await _read(broker, clock) == GOOD
    assert len(broker.asked) < 12


async def test_what_is_answered_again_is_read_and_not_what_was_kept(clock: Clock) -> None:
    bad = bytearray(_sound(5))
    struct.pack_into(">i", bad, 8, 0)
    broker = Broker({0: _sound(0) + bytes(bad) + _sound(10), 5: _sound(5) + _sound(10) + _sound(15)}, 2)
    assert await _read(broker, clock) == list(range(20))


async def test_without_a_byte_of_it_offsets_are_passed_by_once_the_broker_said_for_ten_seconds_that_they_are_corrupt(
    clock: Clock,
) -> None:
    began = clock.now
    found = await _read(Broker({3: _sound(0) + _sound(5) + _sound(10) + _sound(15)}, 2), clock)
    assert found == [(0, 0, 1), (1, 1, 1), (2, 2, 1), *range(3, 20)]
    assert 10 <= clock.now - began < 15, "it is waited for once"


@pytest.mark.parametrize("error", [0, -1, 3, 5, 56])
async def test_any_other_answer_passes_nothing_by(error: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unserved._Client, "force_metadata_update", lambda self: None, raising=False)
    assert await _read(Broker({}, error), clock) == []


@pytest.mark.parametrize("held_back", [{"throttle_ms": 50}, {"before": b"x" * 100}], ids=["throttled", "full"])
async def test_an_answer_that_held_this_partition_back_says_nothing_of_its_log(
    held_back: dict[str, Any], clock: Clock
) -> None:
    """A fetch that ends within a batch, then answers without room for this partition."""
    broker = Broker({0: _sound(0) + _sound(5)[:70]}, 0, **held_back)
    assert await _read(broker, clock) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [0, -1])
async def test_a_batch_that_a_fetch_cut_short_is_not_given_up_however_long_the_broker_is_ill(
    error: int, clock: Clock
) -> None:
    broker = Broker({0: _sound(0) + _sound(5)[:70]}, error)
    assert await _read(broker, clock) == [0, 1, 2, 3, 4]
