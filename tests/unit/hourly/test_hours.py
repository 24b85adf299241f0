"""Hours of a day: what is counted where, and how it is stored."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from stream_app.core.counts.deltas import CellId, Part
from stream_app.core.hourly import hours_codec
from stream_app.core.hourly.hours import EDGES, HOURS, LABELS, counts_of, no_counts
from stream_app.errors import Broken
from tests.unit.hourly import plain


def test_the_edges_are_the_doubles_nearest_to_the_logits_that_the_contract_names() -> None:
    text = "-12 -10.5 -9.5 -8.75 -8 -7.5 -7 -6.5 -6 -5.5 -5 -4.5 -4 -3.5 -3 -2.5 -2 -1.6 -1.2 -.8 -.4 0 .4 .8 1.2 1.6 2"
    logits = [*text.split(" "), "2.5", "3", "4", "6"]
    with localcontext() as context:
        context.prec = 60
        nearest = tuple(float(1 / (1 + (-Decimal(x)).exp())) for x in logits)
    assert nearest == EDGES


def test_a_part_counts_by_hour_class_and_bin_and_an_edge_belongs_to_its_left() -> None:
    rng = np.random.default_rng(1)
    cells = [CellId("a:b", "v1", 24 * 500 + 3), CellId("a:b", "v1", 24 * 500 + 23), CellId("a:b", "v2", 24 * 501)]
    scores = np.concatenate([rng.random(200), EDGES, [0.0, 1.0]])
    n = len(scores)
    cell, kind, count = rng.integers(0, 3, n), rng.integers(0, 6, n), rng.integers(-2, 5, n)
    part = Part(
        0, None, {}, {}, cells, cell.astype("<u4").tobytes(), kind.astype("u1").tobytes(), scores.tobytes(),
        count.astype("<i4").tobytes(),
    )  # fmt: skip
    wanted = {("a:b", "v1", 500): no_counts(), ("a:b", "v2", 501): no_counts()}
    for c, k, score, many in zip(cell, kind, scores, count, strict=True):
        at = cells[c]
        column = k - 2 if k >= 2 else LABELS + sum(score > edge for edge in EDGES)
        wanted[at.model, at.version, at.day][at.hour % HOURS, column] += many
    found = counts_of(part)
    assert found.keys() == wanted.keys()
    assert all((found[key] == wanted[key]).all() for key in wanted)
    assert counts_of(Part(0)) == {}


@pytest.mark.parametrize(("per_day", "most"), [(190, 260), (1_000, 400), (10_000, 750), (10**6, 1_800)])
def test_a_day_is_small_and_several_are_read_as_one_by_one(per_day: int, most: int) -> None:
    rng = np.random.default_rng(per_day)
    days = [plain.day_counts(rng, per_day) for _ in range(5)]
    stored = [hours_codec.encode(day) for day in days]
    print(f"{per_day:,} a day: {[len(value) for value in stored]} bytes")
    assert max(map(len, stored)) <= most
    assert (hours_codec.read_days(stored) == np.stack([hours_codec.decode(value) for value in stored])).all()
    assert (hours_codec.read_days(stored) == np.stack(days)).all()
    assert hours_codec.read_days([]).shape == (0, 24, 36)


def test_the_largest_day_is_below_its_bound_and_nothing_is_counted_less_than_zero_times() -> None:
    largest = np.random.default_rng(2).integers(2**30, 2**31, (24, 36))
    assert len(hours_codec.encode(largest)) <= 1 + 4_320 + 32
    with pytest.raises(Broken, match="less than zero"):
        hours_codec.encode(no_counts() - 1)
