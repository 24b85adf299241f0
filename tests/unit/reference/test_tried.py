"""The reference trainer fits a model a range, takes the longest that is as good as the best, and keeps few rows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from schemas.common import rfc3339
from schemas.inputs import PREDICTION_WITH_FEATURES_DECODER
from schemas.training import ROWS_EXPIRED, DataRange, TrainingData, TrainingRange
from stream_app.reference.judging import Answers, longest_as_good
from stream_app.reference.learners import logistic
from stream_app.reference.rows import KeptPredictions, RowsOfRange, TrainingRow, Wanted
from stream_app.reference.training import Task, Unusable, train

HOUR = 3_600_000


def rows(first: int, last: int, turned: int = 0, seed: int = 1) -> list[TrainingRow]:
    """One an hour; before ``turned`` the outcome is the other way round."""
    draw = np.random.default_rng(seed)
    found = []
    for at in range(first, last):
        value = float(draw.normal())
        actual = (draw.random() < 1 / (1 + np.exp(-4 * value))) ^ (at < turned)
        found.append(TrainingRow(at * HOUR, f"p{seed}-{at}", "v1", 0.5, value > 0, bool(actual), {"x": value}))
    return found


def task(*ranges: RowsOfRange, held: list[TrainingRow] | None = None, **rest: Any) -> Task:
    return Task(ranges, held or rows(1_000, 1_400, seed=9), None, "v1", "accuracy", **rest)


def of(name: str, found: list[TrainingRow], expired: bool = False) -> RowsOfRange:
    return RowsOfRange(name, found[0].at_ms if found else 0, found, expired)


def test_the_longest_range_is_taken_unless_a_shorter_one_is_clearly_better() -> None:
    still = train(logistic, task(of("onset", rows(900, 1_000)), of("all", rows(0, 1_000))))
    assert still.range == "all"
    assert [(found.name, found.rows) for found in still.tried] == [("all", 1_000), ("onset", 100)]
    moved = train(logistic, task(of("onset", rows(900, 1_000)), of("all", rows(0, 1_000, turned=900))))
    assert (moved.range, moved.training_samples) == ("onset", 100)
    values = {found.name: found.value for found in moved.tried}
    assert (values["onset"] or 0) > (values["all"] or 0) + 0.2
    assert moved.candidate_metrics["accuracy"] == values["onset"]
    assert {found.name: found.se for found in moved.tried}["onset"] == 0
    assert all((found.se or 0) > 0 for found in moved.tried if found.name == "all")


def test_what_serves_is_fitted_on_the_chosen_range_and_the_hold_out() -> None:
    held = rows(1_000, 1_400, seed=9)
    ranges = of("onset", rows(900, 1_000)), of("all", rows(0, 1_000, turned=900))
    assert train(logistic, task(*ranges, held=held, refit=True)).refitted_on == 500


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (of("30d", rows(0, 300), expired=True), "retention left 300 labelled rows, less than half"),
        (of("30d", rows(0, 99)), "99 labelled rows, 100 are needed"),
        (of("30d", [row._replace(actual=True) for row in rows(0, 300)]), "all 300 labelled rows have the same outcome"),
    ],
)
def test_a_range_that_nobody_can_learn_from_is_skipped_by_name(found: RowsOfRange, why: str) -> None:
    made = train(logistic, task(found, of("onset", rows(800, 1_000)), least=100))
    assert made.range == "onset"
    assert [(item.name, item.skipped) for item in made.tried] == [("onset", None), ("30d", why)]
    with pytest.raises(Unusable, match=why) as failed:
        train(logistic, task(found, least=100))
    assert str(failed.value).startswith(ROWS_EXPIRED) == found.expired


def test_equal_ranges_count_once() -> None:
    made = train(logistic, task(of("30d", rows(0, 500)), of("all", rows(0, 500))))
    assert [item.name for item in made.tried] == ["30d"]


def test_within_one_standard_error_the_first_is_taken_and_without_draws_too() -> None:
    truth = (np.arange(400) % 2).astype(np.int64)

    def wrong(count: int) -> Answers:
        said = truth == 1
        said[:count] = ~said[:count]
        return Answers(said.astype(float), said)

    # one row of 400 is a quarter of a point, and about its own standard error
    chosen, errors = longest_as_good("accuracy", [wrong(1), wrong(0)], truth)
    assert errors[1] == 0
    assert errors[0] == pytest.approx(0.0025, rel=0.2)
    assert (chosen, errors) == longest_as_good("accuracy", [wrong(1), wrong(0)], truth)
    assert longest_as_good("accuracy", [wrong(12), wrong(0)], truth)[0] == 1
    assert longest_as_good("accuracy", [wrong(0), wrong(12)], truth)[0] == 0
    # nobody ever said yes: precision is undefined of the first, so nothing holds against the second
    nobody = Answers(np.zeros(400), np.zeros(400, dtype=bool))
    assert longest_as_good("precision", [nobody, wrong(3)], truth) == (1, [None, 0.0])
    assert longest_as_good("precision", [nobody, nobody], truth) == (0, [None, None])


# -- rows that are kept ----------------------------------------------------------------------------------------------


def between(first: int, last: int) -> DataRange:
    return DataRange(from_=rfc3339(first * HOUR), to=rfc3339(last * HOUR), offsets={})


def wanted(max_rows: int, ranges: dict[str, int], silence: bool = False) -> Wanted:
    """Ranges by the hour they begin at, up to 9,000; the hold-out goes on to 10,000."""
    made = [
        TrainingRange(name=name, from_=rfc3339(begin * HOUR), to=rfc3339(9_000 * HOUR), rows=9_000 - begin)
        for name, begin in ranges.items()
    ]
    data = TrainingData(between(min(ranges.values()), 9_000), between(9_000, 10_000), made)
    return Wanted("churn:acme", False, data, max_rows, silence)


def prediction(at: int, role: str = "active", id: str | None = None) -> Any:
    record = (
        f'{{"prediction_id": "{id or f"p{at}"}", "model_type": "churn", "model_version": "v1", "tenant_id": "acme", '
        f'"predicted_at": "{rfc3339(at * HOUR)}", "score": 0.7, "role": "{role}", "features": {{"x": {at}}}}}'
    )
    return PREDICTION_WITH_FEATURES_DECODER.decode(record.encode())


def kept(asked: Wanted, seed: int = 0) -> KeptPredictions:
    sample, order = KeptPredictions(asked), list(range(12_000))
    random.Random(seed).shuffle(order)
    for at in order:
        sample.take(prediction(at))
        assert len(sample.kept) <= asked.max_rows * 3 + 1_000
    return sample


def test_of_a_long_range_as_many_are_kept_as_may_be_and_the_same_in_any_order_and_the_hold_out_whole() -> None:
    asked = wanted(500, {"onset": 8_800, "30d": 6_000, "all": 0})
    outcomes = {f"p{at}": (0, at % 2 == 0) for at in range(12_000)}
    found = kept(asked).rows(outcomes, cut=False)
    assert [(known.name, len(known.rows)) for known in found.ranges] == [("onset", 200), ("30d", 500), ("all", 500)]
    assert len(found.holdout) == 1_000
    assert found == kept(asked, seed=1).rows(outcomes, cut=False)
    assert all(begin.rows == sorted(begin.rows, key=lambda row: row.at_ms) for begin in found.ranges)
    # what is kept is no stretch of time
    hours = [row.at_ms // HOUR for row in found.ranges[2].rows]
    assert 4_000 < sum(hours) / len(hours) < 5_000


@pytest.mark.parametrize(("left", "expired"), [(3_900, [True, False]), (4_600, [False, False])])
def test_a_range_of_which_retention_left_less_than_half_says_so(left: int, expired: list[bool]) -> None:
    sample = KeptPredictions(wanted(10_000, {"all": 0, "30d": 7_000}))
    for at in range(9_000 - left, 10_000):
        sample.take(prediction(at))
    outcomes = {f"p{at}": (0, True) for at in range(10_000)}
    assert [known.expired for known in sample.rows(outcomes, cut=True).ranges] == expired
    assert not any(known.expired for known in sample.rows(outcomes, cut=False).ranges)


def test_retention_is_estimated_where_rows_are_thinned() -> None:
    sample = KeptPredictions(wanted(300, {"all": 0}))
    for at in range(3_500, 9_000):
        sample.take(prediction(at))
    outcomes = {f"p{at}": (0, True) for at in range(10_000)}
    assert not sample.rows(outcomes, cut=True).ranges[0].expired


def test_shadows_unlabelled_rows_and_second_predictions_are_left_out() -> None:
    asked = wanted(100, {"30d": 0})
    sample = KeptPredictions(asked)
    for found in (prediction(5), prediction(7, id="p5"), prediction(8, role="shadow"), prediction(9)):
        sample.take(found)
    outcomes = {"p5": (0, True), "p8": (0, True)}
    assert [(row.id, row.at_ms) for row in sample.rows(outcomes, cut=False).ranges[0].rows] == [("p5", 5 * HOUR)]
    negative = KeptPredictions(wanted(100, {"30d": 0}, silence=True))
    for found in (prediction(5), prediction(9)):
        negative.take(found)
    made = negative.rows(outcomes, cut=False).ranges[0].rows
    assert [(row.id, row.actual) for row in made] == [("p5", True), ("p9", False)]


def test_a_command_of_the_old_form_names_one_range() -> None:
    data = TrainingData(between(0, 100), between(100, 200))
    sample = KeptPredictions(Wanted("churn:acme", False, data, 1_000))
    for at in range(200):
        sample.take(prediction(at))
    found = sample.rows({f"p{at}": (0, True) for at in range(200)}, cut=False)
    assert [(known.name, len(known.rows)) for known in found.ranges] == [("train", 100)]
    assert len(found.holdout) == 100
