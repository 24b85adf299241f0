"""Days by hours, as they are folded into the table, against rows counted one by one."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.hourly import hours_codec
from stream_app.core.hourly.hours import counts_of
from stream_app.core.hourly.rules import KEPT_DAYS
from stream_app.core.metrics_stage.keys import HOURS, hours_key, split_cell_key
from stream_app.core.metrics_stage.pending import Changes
from tests.laws.stage_driver import DAY, HOUR, Drive, Event, Scenario, config, part
from tests.laws.test_laws import LAWFUL

D = 20_500
#: on edges of bins, beside them, and at the ends
SCORES = (0.0, 6.144174602214718e-06, 0.3, 0.5, 0.598687660112452, 0.6, 0.9975273768433652, 0.9999, 1.0)
LOGITS = (-12, -10.5, -9.5, -8.75, -8, -7.5, -7, -6.5, -6, -5.5, -5, -4.5, -4, -3.5, -3, -2.5, -2, -1.6, -1.2, -0.8,
          -0.4, 0, 0.4, 0.8, 1.2, 1.6, 2, 2.5, 3, 4, 6)  # fmt: skip

event = st.builds(
    Event,
    st.sampled_from(("t:a", "t:b")),
    st.sampled_from(("v1", "v2")),
    st.integers(D * DAY, (D + 2) * DAY - 1),
    st.sampled_from(SCORES),
    st.booleans(),
    st.sampled_from((None, None, True, False)),
    st.just(1),
    st.none(),
)


def by_hand(events: list[Event]) -> dict[tuple[str, str, int], np.ndarray]:
    """The columns of CONTRACT section 3a, one row after the other; an edge belongs to the bin on its left."""
    edges = [1 / (1 + math.exp(-x)) for x in LOGITS]
    out: dict[tuple[str, str, int], np.ndarray] = defaultdict(lambda: np.zeros((24, 36), dtype=np.int64))
    for e in events:
        day = out[e.model, e.version, e.made_ms // DAY]
        hour = e.made_ms // HOUR % 24
        if e.actual is None:
            left = sum(e.score > edge and not math.isclose(e.score, edge, rel_tol=1e-12) for edge in edges)
            day[hour, 4 + left] += e.sign
        else:
            day[hour, 2 * e.predicted + e.actual] += e.sign
    return {key: counts for key, counts in out.items() if counts.any()}


@LAWFUL
@given(st.lists(st.lists(event, max_size=12), min_size=1, max_size=4))
def test_changes_by_hour_are_the_rows_of_the_deltas(epochs: list[list[Event]]) -> None:
    parts = [part(events, 0) for events in epochs]
    found = Changes(parts, 0)
    made = {split_cell_key(key): days for key, days in zip(found.keys, found.hours(0, len(found.keys)), strict=True)}
    wanted = by_hand([e for events in epochs for e in events])
    assert made.keys() == {(e.model, e.version, e.made_ms // DAY) for events in epochs for e in events}
    for key, counts in made.items():
        assert np.array_equal(counts, wanted.get(key, np.zeros((24, 36))))
    together: dict[tuple[str, str, int], np.ndarray] = {}
    for one in parts:
        for key, counts in counts_of(one).items():
            together[key] = together.get(key, 0) + counts
    assert all(np.array_equal(together[key], made[key]) for key in made)
    # a slice is a slice
    for start in range(len(found.keys)):
        assert np.array_equal(found.hours(start, start + 1)[0], made[split_cell_key(found.keys[start])])


def stored(drive: Drive) -> dict[tuple[str, str, int], np.ndarray]:
    """Hour records as they stand in the table."""
    return {
        split_cell_key(key): hours_codec.decode(value, key)
        for key, value in drive.table.rows.items()
        if key.startswith(HOURS)
    }


@pytest.mark.parametrize("seed", range(30))
def test_every_row_is_counted_once_wherever_the_lane_is_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ticks = [D * DAY + 7 * HOUR * (i + 1) for i in range(12)]
    epochs: list[list[list[Event]]] = []
    for at in ticks:
        made = [
            Event(
                str(rng.choice(("t:a", "t:b"))), str(rng.choice(("v1", "v2"))),
                at - int(rng.integers(1, 2 * DAY)), float(rng.choice(SCORES)), bool(rng.random() < 0.5),
            )
            for _ in range(int(rng.integers(0, 30)))
        ]  # fmt: skip
        labels = [e._replace(actual=bool(rng.random() < 0.5)) for e in made if rng.random() < 0.7]
        epochs.append([made, labels])
    # a correction: what was counted is taken back, in an epoch of its own
    first = next(e for sources in epochs for e in sources[1])
    epochs[-1][1] += [first._replace(sign=-1), first._replace(actual=not first.actual)]
    epochs.append([[], []])
    scenario = Scenario([*ticks, ticks[-1] + HOUR], epochs)
    drive = Drive(scenario, config(2, cells_a_step=int(rng.integers(1, 9))), seed).run()
    wanted = by_hand([e for sources in epochs for events in sources for e in events])
    found = {key: counts for key, counts in stored(drive).items() if counts.any()}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert drive.restarts


def test_days_are_kept_as_long_as_references_look_back_and_what_comes_later_is_left_out() -> None:
    late = Event("t:a", "v1", D * DAY + 5, 0.4, False)
    ticks = [(D + day) * DAY + 4 * HOUR for day in range(1, KEPT_DAYS + 4)]
    epochs = [[[late._replace(made_ms=tick - 5 * HOUR)]] for tick in ticks]
    epochs[-1][0] += [late._replace(actual=True)]
    drive = Drive(Scenario(ticks, epochs), config(1), None).run()
    days = sorted(day for _, _, day in stored(drive))
    newest = ticks[-1] // DAY
    assert days == list(range(newest - KEPT_DAYS, newest))
    assert drive.table.rows.get(hours_key("t:a", "v1", D)) is None
