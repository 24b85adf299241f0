"""The stored sums of a version's last healthy days."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.core.counts import score_sketch
from stream_app.core.counts.cells import EMPTY, SIZE, Counts
from stream_app.core.counts.score_sketch import NEGATIVES, POSITIVES, PREDICTIONS, ScoreSketch
from stream_app.core.metrics_stage import held
from stream_app.core.metrics_stage.baselines import Baseline
from stream_app.core.model_log import BaselineEntry
from stream_app.errors import Broken

ENTRY = BaselineEntry("window", 100, 130, 30)


def baseline(distinct: int, most: int, binned: bool = False) -> Baseline:
    rng = np.random.default_rng(1)
    sides = []
    for _ in range(2):
        values = np.arange(distinct, dtype=float) if binned else np.sort(rng.random(distinct))
        counts = rng.integers(1, most, (distinct, score_sketch.COLUMNS))
        sides.append(Counts(rng.integers(0, most, SIZE), ScoreSketch(values, counts, binned)))
    daily = [(day, Counts(rng.integers(0, most, SIZE), EMPTY.scores)) for day in range(100, 130)]
    return Baseline(ENTRY, sides[0], sides[1], daily)


@pytest.mark.parametrize("binned", [False, True])
@pytest.mark.parametrize(
    ("kind", "columns"), [("statistical", (PREDICTIONS,)), ("performance", (POSITIVES, NEGATIVES))]
)
def test_what_a_kind_compares_comes_back_as_it_was(kind: held.Kind, columns: tuple[int, ...], binned: bool) -> None:
    made = baseline(900, 10**6, binned)
    back = held.unpack(held.pack(kind, made))
    assert back.entry == BaselineEntry("held", 100, 130, 30)
    for a, b in ((made.workdays, back.workdays), (made.weekends, back.weekends)):
        assert a.vector.tolist() == b.vector.tolist()
        assert (a.scores.values.tolist(), a.scores.binned) == (b.scores.values.tolist(), b.scores.binned)
        for column in columns:
            assert a.scores.counts[:, column].tolist() == b.scores.counts[:, column].tolist()
    assert [(d, c.vector[:6].tolist()) for d, c in made.daily] == [(d, c.vector[:6].tolist()) for d, c in back.daily]
    assert held.days_of(held.pack(kind, made)) == 30


@pytest.mark.parametrize(("distinct", "most", "binned"), [(100_000, 2**31, False), (4_096, 2**40, True)])
@pytest.mark.parametrize("kind", ["statistical", "performance"])
def test_a_held_baseline_never_grows_beyond_its_bound(kind: held.Kind, distinct: int, most: int, binned: bool) -> None:
    assert len(held.pack(kind, baseline(distinct, most, binned))) <= held.LARGEST


def test_a_record_whose_sums_have_another_size_is_refused() -> None:
    record = held.decode(held.pack("statistical", baseline(9, 9)))
    changed = held.HeldRecord(
        record.entry, record.kind, held.HeldSide(False, 10, record.workdays.frame), record.weekends, record.daily
    )
    with pytest.raises(Broken, match="another size"):
        held.unpack(held.encode(changed), b"B1")
