"""Where backfilled ticks place what stands in the topics: never early, strays move nothing, what is late is named."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.kafka.topics import Topics
from stream_app.replay.backfill import _covered, place

TOPICS = Topics("", "", 3, 2)
NOW = 20_700 * DAY_MS
FIRST = 20_500 * DAY_MS


@given(st.lists(st.integers(FIRST, FIRST + 80 * DAY_MS) | st.just(0), min_size=1, max_size=60))
def test_no_record_is_covered_before_its_time_and_in_the_order_of_time_all_are_at_it(times: list[int]) -> None:
    for order in (times, sorted(times)):
        key = (TOPICS.outcomes, 0)
        placed, told = place({key: (list(range(len(order))), order)}, TOPICS, NOW)
        for at_ms in {at + 1 for at in order if at}:
            covered = order[: _covered(placed[key], at_ms)]
            assert all(at < at_ms for at in covered)
            if order == sorted(order):
                assert len(covered) == sum(at < at_ms for at in order)
        late = any(max(order[:n]) - at > 3 * HOUR_MS for n, at in enumerate(order) if at and n)
        assert bool(told) == late
    assert all(a <= b for a, b in pairwise(placed[key][1]))


def test_times_far_outside_move_nothing_and_are_named() -> None:
    usual = [FIRST + n * HOUR_MS for n in range(1_000)]
    strays = [86_400_000, 12_000 * DAY_MS, NOW - 1]
    order = usual[:5] + strays + usual[5:]
    key = (TOPICS.predictions, 1)
    far = place({key: (list(range(len(order))), order)}, TOPICS, NOW + 900 * DAY_MS)
    assert max(far[0][key][1]) == NOW - 1, "200 days after the bulk may be a late label"
    order[7] = NOW + 800 * DAY_MS
    placed, told = place({key: (list(range(len(order))), order)}, TOPICS, NOW + 900 * DAY_MS)
    assert (placed[key][1][0], placed[key][1][-1]) == (usual[0], usual[-1])
    assert told == ["3 records of predictions lie far outside the other times: they move no time and will be refused"]
