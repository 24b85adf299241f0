"""The batch reader: every good record exactly once, everything else accounted for, whatever the bytes."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.unreadable import Unreadable
from stream_app.kafka import batches, budget, faults
from tests.support.batches import (
    CODECS,
    NOW,
    Clock,
    Log,
    batch,
    compress,
    field,
    marker,
    read,
    record,
    varint,
)

ALL = [*CODECS, "snappy-raw"]
PLAIN_OR_TRANSACTIONAL = [None, 7]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (batches, faults, budget):
        monkeypatch.setattr(module, "time", clock)
    return clock


def rows(base: int, count: int, size: int = 30) -> list[bytes]:
    return [record(i, b"k%d" % (base + i), b"v%d|" % (base + i) + b"x" * size, [(b"h", b"1")]) for i in range(count)]


def three(codec: str, transaction: int | None, middle: bytes | None = None) -> Log:
    """Three batches of five records; the middle one as given."""
    made = [batch(at, rows(at, 5), codec=codec, transaction=transaction) for at in (0, 5, 10)]
    if middle is not None:
        made[1] = middle
    return Log([(at, at + 4, raw) for at, raw in zip((0, 5, 10), made, strict=True)])


def split(found: list[Any]) -> tuple[list[int], list[Unreadable]]:
    good = [r for r in found if not isinstance(r.value, Unreadable)]
    for r in good:
        assert r.key == b"k%d" % r.offset
        assert r.value.startswith(b"v%d|" % r.offset)
    return [r.offset for r in good], [r.value for r in found if isinstance(r.value, Unreadable)]


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
def test_every_codec_is_read(codec: str, transaction: int | None, clock: Clock) -> None:
    found = read(three(codec, transaction), clock=clock)
    assert split(found) == (list(range(15)), [])
    assert [r.timestamp for r in found[:5]] == [NOW + i for i in range(5)]
    assert found[0].headers == (("h", b"1"),)


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
def test_a_flipped_byte_anywhere_costs_its_batch_and_no_other(
    codec: str, transaction: int | None, clock: Clock
) -> None:
    sound = batch(5, rows(5, 5), codec=codec, transaction=transaction)
    for at in range(len(sound)):
        bad = bytearray(sound)
        bad[at] ^= 0xFF
        found = read(three(codec, transaction, bytes(bad)), clock=clock)
        good, lost = split(found)
        if 12 <= at < 16:  # the leader's epoch: part of no checksum, and of no record
            assert (good, lost) == (list(range(15)), []), at
            continue
        assert good == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14], at
        assert sum(u.records for u in lost) == 5, at
        assert {u.reason for u in lost} == {"unreadable_batch"}
        assert lost[0].offset == 5
        assert lost[-1].last_offset == 9


@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
def test_a_damaged_batch_that_the_broker_sends_again_in_front_of_later_ones_costs_none_of_them(
    transaction: int | None, clock: Clock
) -> None:
    """A broker looks for an offset by the batches' headers: one with a base offset far off ends after all others."""

    class ByHeaders(Log):
        def fetch(self, offset: int, most: int) -> bytes:
            ends = [
                struct.unpack_from(">q", raw)[0] + struct.unpack_from(">i", raw, 23)[0] for _, _, raw in self.batches
            ]
            start = next(i for i, last in enumerate(ends) if last >= offset)
            return b"".join(raw for _, _, raw in self.batches[start:])[:most]

    for at in range(1, 8):
        bad = bytearray(batch(5, rows(5, 5), codec="lz4", transaction=transaction))
        bad[at] ^= 0x55
        log = ByHeaders(three("lz4", transaction, bytes(bad)).batches)
        began = clock.now
        good, lost = split(read(log, clock=clock))
        assert (good, sum(u.records for u in lost)) == ([0, 1, 2, 3, 4, 10, 11, 12, 13, 14], 5), at
        assert clock.now - began < 11, "it is waited for once"


def test_the_unreadable_batch_says_what_it_was(clock: Clock) -> None:
    bad = bytearray(batch(5, rows(5, 5, 500)))
    bad[-1] ^= 1
    (marked,) = [r for r in read(three("none", None, bytes(bad)), clock=clock) if isinstance(r.value, Unreadable)]
    value: Any = marked.value
    assert (marked.offset, value.offset, value.last_offset, value.records) == (9, 5, 9, 5)
    assert bytes(value) == bytes(bad[:1024])
    assert value.sha256 == hashlib.sha256(bad).hexdigest()
    assert marked.serialized_value_size == 1024


def test_a_wrong_checksum_is_fetched_again_three_times_over_ten_seconds(clock: Clock) -> None:
    bad = bytearray(batch(5, rows(5, 5)))
    bad[-1] ^= 1
    log = three("none", None, bytes(bad))
    fetched: list[tuple[int, float]] = []

    class Watched(Log):
        def fetch(self, offset: int, most: int) -> bytes:
            fetched.append((offset, clock.now))
            return super().fetch(offset, most)

    began = clock.now
    read(Watched(log.batches), clock=clock)
    again = [when - began for offset, when in fetched if offset == 5]
    assert again == [0.0, 1.0, 4.0, 10.0]


def test_a_checksum_that_is_right_the_second_time_counts(clock: Clock) -> None:
    sound = batch(5, rows(5, 5))
    log = three("none", None)

    class Flaky(Log):
        def fetch(self, offset: int, most: int) -> bytes:
            raw = bytearray(super().fetch(offset, most))
            if clock.now < 1002 and offset <= 5:
                raw[raw.index(sound) + 70] ^= 1
            return bytes(raw)

    assert split(read(Flaky(log.batches), clock=clock)) == (list(range(15)), [])


@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_costs_its_batch(codec: int, transaction: int | None, clock: Clock) -> None:
    good, lost = split(
        read(three("none", transaction, batch(5, rows(5, 5), codec=codec, transaction=transaction)), clock=clock)
    )
    assert good == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert [(u.reason, u.records, u.offset, u.last_offset) for u in lost] == [("unreadable_batch", 5, 5, 9)]
    assert "codec" in lost[0].error


@pytest.mark.parametrize("codec", [c for c in ALL if c != "none"])
@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
def test_packed_bytes_that_are_damaged_cost_their_batch_or_are_read(
    codec: str, transaction: int | None, clock: Clock
) -> None:
    packed = compress(codec, b"".join(rows(5, 5)))
    for at in range(len(packed)):
        bad = bytearray(packed)
        bad[at] ^= 0x55
        middle = batch(5, rows(5, 5), codec=codec, payload=bytes(bad), transaction=transaction)
        found = read(three(codec, transaction, middle), clock=clock)
        lost = [r.value for r in found if isinstance(r.value, Unreadable)]
        offsets = [r.offset for r in found if not isinstance(r.value, Unreadable)]
        assert [o for o in offsets if not 5 <= o <= 9] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
        assert len(offsets) + sum(u.records for u in lost) == 15, at
        assert len(set(offsets)) == len(offsets)


@pytest.mark.parametrize("codec", [c for c in ALL if c != "none"])
def test_packed_bytes_that_end_early_cost_their_batch(codec: str, clock: Clock) -> None:
    packed = compress(codec, b"".join(rows(5, 5)))
    for size in range(len(packed)):
        middle = batch(5, rows(5, 5), codec=codec, payload=packed[:size])
        good, lost = split(read(three(codec, None, middle), clock=clock))
        assert len(good) + sum(u.records for u in lost) == 15, size


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
def test_a_header_name_that_is_no_text_is_escaped_and_the_record_counts(
    codec: str, transaction: int | None, clock: Clock
) -> None:
    odd = rows(5, 5)
    odd[2] = record(2, b"k7", b"v7|", [(b"\xff\xfe", b"1"), (b"fine", None)])
    found = read(three(codec, transaction, batch(5, odd, codec=codec, transaction=transaction)), clock=clock)
    assert split(found) == (list(range(15)), [])
    assert found[7].headers == (("\\xff\\xfe", b"1"), ("fine", None))


def _damaged() -> dict[str, bytes]:
    """A third record (offset 7) damaged inside, by name."""
    head = b"\0" + varint(2) + varint(2)
    bodies = {
        "a key longer than the record": head + varint(1000) + b"k7" + field(b"v7|") + varint(0),
        "a value longer than the batch": head + field(b"k7") + varint(1 << 40) + b"v7|",
        "a negative number of headers": head + field(b"k7") + field(b"v7|") + varint(-2),
        "headers that are not there": head + field(b"k7") + field(b"v7|") + varint(1 << 30),
        "a header without a name": head + field(b"k7") + field(b"v7|") + varint(1) + varint(-1) + field(b"x"),
        "an offset far off": b"\0" + varint(2) + varint(1 << 30) + field(b"k7") + field(b"v7|") + varint(0),
        "an offset before its batch": b"\0" + varint(2) + varint(-40) + field(b"k7") + field(b"v7|") + varint(0),
        "an offset twice": b"\0" + varint(2) + varint(1) + field(b"k7") + field(b"v7|") + varint(0),
        "a number that never ends": b"\0" + b"\xff" * 30,
        "a length near the largest": head + varint((1 << 63) - 1) + b"k7",
        "nothing": b"\0",
        "bytes left over": head + field(b"k7") + field(b"v7|") + varint(0) + b"rest",
    }
    return {name: varint(len(body)) + body for name, body in bodies.items()}


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("transaction", PLAIN_OR_TRANSACTIONAL)
@pytest.mark.parametrize("damage", _damaged())
def test_a_record_damaged_inside_costs_itself_and_no_neighbour(
    damage: str, codec: str, transaction: int | None, clock: Clock
) -> None:
    odd = rows(5, 5)
    odd[2] = _damaged()[damage]
    good, lost = split(
        read(three(codec, transaction, batch(5, odd, codec=codec, transaction=transaction)), clock=clock)
    )
    assert good == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]
    assert [(u.reason, u.records, u.offset, u.last_offset) for u in lost] == [("unreadable_record", 1, 7, 7)]
    assert bytes(lost[0]) == odd[2]


def test_a_record_with_a_wrong_length_costs_itself_alone(clock: Clock) -> None:
    odd = rows(5, 5)
    for wrong in (1, 3, 20, 2000, -5, 0, 1 << 62):
        body = odd[2].split(b"\0", 1)[1]
        odd[2] = varint(wrong) + b"\0" + body
        good, lost = split(read(three("none", None, batch(5, odd)), clock=clock))
        assert len(good) + sum(u.records for u in lost) == 15
        assert {0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14} <= set(good)
        if wrong > 0:
            assert {8, 9} <= set(good), wrong
        odd = rows(5, 5)


@settings(max_examples=300, deadline=None)
@given(
    codec=st.sampled_from(ALL), transaction=st.sampled_from(PLAIN_OR_TRANSACTIONAL), seed=st.integers(0, 2**32),
    most=st.sampled_from([1, 300, 1 << 20]), max_records=st.sampled_from([None, 1, 4]),
)  # fmt: skip
def test_whatever_is_written_every_offset_is_accounted_for_once(
    codec: str, transaction: int | None, seed: int, most: int, max_records: int | None
) -> None:
    """Damage within a batch of five whose checksum is made right again: what a faulty producer writes."""
    rng = random.Random(seed)
    plain = bytearray(b"".join(rows(5, 5)))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(plain))
        if rng.random() < 0.5:
            plain[at] = rng.randrange(256)
        else:
            plain[at : at + 1] = varint(rng.choice([(1 << 63) - 1, -(1 << 63), 1 << 32, -1, rng.getrandbits(40)]))
    count = rng.choice([5, 5, 5, 0, -1, 4, 6, 1 << 30])
    middle = batch(
        5, rows(5, 5), codec=codec, payload=compress(codec, bytes(plain)), count=count, transaction=transaction
    )
    clock: Any = batches.time
    found = read(three(codec, transaction, middle), clock=clock, most=most, max_records=max_records)
    offsets = [r.offset for r in found]
    assert offsets == sorted(set(offsets))
    seen: list[int] = []
    for item in found:
        if isinstance(item.value, Unreadable):
            seen += range(item.value.offset, item.value.last_offset + 1)
            assert item.value.records <= item.value.last_offset - item.value.offset + 1
        else:
            seen.append(item.offset)
    assert seen == sorted(set(seen))
    assert {0, 1, 2, 3, 4, 10, 11, 12, 13, 14} <= set(seen)
    if count == 5:
        assert seen == list(range(15))


def test_what_a_transaction_took_back_stays_back_beside_damage(clock: Clock) -> None:
    bad = bytearray(batch(9, rows(9, 2), transaction=8))
    bad[70] ^= 1
    log = Log(
        [
            (0, 2, batch(0, rows(0, 3), codec="gzip", transaction=7)),
            (3, 3, marker(3, 7, abort=True)),
            (4, 6, batch(4, rows(4, 3), codec="lz4", transaction=7)),
            (7, 7, marker(7, 7, abort=False)),
            (8, 8, batch(8, rows(8, 1))),
            (9, 10, bytes(bad)),
            (11, 11, marker(11, 8, abort=True)),
            (12, 13, batch(12, rows(12, 2), transaction=8)),
            (14, 14, marker(14, 8, abort=False)),
        ],
        aborted=[(7, 0, 3), (8, 9, 11)],
    )
    good, lost = split(read(log, clock=clock))
    assert good == [4, 5, 6, 8, 12, 13]
    assert [(u.offset, u.last_offset) for u in lost] == [(9, 10)]


def test_a_marker_that_cannot_be_read_takes_nothing_of_the_next_transaction_back(clock: Clock) -> None:
    bad = bytearray(marker(3, 7, abort=True))
    bad[-1] ^= 1
    log = Log(
        [
            (0, 2, batch(0, rows(0, 3), transaction=7)),
            (3, 3, bytes(bad)),
            (4, 6, batch(4, rows(4, 3), transaction=7)),
            (7, 7, marker(7, 7, abort=False)),
        ],
        aborted=[(7, 0, 3)],
    )
    good, _ = split(read(log, clock=clock))
    assert good == [4, 5, 6]


def test_a_compacted_log_is_read_with_its_holes(clock: Clock) -> None:
    log = Log(
        [
            (0, 9, batch(0, [record(i, b"k%d" % i, b"v%d|" % i) for i in (2, 5)], codec="zstd", last=9)),
            (10, 14, batch(10, [], last=14)),
            (20, 22, batch(20, rows(20, 3))),
        ]
    )
    assert split(read(log, clock=clock)) == ([2, 5, 20, 21, 22], [])


def test_fetches_that_end_anywhere_lose_nothing(clock: Clock) -> None:
    log = three("lz4", None)
    whole = sum(len(raw) for _, _, raw in log.batches)
    for most in range(1, whole + 1, 7):
        assert split(read(log, clock=clock, most=most)) == (list(range(15)), [])


def _message(offset: int, magic: int, value: bytes | None, attributes: int = 0, key: bytes | None = b"k") -> bytes:
    def sized(content: bytes | None) -> bytes:
        return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content

    body = (
        struct.pack(">bb", magic, attributes) + (struct.pack(">q", NOW) if magic else b"") + sized(key) + sized(value)
    )
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(body)) + body


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4"])
def test_messages_of_old_formats_are_read(magic: int, codec: str, clock: Clock) -> None:
    def inner(i: int) -> bytes:
        return _message(i if magic else 3 + i, magic, b"v%d|" % (3 + i), key=b"k%d" % (3 + i))

    if codec == "none":
        packed = [(3 + i, 3 + i, _message(3 + i, magic, b"v%d|" % (3 + i), key=b"k%d" % (3 + i))) for i in range(3)]
    else:
        content = compress(codec, b"".join(map(inner, range(3))))
        packed = [(3, 5, _message(5, magic, content, CODECS[codec], key=None))]
    log = Log([(0, 2, batch(0, rows(0, 3))), *packed, (6, 7, batch(6, rows(6, 2)))])
    assert split(read(log, clock=clock)) == (list(range(8)), [])


@pytest.mark.parametrize("codec", [c for c in ALL if c not in ("none",)])
def test_a_batch_that_unpacks_to_more_than_the_bound_is_not_unpacked(
    codec: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST", 1 << 20)
    for size, fits in (((1 << 20) - 200, True), ((1 << 20) + 1, False)):
        big = [record(0, b"k5", b"v5|" + b"0" * size)]
        log = Log([(0, 4, batch(0, rows(0, 5))), (5, 5, batch(5, big, codec=codec)), (6, 8, batch(6, rows(6, 3)))])
        good, lost = split(read(log, clock=clock))
        assert good == [0, 1, 2, 3, 4, *([5] if fits else []), 6, 7, 8]
        assert len(lost) == (not fits)
        assert all("more than" in u.error for u in lost)
