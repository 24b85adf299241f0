"""Which local state may be continued, which is set aside, and which is refused."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stream_app.engine.protocol import EngineConfig, Positions, StageSpec, encode_positions
from stream_app.engine.restore import _positions, _refuse_incomplete, _refuse_truncated, _unfit
from stream_app.engine.segmenting import Segmenting
from stream_app.engine.store import FORMAT, Meta, Store, StoreMemory
from stream_app.errors import Incompatible

SPEC = StageSpec("labels", 1, "clock", {}, {}, {}, lambda p: None, "app-labels-changelog", lambda *a: None)  # type: ignore[arg-type, return-value]
CONFIG = EngineConfig("app", "broker:1", "cluster-a", Path("data"), static={"model_partitions": "4"})
NOW = time.time_ns() // 1_000_000
META = Meta("cluster-a", "app-labels-changelog", FORMAT, 50, NOW, b"")


def test_state_that_fits_is_continued() -> None:
    assert _unfit(None, SPEC, CONFIG, 0, 100) is None
    assert _unfit(META, SPEC, CONFIG, 50, 50) is None


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        (Meta("cluster-b", META.topic, FORMAT, 50, NOW, b""), "cluster-b"),
        (Meta("cluster-a", "other-labels-changelog", FORMAT, 50, NOW, b""), "PLUMBLINE_DATA_DIR"),
    ],
)
def test_state_of_another_cluster_or_application_is_refused(meta: Meta, text: str) -> None:
    with pytest.raises(Incompatible, match=text):
        _unfit(meta, SPEC, CONFIG, 0, 100)


@pytest.mark.parametrize(
    ("meta", "begin", "end", "text"),
    [
        (META, 51, 100, "starts at 51"),
        (META, 0, 49, "ends at 49"),
        (Meta("cluster-a", META.topic, FORMAT, 50, NOW - CONFIG.max_store_age_ms - 60_000, b""), 0, 100, "tombstones"),
    ],
)
def test_state_the_changelog_cannot_continue_is_set_aside(meta: Meta, begin: int, end: int, text: str) -> None:
    assert text in (_unfit(meta, SPEC, CONFIG, begin, end) or "")


BY_TIME = replace(SPEC, segmenting=Segmenting(lambda value: 0, 60))
OLD = Meta("cluster-a", META.topic, FORMAT, 50, NOW - 61 * 86_400_000, b"")


def _look(spec: StageSpec, meta: Meta | None, begin: int) -> None:
    _refuse_truncated(spec, 0, meta, _unfit(meta, spec, CONFIG, begin, 100) is None, begin)


@pytest.mark.parametrize(
    ("spec", "meta", "begin"),
    [(SPEC, None, 1), (SPEC, META, 51), (SPEC, OLD, 51), (SPEC, OLD, 50), (BY_TIME, META, 51)],
)
def test_a_changelog_that_was_cut_is_refused(spec: StageSpec, meta: Meta | None, begin: int) -> None:
    with pytest.raises(Incompatible, match="records were deleted"):
        _look(spec, meta, begin)


@pytest.mark.parametrize(
    ("spec", "meta", "begin"),
    [(SPEC, None, 0), (SPEC, META, 50), (SPEC, OLD, 0), (BY_TIME, None, 1), (BY_TIME, OLD, 51), (BY_TIME, OLD, 50)],
)
def test_one_that_holds_what_is_missing_or_was_shortened_by_time_is_not(
    spec: StageSpec, meta: Meta | None, begin: int
) -> None:
    _look(spec, meta, begin)


def test_an_old_store_in_segments_is_continued_because_its_changelog_may_hold_less() -> None:
    assert "tombstones" in (_unfit(OLD, SPEC, CONFIG, 0, 100) or "")
    assert _unfit(OLD, BY_TIME, CONFIG, 50, 100) is None


ENTRIES = replace(
    BY_TIME,
    segmenting=Segmenting(
        lambda value: value[0],
        60,
        lambda values: Counter(v[:1] for v in values),
        lambda lane_state: Counter({lane_state: 2}),
    ),
)


async def test_what_the_positions_record_counts_must_be_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", StoreMemory(1 << 20, 8 << 20), ENTRIES.segmenting)
    store.write([(b"a", b"\x64a"), (b"b", b"\x64b"), (b"c", b"\x65c")], META)
    assert sorted(v for values in store.segmented(2) for v in values) == [b"\x64a", b"\x64b", b"\x65c"]
    await _refuse_incomplete(ENTRIES, 0, store, Positions({}, lane_state=b"\x64"), 7)
    await _refuse_incomplete(ENTRIES, 0, store, Positions({}), 7)
    await _refuse_incomplete(ENTRIES, 0, store, None, 7)
    with pytest.raises(Incompatible, match=r"starts at offset 7: records were deleted .* \(1 entries at least\)"):
        await _refuse_incomplete(ENTRIES, 0, store, Positions({}, lane_state=b"\x65"), 7)
    with pytest.raises(ValueError, match="whole segments"):
        store.write([(b"a", None)], META)
    store.close()


def test_state_built_with_another_static_setting_is_refused_by_its_name() -> None:
    record = encode_positions(Positions({}, static={"model_partitions": "8"}))
    with pytest.raises(Incompatible, match="model_partitions is 4 here"):
        _positions(record, SPEC, CONFIG, 0)
    same = replace(CONFIG, static={"model_partitions": "8"})
    assert _positions(record, SPEC, same, 0) == Positions({}, static={"model_partitions": "8"})


def test_an_unknown_positions_format_is_refused() -> None:
    with pytest.raises(Incompatible, match="format"):
        _positions(b"\x07", SPEC, CONFIG, 0)


def test_an_unknown_store_format_is_refused_and_segments_hide_older_copies(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", StoreMemory(1 << 20, 8 << 20), Segmenting(lambda value: value[2] | value[3] << 8, 10))

    def entry(day: int) -> bytes:
        return bytes((1, 1)) + day.to_bytes(2, "little")

    store.write([(b"a", entry(100)), (b"b", entry(101))], META)
    store.write([(b"a", entry(110))], META)
    assert store.get_many([b"a", b"b", b"c"]) == [entry(110), entry(101), None]
    store.write([(b"z", entry(160))], META)
    assert store.get_many([b"a", b"b"]) == [None, None]
    assert store.meta() == META
    store._db[b"\x00meta"] = b"\x63"
    with pytest.raises(Incompatible, match="store format 99"):
        store.meta()
    store.close()
