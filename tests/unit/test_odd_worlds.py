"""Worlds that no table of the contract names: odd calendars, volumes, outcomes and scores, with and without a loss.

All models of a volume go through the stages at once. The change of a world comes on day 35, when the baseline is the
version's first days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from tests.support.scenarios import FIRST_DAY, Day, Scenario, flipped, healthy
from tests.support.simulate import records, run, simulator

CHANGE, DAYS, FOUND_WITHIN = 35, 52, 10
EMPTY = Day(np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class OddWorld(Scenario):
    """A scenario in which some days have no predictions at all."""

    def draw(self, seed: int = 1) -> Iterator[tuple[int, Day]]:
        """Every day with predictions."""
        for day, found in super().draw(seed):
            if len(found.scores):
                yield day, found


def _weekday(day: int) -> int:
    """0 is Monday."""
    return (FIRST_DAY + day + 3) % 7


Rows = Callable[[np.random.Generator, int, int], Day]


def _other_weekend(rng: np.random.Generator, day: int, n: int) -> Day:
    """Fridays and Saturdays are the weekend here, and the setting does not say so."""
    if _weekday(day) not in (4, 5):
        return healthy(rng, n)
    return flipped(healthy(rng, max(1, n // 5), shift=0.3), rng, 5)


def _holidays(rng: np.random.Generator, day: int, n: int) -> Day:
    """Three working days in a row like a weekend."""
    if not CHANGE + 2 <= day < CHANGE + 5:
        return healthy(rng, n)
    return flipped(healthy(rng, max(1, n // 10), shift=0.3), rng, 5)


def _growing(rng: np.random.Generator, day: int, n: int) -> Day:
    return healthy(rng, round(n * (1 + day / 25)))


def _one_huge_day(rng: np.random.Generator, day: int, n: int) -> Day:
    return healthy(rng, 10 * n if day == CHANGE + 1 else n)


def _with_gaps(rng: np.random.Generator, day: int, n: int) -> Day:
    """Nothing on every fifth day, and nothing for a week."""
    return EMPTY if day % 5 == 0 or CHANGE + 8 <= day < CHANGE + 15 else healthy(rng, n)


def _outcomes_come_when_they_like(rng: np.random.Generator, day: int, n: int) -> Day:
    """Those of a day together, up to three days later."""
    found, late = healthy(rng, n), int(rng.integers(0, 4))
    if not late:
        return found
    return replace(found, actual=np.full(n, -1), fixed=found.actual, fixed_after_days=late)


def _few_scores(rng: np.random.Generator, day: int, n: int) -> Day:
    found = healthy(rng, n)
    return replace(found, scores=np.round(found.scores, 1))


def _two_scores(rng: np.random.Generator, day: int, n: int) -> Day:
    """A classifier that only says yes or no."""
    found = healthy(rng, n)
    return replace(found, scores=np.where(found.predicted, 1.0, 0.0))


def _rare(rng: np.random.Generator, day: int, n: int) -> Day:
    """One positive in two hundred."""
    actual = (rng.random(n) < 0.005).astype(np.int64)
    scores = 1 / (1 + np.exp(-np.where(actual == 1, rng.normal(0.5, 1.5, n), rng.normal(-5, 1.2, n))))
    return Day(np.round(scores, 4), scores >= 0.5, actual)


def _mixed(rng: np.random.Generator, day: int, n: int) -> Day:
    """The share of positives is another every day; the error rates are not."""
    share = rng.normal(0.5, 0.04)
    actual = (rng.random(n) < share).astype(np.int64)
    predicted = rng.random(n) < np.where(actual == 1, 0.85, 0.15)
    logit = np.abs(rng.normal(0, 1, n)) * np.where(predicted, 1, -1)
    return Day(np.round(1 / (1 + np.exp(-logit)), 4), predicted, actual)


WORLDS: dict[str, Rows] = {
    "other-weekend": _other_weekend, "holidays": _holidays, "growing": _growing, "one-huge-day": _one_huge_day,
    "gaps": _with_gaps, "outcomes-vary": _outcomes_come_when_they_like, "few-scores": _few_scores,
    "two-scores": _two_scores, "mixed": _mixed,
}  # fmt: skip


def _of_volume(rows: Rows, per_day: int, rng: np.random.Generator, day: int) -> Day:
    return rows(rng, day, per_day)


def _drift_alerts(models: list[Scenario]) -> dict[str, list[tuple[int, str]]]:
    """(day of opening, severity) of each model's alerts about drift."""
    sim = run(models, simulator())
    out: dict[str, list[tuple[int, str]]] = {model.model: [] for model in models}
    for row in records(sim, "alerts"):
        if row["type"] == "ML_DRIFT_DETECTED" and row.get("notify") == "opened":
            day = int(np.datetime64(row["at"][:10]).astype(int)) - FIRST_DAY
            out[row["model"]].append((day, row["severity"]))
    return out


@pytest.mark.parametrize("per_day", [190, 1_000])
def test_odd_worlds_without_a_loss_are_quiet(per_day: int) -> None:
    models: list[Scenario] = [
        OddWorld(f"churn:{name}", DAYS, partial(_of_volume, rows, per_day)) for name, rows in WORLDS.items()
    ]
    models.append(OddWorld("fraud:rare", DAYS, lambda rng, day: _rare(rng, day, per_day)))
    new = OddWorld(
        "churn:new-version", DAYS, lambda rng, day: healthy(rng, per_day, spread=1.0 if day < CHANGE else 2.0),
        version=lambda day: "v1" if day < CHANGE else "v2",
    )  # fmt: skip
    assert {name: told for name, told in _drift_alerts([*models, new]).items() if told} == {}


@pytest.mark.parametrize(("per_day", "points"), [(190, 20), (1_000, 15)])
def test_a_loss_in_an_odd_world_is_found(per_day: int, points: float) -> None:
    def lossy(rows: Rows) -> Callable[[np.random.Generator, int], Day]:
        def make(rng: np.random.Generator, day: int) -> Day:
            found = rows(rng, day, per_day)
            if day < CHANGE or not len(found.scores):
                return found
            if found.fixed is None:
                return flipped(found, rng, points)
            return replace(found, fixed=flipped(replace(found, actual=found.fixed), rng, points).actual)

        return make

    models: list[Scenario] = [
        OddWorld(f"churn:{name}-lost", DAYS, lossy(rows)) for name, rows in WORLDS.items() if name != "holidays"
    ]
    late: dict[str, list[tuple[int, str]]] = {}
    for name, told in _drift_alerts(models).items():
        first = min((day for day, _ in told), default=10**9)
        if not CHANGE <= first <= CHANGE + FOUND_WITHIN:
            late[name] = told
    assert late == {}
