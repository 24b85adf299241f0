"""Scenarios through the simulator, as whole days of counts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stream_app.core.alerts import AlertRules, AlertsConfig
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.retrain import RetrainConfig
from stream_app.engine.lane_driver import LaneDriver
from stream_app.settings import Settings
from stream_app.simulator import Batch, Simulator
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from tests.support.generate import Step
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, Day, Scenario

FRAUD = ("precision", "recall", "pr_auc")


def comparison(model: str) -> ComparisonRules:
    """Rules by type, as the settings have them."""
    return ComparisonRules(performance_metrics=FRAUD) if model.startswith("fraud:") else ComparisonRules()


def simulator(
    alerts: AlertRules | None = None, retrain: RetrainConfig | None = None, delay: int = 1, **metrics: int
) -> Simulator:
    """All stages behind the labels, with the contract's rules."""
    found = alerts or AlertRules()
    return Simulator(
        MetricsConfig(
            1, 1, "/plumbline/sim", Fixed(lambda model: ModelRules(delay, comparison=comparison(model))), **metrics
        ),
        DriftConfig("/plumbline/sim", Fixed(comparison)),
        retrain or RetrainConfig("/plumbline/sim", "ml.training-results"),
        AlertsConfig("/plumbline/sim", rules=Fixed(lambda model: found)),
    )


def restarting(sim: Simulator, restarts: Callable[[], bool]) -> Simulator:
    """The same with a stage thrown away and opened again after each checkpoint of which ``restarts`` says so."""

    def shaken(lane: LaneDriver, checkpoint: Callable[[], None]) -> Callable[[], None]:
        def then() -> None:
            checkpoint()
            if restarts():
                lane.reopen()

        return then

    for lane in sim.lanes.values():
        lane.checkpoint = shaken(lane, lane.checkpoint)  # type: ignore[method-assign]
    return sim


def batch(scenario: Scenario, day: int, found: Day) -> Batch:
    """A day's predictions with their outcomes."""
    return Batch(
        scenario.model,
        scenario.version(day),
        FIRST_DAY + day,
        found.scores,
        found.predicted,
        found.actual.astype(np.int64),
    )


def late_labels(scenario: Scenario, day: int, found: Day) -> Batch:
    """Outcomes that come days later, of predictions that had none."""
    assert found.fixed is not None
    came = found.fixed >= 0
    return Batch(
        scenario.model, scenario.version(day), FIRST_DAY + day, found.scores[came], found.predicted[came],
        found.fixed[came], made=False,
    )  # fmt: skip


def run(
    scenarios: Sequence[Scenario], sim: Simulator, seed: int = 1, each: Callable[[int], None] | None = None
) -> Simulator:
    """Each day's predictions and outcomes at noon, then the four closes of the next; ``each`` is called after them."""
    days: dict[int, list[Batch]] = defaultdict(list)
    for scenario in scenarios:
        for day, found in scenario.draw(seed):
            days[day].append(batch(scenario, day, found))
            if found.fixed is not None and (found.actual[found.fixed >= 0] < 0).all():
                days[day + found.fixed_after_days].append(late_labels(scenario, day, found))
    for day in range(max(scenario.days for scenario in scenarios)):
        sim.batches(days.get(day, []), hour=10)
        sim.tick((FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((FIRST_DAY + day + 1) * DAY_MS + hour * HOUR_MS)
        if each is not None:
            each(day)
    return sim


def records(sim: Simulator, topic: str, model: str | None = None) -> list[dict[str, Any]]:
    """What a stage published, decoded, in order."""
    found = [json.loads(emit.value or b"") for emit in sim.emits.get(topic, [])]
    return [row for row in found if model in (None, row["model"])]


def simulated(script: list[Step], app_id: str) -> Simulator:
    """The same rows by the same ticks as on a broker, joined by the simulator's own labels stage."""
    settings = Settings(environment="development", app_id=app_id, input_partitions=1, model_partitions=1)
    sim = Simulator(
        metrics_config(settings),
        drift_config(settings),
        retrain_config(settings, "ml.training-results"),
        alerts_config(settings),
        labels_config(settings).for_source(0),
    )
    for at, rows in script:
        for topic in ("predictions", "outcomes"):
            sim.rows(topic, [(row.key, row.value or b"") for row in rows if row.topic == topic], at)
        sim.tick(at)
    return sim


def comparable(value: bytes | None) -> bytes:
    """A record without the hash of its settings: partition counts are part of it, and a simulator has one each."""
    row = json.loads(value or b"")
    row.pop("settings_hash", None)
    row.get("report", {}).pop("settings_hash", None)
    return json.dumps(row, sort_keys=True).encode()


def close_day(row: dict[str, Any]) -> int:
    """Day number of a drift event's close."""
    return int(np.datetime64(row["as_of"][:10]).astype(int)) - FIRST_DAY
