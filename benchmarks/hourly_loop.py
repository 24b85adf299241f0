"""What the hourly tier costs for 10,000 models of a partition, in CPU seconds of the metrics stage without a broker.

Each model has 36 days of hour records, drawn as in :mod:`benchmarks.hourly_worlds` from day effects of 2 points; models
share some of them. The references are made at a 02:00 close, then evidence is looked at every full hour until 13:00;
the last of these hours is the figure. Before each hour the counts of today and of the day before grow as outcomes
arrive, and every model makes a prediction, so that all are visited.

``python -m benchmarks.hourly_loop --per-day 10000 --profile`` shows where the time goes.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from benchmarks.hourly_worlds import WARM, Stream
from stream_app.core.alerts import AlertsConfig
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.hourly import hours_codec
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig, active_version, version_days
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.metrics_stage.hourly import HourlyTier
from stream_app.core.metrics_stage.keys import days_key, evidence_key, hours_key, model_key, references_key
from stream_app.core.metrics_stage.version_days import VersionDays
from stream_app.core.retrain import RetrainConfig
from stream_app.simulator import Batch, Simulator

#: The first day of the hour records, and the one that is looked at: that after the close that makes its references.
FIRST = 20_600
TODAY = FIRST + WARM + 1
#: Different models; every model is one of them.
POOL = 40
#: Full hours of the day that are looked at before the one that counts.
LAST_HOUR = 13


def run(models: int = 10_000, per_day: int = 1_000) -> dict[str, float]:
    """CPU seconds of the references and of one full hour, scaled to 10,000 models, and bytes that a model keeps."""
    seconds: dict[str, float] = defaultdict(float)
    plain = HourlyTier.run, HourlyTier.close
    HourlyTier.run = _timed(plain[0], "loop", seconds)  # type: ignore[method-assign]
    HourlyTier.close = _timed(plain[1], "close", seconds)  # type: ignore[method-assign]
    try:
        sim = _simulator()
        stream = Stream(np.random.default_rng(4), POOL, WARM + 2, per_day)
        stream.day_effects(2, 0.7)
        stream.draw()
        names = [f"churn:t{number}" for number in range(models)]
        _seed(sim, stream, names)
        midnight = TODAY * DAY_MS
        sim.tick(midnight - DAY_MS + HOUR_MS)
        sim.tick(midnight - DAY_MS + 2 * HOUR_MS)
        seconds["close"] = 0.0
        for hour in range(1, LAST_HOUR + 1):
            _grow(sim, stream, names, hour)
            seconds["loop"] = 0.0
            sim.tick(midnight + hour * HOUR_MS)
    finally:
        HourlyTier.run, HourlyTier.close = plain  # type: ignore[method-assign]
    rows = sim.tables["metrics"].rows
    kept = [sum(len(rows.get(key, b"")) for key in _keys(name)) for name in names[:POOL]]
    return {
        "hourly_seconds_10k_models": seconds["loop"] * 10_000 / models,
        "hourly_references_seconds_10k_models": seconds["close"] * 10_000 / models,
        "hourly_kb_a_model": float(np.mean(kept)) / 1_000,
    }


def _simulator() -> Simulator:
    rules = ModelRules(hourly_alerts="on")
    sim = Simulator(
        MetricsConfig(1, 1, "/plumbline/sim", Fixed(lambda model: rules)),
        DriftConfig("/plumbline/sim", Fixed(lambda model: ComparisonRules())),
        RetrainConfig("/plumbline/sim", "ml.training-results"),
        AlertsConfig("/plumbline/sim"),
    )
    sim.keep.clear()
    return sim


def _keys(model: str) -> list[bytes]:
    days = [hours_key(model, "v1", day) for day in range(FIRST, TODAY + 1)]
    return [*days, evidence_key(model), references_key(model)]


def _seed(sim: Simulator, stream: Stream, names: list[str]) -> None:
    """Hour records of every day before yesterday, and an active version as old as they are."""
    since = FIRST * DAY_MS
    rows: dict[bytes, bytes | None] = {}
    pool = [
        [hours_codec.encode(stream.final[model].reshape(-1, 24, 36)[day]) for day in range(WARM)]
        for model in range(POOL)
    ]
    active = active_version.encode(ActiveVersion("v1", None, "observed", since, since))
    days = version_days.encode(VersionDays(first=list(range(FIRST, FIRST + version_days.FIRST_DAYS))))
    for number, name in enumerate(names):
        rows[model_key(name)], rows[days_key(name, "v1")] = active, days
        for day, value in enumerate(pool[number % POOL]):
            rows[hours_key(name, "v1", FIRST + day)] = value
    sim.tables["metrics"].write(dict(sorted(rows.items())))
    sim.restart("metrics")


def _grow(sim: Simulator, stream: Stream, names: list[str], hour: int) -> None:
    """The counts as they are known at a full hour of today, and a prediction of every model."""
    rows: dict[bytes, bytes | None] = {}
    for day in (WARM, WARM + 1):
        values = [hours_codec.encode(stream.at(model, day, (WARM + 1) * 24 + hour)) for model in range(POOL)]
        for number, name in enumerate(names):
            rows[hours_key(name, "v1", FIRST + day)] = values[number % POOL]
    sim.tables["metrics"].write(dict(sorted(rows.items())))
    one = np.array([0.5])
    sim.batches([Batch(name, "v1", TODAY, one, one >= 0.5, np.array([-1])) for name in names], hour - 1)


def _timed(method: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return method(*arguments)
        finally:
            seconds[name] += time.process_time() - began

    return call


@click.command()
@click.option("--models", default=2_000, show_default=True, help="Models; the figures are scaled to 10,000.")
@click.option("--per-day", default=1_000, show_default=True, help="Predictions a day.")
@click.option("--profile", is_flag=True, help="Print where the time goes.")
def main(models: int, per_day: int, profile: bool) -> None:
    """CPU seconds of the hourly tier for 10,000 models."""
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    figures = run(models, per_day)
    if profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    click.echo(json.dumps({"models": models, "per_day": per_day, **{k: round(v, 2) for k, v in figures.items()}}))


if __name__ == "__main__":
    main()
