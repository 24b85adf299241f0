"""Days, closes, active versions, ticks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.clock import TickView, decode_tick
from schemas.common import parse_ms, rfc3339
from stream_app.core.kit import days
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.metrics_stage import active_version
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.engine.chunks import Chunk
from stream_app.engine.inbox import Clock, Gap, Input
from stream_app.engine.protocol import Positions
from stream_app.replay.ticks import last_tick, next_close, next_tick
from tests.unit.tables import Rec

D = 20_500 * DAY_MS


def test_dates_agree_with_the_calendar() -> None:
    for day in range(-5, 60_000, 97):
        assert days.date_of(day) == (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("after", "until", "kinds"),
    [
        (D, D + HOUR_MS - 1, []),
        (D, D + HOUR_MS, ["completeness"]),
        (D + HOUR_MS, D + 2 * HOUR_MS, ["metrics"]),
        (D + HOUR_MS, D + 2 * HOUR_MS - 1, []),
        (D, D + 4 * HOUR_MS, ["completeness", "metrics", "statistical", "performance"]),
        (D + 4 * HOUR_MS, D + DAY_MS + 2 * HOUR_MS, ["completeness", "metrics"]),
    ],
)
def test_a_close_runs_once_at_its_time_also_when_ticks_jump(after: int, until: int, kinds: list[str]) -> None:
    assert [close.kind for close in days.closes_between(after, until)] == kinds


def test_ten_days_in_one_jump_are_forty_closes_in_order() -> None:
    closes = days.closes_between(D, D + 10 * DAY_MS)
    assert len(closes) == 40
    assert closes == sorted(closes)


def test_the_first_version_is_the_most_used_ties_by_name() -> None:
    assert active_version.first_observed({"b": 5, "a": 5, "c": 2}, 9) == ActiveVersion("a", None, "observed", 9, 9)
    assert active_version.first_observed({}, 9) is None


def test_times_have_an_offset_or_are_refused() -> None:
    assert parse_ms("2026-03-02T02:00:00.000Z") == parse_ms("2026-03-02T03:00:00+01:00") == 1_772_416_800_000
    assert rfc3339(1_772_416_800_007) == "2026-03-02T02:00:00.007Z"
    with pytest.raises(ValueError, match="no offset"):
        parse_ms("2026-03-02T02:00:00")


def test_a_clock_record_without_time_is_no_tick() -> None:
    assert decode_tick(b'{"end_offsets":{}}', 3) is None
    assert decode_tick(b'{"at":"1970-01-01T00:00:01Z","ends_epoch":true,"end_offsets":{"x":2}}', 3) == TickView(
        1000, True, None, {"x": 2}, 3
    )


def test_simulated_ticks_stand_at_closes_and_at_hours_with_rows() -> None:
    assert next_close(D) == D + HOUR_MS
    assert next_close(D + 4 * HOUR_MS) == D + DAY_MS + HOUR_MS
    assert next_tick(D + 4 * HOUR_MS, D + 9 * HOUR_MS + 5, "hour") == D + 10 * HOUR_MS
    assert next_tick(D + 4 * HOUR_MS, D + 9 * HOUR_MS, "hour") == D + 10 * HOUR_MS
    assert next_tick(D + 4 * HOUR_MS, D + 9 * HOUR_MS, "6h") == D + 12 * HOUR_MS
    assert next_tick(D + 4 * HOUR_MS, None, "hour") == D + DAY_MS + HOUR_MS
    assert last_tick(D + 5) == D + DAY_MS + 4 * HOUR_MS


def _chunk(start: int, end: int, offsets: range, epoch: int = 1) -> Chunk:
    from faust.types import TP

    return Chunk(TP("t", 0), [_R(o) for o in offsets], start, end, epoch)


class _R:
    key, value, headers = None, b"ten bytes.", ()

    def __init__(self, offset: int) -> None:
        self.offset = offset


def test_a_lane_takes_only_what_its_tick_covers() -> None:
    item = Input(0, 1)
    item.put(_chunk(0, 7, range(6)))
    records, position = item.take(4, 100)
    assert ([r.offset for r in records], position) == ([0, 1, 2, 3], 4)
    item.took(4, 4)
    assert item.take(4, 100) == ([], 4)
    records, position = item.take(None, 1)
    assert ([r.offset for r in records], position) == ([4], 5)
    item.took(1, 5)
    records, position = item.take(7, 100)
    assert ([r.offset for r in records], position) == ([5], 7)
    item.took(1, 7)
    assert (item.reached, item.bytes, len(item.chunks)) == (7, 0, 0)


def test_markers_move_the_position_without_records() -> None:
    item = Input(0, 1)
    item.put(_chunk(0, 2, range(0)))
    assert item.take(1, 10) == ([], 1)
    item.took(0, 1)
    assert item.take(9, 10) == ([], 2)
    item.took(0, 2)
    assert item.reached == 2


def test_stale_chunks_are_dropped_and_gaps_are_noticed() -> None:
    item = Input(0, 2)
    assert not item.put(_chunk(0, 5, range(5), epoch=1))
    with pytest.raises(Gap):
        item.put(_chunk(1, 5, range(1, 5), epoch=2))


def test_ticks_that_are_not_later_are_ignored_and_end_offsets_never_go_back() -> None:
    clock = Clock(1, Positions({"clock": 0}, tick=5_000), {"x": 10})
    values = [
        b'{"at":"1970-01-01T00:00:04Z","ends_epoch":false,"end_offsets":{"x":12}}',
        b'{"at":"1970-01-01T00:00:05Z","ends_epoch":false,"end_offsets":{"x":3}}',
        b"garbage",
        b'{"at":"1970-01-01T00:00:06Z","ends_epoch":false,"end_offsets":{"x":3}}',
    ]
    from faust.types import TP

    records = [Rec("c", 0, i, 99, None, v) for i, v in enumerate(values)]
    clock.put(Chunk(TP("c", 0), _sized(records), 0, 4, 1))
    head = clock.current()
    assert head is not None
    tick, broker_ms = head
    assert (tick.at_ms, tick.end_offsets, broker_ms) == (6_000, {"x": 12}, 99)
    clock.handled(tick)
    assert clock.current() is None
    assert clock.input.reached == 4
    assert [record.offset for record, _ in clock.refused()] == [2]
    assert clock.refused() == []


def _clock(*values: tuple[str, int], state: Positions | None = None) -> Clock:
    """A clock after records of (value, broker's time)."""
    from faust.types import TP

    clock = Clock(1, state or Positions({"clock": 0}), {})
    records = [Rec("c", 0, i, at, None, value.encode()) for i, (value, at) in enumerate(values)]
    clock.put(Chunk(TP("c", 0), _sized(records), 0, len(values), 1))
    return clock


@pytest.mark.parametrize("mode", ['"live"', "null"])
@pytest.mark.parametrize(("second", "taken"), [(310, True), (311, False), (0, True), (4_000_000_000, False)])
def test_a_live_tick_lies_at_most_five_minutes_after_the_brokers_time(mode: str, second: int, taken: bool) -> None:
    at = rfc3339(second * 1000)
    clock = _clock((f'{{"at":"{at}","ends_epoch":false,"end_offsets":{{}},"mode":{mode}}}', 10_000))
    assert (len(clock.ticks), len(clock.unreadable)) == ((1, 0) if taken else (0, 1))
    assert (clock.refusal is None) == taken


def test_a_simulated_tick_may_lie_anywhere_until_a_live_one_has_come() -> None:
    far, live = rfc3339(4_000_000_000_000), rfc3339(10_000)
    simulated = (f'{{"at":"{far}","ends_epoch":false,"end_offsets":{{}},"mode":"external"}}', 10_000)
    now = (f'{{"at":"{live}","ends_epoch":false,"end_offsets":{{}},"mode":"live"}}', 10_000)
    assert len(_clock(simulated).ticks) == 1
    refused = _clock(now, simulated)
    assert (len(refused.ticks), [record.offset for record, _ in refused.unreadable]) == (1, [1])
    assert "the clock is live" in (refused.refusal or "")
    # after a restart too
    assert not _clock(simulated, state=Positions({"clock": 0}, live=True)).ticks


def _sized(records: list[Rec]) -> list[object]:
    class Sized:
        key, headers = None, ()

        def __init__(self, rec: Rec) -> None:
            self.value, self.offset, self.timestamp = rec.value, rec.offset, rec.timestamp
            self.topic, self.partition = rec.topic, rec.partition

    return [Sized(rec) for rec in records]
