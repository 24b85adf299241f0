"""Seeded models whose drift is planted, as days of rows: each scenario a model of its own, so that all fit one replay.

The models are like the contract's: accuracy 0.83, predicted positive 0.54, precision 0.81, scores whose logits are
normal. Days are numbered from the first day of the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FIRST_DAY = 20_500

POSITIVE = 0.54
#: P(actual) among predicted positives and negatives: precision 0.81, accuracy 0.83
PRECISION = 0.81
MISSED = 1 - (0.83 - POSITIVE * PRECISION) / (1 - POSITIVE)


@dataclass
class Day:
    """One day's rows; arrays of shape (n,). ``actual``: 1, 0 or −1 for no outcome; ``fixed``: what a later correction
    says, −1 where there is none."""

    scores: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    actual: NDArray[np.int64]
    fixed: NDArray[np.int64] | None = None
    fixed_after_days: int = 0


Make = Callable[[np.random.Generator, int], Day]


@dataclass(frozen=True)
class Scenario:
    """``make(rng, day)`` draws a day; ``bad``: first bad day, if any; ``version`` by day."""

    model: str
    days: int
    make: Make
    bad: int | None = None
    version: Callable[[int], str] = field(default=lambda day: "v1")

    def draw(self, seed: int = 1) -> Iterator[tuple[int, Day]]:
        """Every day of the model; the same seed gives the same rows."""
        name = [ord(c) for c in self.model]
        for day in range(self.days):
            yield day, self.make(np.random.default_rng([seed, day, *name]), day)


def healthy(rng: np.random.Generator, n: int, spread: float = 1.0, shift: float = 0.0) -> Day:
    """A day of a model as it should be. Scores are on either side of 0.5 as predicted."""
    predicted = rng.random(n) < POSITIVE
    logit = np.abs(rng.normal(0, spread, n)) * np.where(predicted, 1, -1) + shift
    actual = (rng.random(n) < np.where(predicted, PRECISION, MISSED)).astype(np.int64)
    return Day(np.round(1 / (1 + np.exp(-logit)), 4), predicted, actual)


def flipped(day: Day, rng: np.random.Generator, points: float) -> Day:
    """Outcomes flipped at random so that accuracy drops by ``points``: from a to a − f·(2a − 1)."""
    share = points / 100 / (2 * 0.83 - 1)
    flip = rng.random(len(day.actual)) < share
    return replace(day, actual=np.where(flip & (day.actual >= 0), 1 - day.actual, day.actual))


def unlabelled(day: Day, rng: np.random.Generator, coverage: float) -> Day:
    """Only a share of the outcomes ever comes."""
    return replace(day, actual=np.where(rng.random(len(day.actual)) < coverage, day.actual, -1))


def step(points: float, bad: int, days: int, n: int = 1_000, until: int = 10**9) -> Scenario:
    """Accuracy drops by ``points`` from day ``bad`` to the day before ``until``."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        return flipped(found, rng, points) if bad <= day < until else found

    return Scenario(f"churn:step-{points:g}-{n}-{until if until < days else 'on'}", days, make, bad)


def slope(points: float, bad: int, over: int, days: int, n: int = 1_000) -> Scenario:
    """Accuracy drops by ``points`` in equal parts over so many days, and stays there."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        return flipped(found, rng, points * min(1.0, (day - bad + 1) / over)) if day >= bad else found

    return Scenario(f"churn:slope-{points:g}-{over}", days, make, bad)


def on_days(name: str, points: float, bad: tuple[int, ...], days: int, n: int = 1_000) -> Scenario:
    """Single bad days."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        return flipped(found, rng, points) if day in bad else found

    return Scenario(f"churn:{name}", days, make, bad[0])


def stretched(bad: int, days: int, n: int = 1_000) -> Scenario:
    """Logits times 1.5, predictions unchanged: scores shift, no metric moves."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        if day < bad:
            return found
        odds = found.scores / (1 - found.scores)
        return replace(found, scores=np.round(odds**1.5 / (1 + odds**1.5), 4))

    return Scenario("churn:stretched", days, make, bad)


def overconfident(bad: int, days: int, n: int = 1_000, times: float = 3.0) -> Scenario:
    """A calibrated model whose logits are multiplied from ``bad`` on, predictions unchanged: no metric moves, and its
    scores no longer say how often it is right."""

    def make(rng: np.random.Generator, day: int) -> Day:
        logit = rng.normal(0, 1.5, n)
        actual = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64)
        scores = 1 / (1 + np.exp(-logit * (times if day >= bad else 1.0)))
        return Day(np.round(scores, 4), logit >= 0, actual)

    return Scenario(f"churn:overconfident-{times:g}", days, make, bad)


def shifted(
    bad: int, days: int, logits: float = 1.0, n: int = 1_000, again: tuple[int, float] | None = None,
    lost: int | None = None, regained: int = 10**9,
) -> Scenario:  # fmt: skip
    """Scores move by so many logits, and by more from the day ``again`` on; decisions and outcomes do not, so nothing
    is lost until 25 points are from the day ``lost`` to the day before ``regained``."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        moved = logits * (day >= bad) + (again[1] if again is not None and day >= again[0] else 0.0)
        odds = found.scores / (1 - found.scores) * np.exp(moved)
        found = replace(found, scores=np.round(odds / (1 + odds), 4))
        return flipped(found, rng, 25) if lost is not None and lost <= day < regained else found

    return Scenario(f"churn:shifted-{logits:g}", days, make, bad)


def selected(late: int, bad: int, days: int, n: int = 1_000, share: float = 0.3) -> Scenario:
    """From ``bad`` on the outcomes of actual positives come ``late`` days late; quality does not change."""

    def make(rng: np.random.Generator, day: int) -> Day:
        actual = (rng.random(n) < share).astype(np.int64)
        predicted = rng.random(n) < np.where(actual == 1, 0.85, 0.10)
        logit = np.abs(rng.normal(0, 1.0, n)) * np.where(predicted, 1, -1)
        scores = np.round(1 / (1 + np.exp(-logit)), 4)
        if day < bad:
            return Day(scores, predicted, actual)
        return Day(scores, predicted, np.where(actual == 1, -1, 0), np.where(actual == 1, 1, -1), late)

    return Scenario(f"churn:selected-{late}", days, make, bad)


def rarer(bad: int, days: int, n: int = 1_000) -> Scenario:
    """From ``bad`` on 25 instead of 45 % of the outcomes are positive; the rates of error among either do not move."""

    def make(rng: np.random.Generator, day: int) -> Day:
        actual = (rng.random(n) < (0.25 if day >= bad else 0.45)).astype(np.int64)
        predicted = rng.random(n) < np.where(actual == 1, 0.85, 0.15)
        logit = np.abs(rng.normal(0, 1.0, n)) * np.where(predicted, 1, -1)
        return Day(np.round(1 / (1 + np.exp(-logit)), 4), predicted, actual)

    return Scenario("churn:rarer", days, make, bad)


def weekdays(days: int, n: int = 2_000) -> Scenario:
    """+0.30 logit at weekends and a day-to-day wobble of 0.10: ordinary life."""

    def make(rng: np.random.Generator, day: int) -> Day:
        weekend = (FIRST_DAY + day + 3) % 7 >= 5
        logit = rng.normal(0, 1.0, n) + 0.30 * weekend + rng.normal(0, 0.10)
        scores = np.round(1 / (1 + np.exp(-logit)), 4)
        return Day(scores, scores >= 0.5, (rng.random(n) < scores).astype(np.int64))

    return Scenario("churn:weekdays", days, make)


def two_kinds_of_days(days: int, n: int = 300) -> Scenario:
    """Weekends have a fifth of the predictions, their scores 1.5 logits higher and 12 points less accuracy."""

    def make(rng: np.random.Generator, day: int) -> Day:
        if (FIRST_DAY + day + 3) % 7 < 5:
            return healthy(rng, n)
        return flipped(healthy(rng, n // 5, shift=1.5), rng, 12)

    return Scenario("churn:two-kinds", days, make)


def late_labels(bad: int, days: int, n: int = 1_000) -> Scenario:
    """One day's outcomes come wrong at first and are corrected two days after they came."""

    def make(rng: np.random.Generator, day: int) -> Day:
        found = healthy(rng, n)
        if day != bad:
            return found
        return replace(flipped(found, rng, 25), fixed=found.actual, fixed_after_days=2)

    return Scenario("churn:late-labels", days, make, bad)


def coverage(share: float, bad: int, until: int, days: int, n: int = 500) -> Scenario:
    """Only a share of the outcomes comes on some days."""

    def make(rng: np.random.Generator, day: int) -> Day:
        return unlabelled(healthy(rng, n), rng, share if bad <= day < until else 0.97)

    return Scenario(f"churn:coverage-{share:g}", days, make, bad)


def recalibrated(bad: int, days: int, n: int = 1_000) -> Scenario:
    """A new version whose scores are calibrated differently and whose predictions are as good."""

    def make(rng: np.random.Generator, day: int) -> Day:
        return healthy(rng, n, spread=1.0 if day < bad else 2.0)

    return Scenario("churn:recalibrated", days, make, None, lambda day: "v1" if day < bad else "v2")


def missed_fraud(bad: int, days: int, n: int = 10_000) -> Scenario:
    """0.8 % positives; from ``bad`` on half of the fraud gets the scores of honest rows. Accuracy does not move."""

    def make(rng: np.random.Generator, day: int) -> Day:
        actual = (rng.random(n) < 0.008).astype(np.int64)
        seen = (actual == 1) & ((rng.random(n) < 0.5) if day >= bad else True)
        logit = np.where(seen, rng.normal(0.8, 1.2, n), rng.normal(-5.0, 1.2, n))
        scores = np.round(1 / (1 + np.exp(-logit)), 3)
        return Day(scores, scores >= 0.5, actual)

    return Scenario("fraud:missed", days, make, bad)


#: The replay of the tests. A baseline of seven days that does not overlap the recent window exists from day 15 on.
BAD = 24


def everything() -> list[Scenario]:
    """Every scenario of the issue, a line each."""
    return [
        step(7, BAD, 33),
        step(15, BAD, 33),
        step(25, BAD, 33),
        step(25, BAD, 95, n=100, until=BAD + 10),
        step(25, BAD, 50, n=400, until=BAD + 10),
        stretched(BAD, 34, n=400),
        weekdays(15 + 60, n=700),
        on_days("gap-3", 25, (BAD, BAD + 3), 33, n=400),
        on_days("gap-4", 25, (BAD, BAD + 4), 33, n=400),
        late_labels(BAD, 32, n=400),
        coverage(0.4, BAD, BAD + 4, 33, n=200),
        coverage(0.6, BAD, BAD + 4, 33, n=200),
        recalibrated(BAD, 41, n=400),
        missed_fraud(16, 19, n=5_000),
    ]


def rows(scenario: Scenario, seed: int = 1) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """(time ms, topic, key, record) of a scenario, in no order. Outcomes come 1 to 20 hours later."""
    model_type, _, tenant = scenario.model.partition(":")
    for number, found in scenario.draw(seed):
        start = (FIRST_DAY + number) * DAY_MS
        rng = np.random.default_rng([seed, number, 7])
        times = start + np.sort(rng.integers(0, DAY_MS, len(found.scores)))
        seen = times + rng.integers(HOUR_MS, 20 * HOUR_MS, len(times))
        for i in range(len(times)):
            key = f"{tenant}-{number}-{i}"
            at = int(times[i])
            yield at, "predictions", key, {
                "prediction_id": key, "model_type": model_type, "tenant_id": tenant,
                "model_version": scenario.version(number), "predicted_at": at, "score": float(found.scores[i]),
                "predicted": bool(found.predicted[i]),
            }  # fmt: skip
            if found.actual[i] >= 0:
                when = int(seen[i])
                yield when, "outcomes", key, _outcome(key, int(found.actual[i]), when)
                if found.fixed is not None and found.fixed[i] != found.actual[i]:
                    later = when + found.fixed_after_days * DAY_MS
                    yield later, "outcomes", key, _outcome(key, int(found.fixed[i]), later)


def _outcome(key: str, actual: int, at: int) -> dict[str, Any]:
    return {"prediction_id": key, "actual": actual, "observed_at": at}
