"""Models by the hour through the simulator: what is predicted in each hour, and outcomes that come some hours later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stream_app.core.alerts import AlertRules, AlertsConfig
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.retrain import RetrainConfig
from stream_app.simulator import HOUR_MS, Batch, Simulator
from tests.support.scenarios import FIRST_DAY, healthy

#: (hour since the first day's midnight, generator) → points that accuracy is lower, and logits by which scores are
#: higher
World = Callable[[int, np.random.Generator], tuple[float, float]]


def sound(hour: int, rng: np.random.Generator) -> tuple[float, float]:
    """Nothing is wrong."""
    return 0.0, 0.0


def fault(first: int, points: float = 0.0, shift: float = 0.0, hours: int = 10**9) -> World:
    """A fault from an hour on, for so many hours."""
    return lambda hour, rng: (points, shift) if first <= hour < first + hours else (0.0, 0.0)


@dataclass(frozen=True)
class HourlyModel:
    """One model: predictions a day, and in how many hours its outcomes come, uniformly from one on."""

    model: str
    world: World = sound
    a_day: int = 1_000
    late_h: int = 4

    def hour(self, hour: int, seed: int) -> tuple[Batch, list[tuple[int, Batch]]]:
        """The predictions of an hour, and their outcomes with the hours in which these come."""
        rng = np.random.default_rng([seed, hour, *map(ord, self.model)])
        made = healthy(rng, int(rng.poisson(self.a_day / 24)))
        points, shift = self.world(hour, rng)
        odds = made.scores / (1 - made.scores) * np.exp(shift)
        # as flipping outcomes at random lowers it
        flip = rng.random(len(odds)) < points / 100 / (2 * 0.83 - 1)
        actual = np.where(flip, 1 - made.actual, made.actual)
        scores = np.round(odds / (1 + odds), 4)
        day, none = FIRST_DAY + hour // 24, np.full(len(scores), -1)
        late = rng.integers(1, self.late_h + 1, len(scores))
        came = []
        for h in np.unique(late):
            rows = late == h
            labels = Batch(self.model, "v1", day, scores[rows], made.predicted[rows], actual[rows], made=False)
            came.append((hour + int(h), labels))
        return Batch(self.model, "v1", day, scores, made.predicted, none), came


def hourly_simulator(
    mode: Literal["on", "shadow", "off"] = "on", budget: float = 1.0, delay: int = 1, *, performance: bool = True,
    statistical: bool = True, **metrics: int,
) -> Simulator:  # fmt: skip
    """All stages behind the labels; the daily checks of scores or performance can be left out."""
    rules = ModelRules(
        delay, hourly_alerts=mode, false_alert_budget=budget, performance=performance, statistical=statistical
    )
    return Simulator(
        MetricsConfig(1, 1, "/plumbline/sim", Fixed(lambda model: rules), **metrics),
        DriftConfig("/plumbline/sim", Fixed(lambda model: ComparisonRules())),
        RetrainConfig("/plumbline/sim", "ml.training-results"),
        AlertsConfig("/plumbline/sim", rules=Fixed(lambda model: AlertRules(hourly_alerts=mode))),
    )


def play(
    sim: Simulator, models: Sequence[HourlyModel], hours: range, seed: int = 1,
    each: Callable[[int], None] | None = None,
) -> Simulator:  # fmt: skip
    """An epoch an hour; ``hours`` since the first day's midnight. Outcomes of hours before it do not come."""
    coming: dict[int, list[tuple[int, Batch]]] = defaultdict(list)
    for hour in hours:
        made = []
        for model in models:
            batch, late = model.hour(hour, seed)
            if len(batch.scores):
                made.append(batch)
            for at, found in late:
                coming[at].append((hour % 24, found))
        sim.batches(made, hour=hour % 24)
        by_hour: dict[int, list[Batch]] = defaultdict(list)
        for of, found in coming.pop(hour, []):
            by_hour[of].append(found)
        for of, batches in sorted(by_hour.items()):
            sim.batches(batches, hour=of)
        sim.tick((FIRST_DAY * 24 + hour + 1) * HOUR_MS)
        if each is not None:
            each(hour)
    return sim
