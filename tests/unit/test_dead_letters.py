"""A dead-lettered record is bounded, whatever arrived: whole within its limit, beyond it begun, measured and named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import bounds, deadletters
from schemas.unreadable import Unreadable
from tests.support.sizes import batch_bytes


@dataclass
class Row:
    value: bytes | None
    key: bytes | None = b"k"
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    topic: str = "ml.predictions"
    partition: int = 3
    offset: int = 17


def test_within_the_limit_everything_is_untouched_and_can_be_told_from_what_is_added() -> None:
    own = [("traceparent", b"00-1"), (deadletters.TRUNCATED, b"a stranger's"), (deadletters.TOPIC, b"x"), ("n", None)]
    room = bounds.RECORD - bounds.content(b"k", None, own)
    row = Row(b"v" * room, headers=own)
    built = deadletters.build(row, "labels", "future", "too late")
    assert (built.key, built.value) == (row.key, row.value)
    assert deadletters.original(built.headers) == own
    assert deadletters.added(built.headers) == {
        deadletters.TOPIC: "ml.predictions",
        deadletters.PARTITION: "3",
        deadletters.OFFSET: "17",
        deadletters.CLASS: "io.plumbline.future",
        deadletters.MESSAGE: "too late",
        deadletters.REASON: "future",
        deadletters.STAGE: "labels",
    }
    one_more = deadletters.build(Row(b"v" * (room + 1), headers=own), "labels", "future", "too late")
    assert deadletters.added(one_more.headers)[deadletters.REASON] == "oversized"
    assert "future: too late" in deadletters.added(one_more.headers)[deadletters.MESSAGE]


def test_beyond_it_stand_the_beginnings_and_length_and_digest_of_each_part() -> None:
    headers = [(f"h{i}", b"x" * 1_000) for i in range(3_000)]
    row = Row(b"v" * 3_000_000, b"k" * 5_000, headers)
    built = deadletters.build(row, "labels", "oversized", "whatever")
    added = deadletters.added(built.headers)
    assert (built.value, built.key) == (b"v" * 1024, b"k" * 1024)
    assert added[deadletters.SHA256] == hashlib.sha256(row.value or b"").hexdigest()
    lost = json.loads(added[deadletters.TRUNCATED])
    assert lost["value"] == {"bytes": 3_000_000, "sha256": hashlib.sha256(b"v" * 3_000_000).hexdigest()}
    assert lost["key"] == {"bytes": 5_000, "sha256": hashlib.sha256(b"k" * 5_000).hexdigest()}
    kept = deadletters.original(built.headers)
    assert kept == headers[: len(kept)]
    assert 60 << 10 < bounds.content(None, None, kept) <= 64 << 10
    whole = b"".join(name.encode() + text for name, text in headers)
    assert lost["headers"] == {
        "count": 3_000,
        "left_out": 3_000 - len(kept),
        "bytes": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
    }


def test_many_empty_headers_are_not_nothing() -> None:
    built = deadletters.build(Row(b"{", headers=[("", b"")] * 1_000_000), "labels", "invalid_json", "cut short")
    assert deadletters.added(built.headers)[deadletters.REASON] == "oversized"
    assert batch_bytes(built) < 100_000


def test_an_unreadable_batch_says_its_span_its_count_and_its_digest() -> None:
    value = Unreadable.of(
        b"\x00raw",
        reason="unreadable_batch",
        error="its length does not frame",
        span=(90, 104),
        records=15,
        sha256="ab",
    )
    built = deadletters.build(Row(value, None), "labels", "invalid_json", "never asked")
    added = deadletters.added(built.headers)
    assert type(built.value) is bytes
    assert built.value == b"\x00raw"
    assert added == {
        deadletters.TOPIC: "ml.predictions",
        deadletters.PARTITION: "3",
        deadletters.OFFSET: "90",
        deadletters.CLASS: "io.plumbline.unreadable_batch",
        deadletters.MESSAGE: "its length does not frame",
        deadletters.REASON: "unreadable_batch",
        deadletters.STAGE: "labels",
        deadletters.LAST_OFFSET: "104",
        deadletters.RECORDS: "15",
        deadletters.SHA256: "ab",
    }


def test_an_unreadable_batch_of_a_clock_is_an_invalid_tick() -> None:
    value = Unreadable.of(b"raw", reason="unreadable_batch", error="why", span=(1, 2), records=2, sha256="00")
    built = deadletters.build(Row(value, None, topic="ml.clock"), "labels", "invalid_tick", "cannot be read")
    assert deadletters.added(built.headers)[deadletters.REASON] == "invalid_tick"
    assert deadletters.added(built.headers)[deadletters.RECORDS] == "2"


_names = st.text(max_size=20) | st.sampled_from(["\udcff\udcfe", deadletters.REASON, deadletters.TOPIC])
_sizes = st.sampled_from([0, 1, 1_000, 1_024, 1_025, 65_536, 400_000, 1 << 20, 3 << 20])


@settings(max_examples=60, deadline=None)
@given(
    value=st.none() | _sizes.map(lambda n: b"v" * n),
    key=st.none() | _sizes.map(lambda n: b"k" * n),
    headers=st.lists(st.tuples(_names, st.none() | _sizes.map(lambda n: b"h" * n)), max_size=5),
    times=st.sampled_from([1, 2, 5_000, 300_000]),
    limit=st.sampled_from([1_024, 65_536, bounds.RECORD]),
    text=st.text(max_size=2_000),
)
def test_whatever_arrives_fits_the_topic(
    value: bytes | None,
    key: bytes | None,
    headers: list[tuple[str, bytes]],
    times: int,
    limit: int,
    text: str,
) -> None:
    row = Row(value, key, headers * times, topic="t" * 249)
    if bounds.content(None, None, headers) * times > 50 << 20:
        return
    built = deadletters.build(row, "bridge-" + "x" * 128, "unmappable", text, limit=limit)
    assert batch_bytes(built) < bounds.DEAD_LETTER
    added = deadletters.added(built.headers)
    assert added[deadletters.REASON] in deadletters.REASONS
    assert sum(len(name) + len(found.encode()) for name, found in added.items()) < bounds.ADDED
    if deadletters.TRUNCATED not in added:
        assert (built.key, built.value) == (key, value)


@pytest.mark.parametrize("reason", deadletters.REASONS)
def test_every_reason_is_explained(reason: str) -> None:
    assert len(deadletters.REASONS[reason]) > 20
