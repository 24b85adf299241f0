"""False alarms and delays beside River's detectors, on the same recorded predictions.

``python -m benchmarks.detectors [--data FOLDER]``: twenty models without drift for a year, and twenty with 30 % of
their predictions flipped from a known day, at 190 and at 40 a day. River's detectors see every error (prediction ≠
outcome) in order, with their default parameters, and start again after an alarm; ours are the alerts of the daily
closes, so a delay of two days is the soonest that the default label delay allows. Takes some minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from river import drift

from stream_app.simulator import Batch
from tests.support import recorded
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, Day
from tests.support.simulate import close_day, records, simulator

MODELS = 20
FILE = "ma_employment_predictions.csv.gz"

PEERS: dict[str, Callable[[], Any]] = {
    "ADWIN": drift.ADWIN,
    "DDM": drift.binary.DDM,
    "Page-Hinkley": drift.PageHinkley,
}


def ours(models: list[list[Day]]) -> list[list[int]]:
    """Days (of the tick) on which an alert opened, by model."""
    sim = simulator()
    for day in range(max(map(len, models))):
        sim.batches([
            Batch(f"employment:l{i}", "v1", FIRST_DAY + day, d.scores, d.predicted, d.actual)
            for i, found in enumerate(models)
            for d in found[day : day + 1]
        ])  # fmt: skip
        sim.tick((FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((FIRST_DAY + day + 1) * DAY_MS + hour * HOUR_MS)
    out = []
    for i in range(len(models)):
        told = records(sim, "alerts", f"employment:l{i}")
        out.append([close_day({"as_of": row["at"]}) for row in told if row.get("notify") == "opened"])
    return out


def peers(make: Callable[[], Any], models: list[list[Day]]) -> list[list[int]]:
    """Days on which a detector of errors alarmed, by model."""
    out = []
    for days in models:
        detector, found = make(), []
        for number, day in enumerate(days):
            for wrong in (day.predicted != (day.actual == 1)).tolist():
                detector.update(int(wrong))
                if detector.drift_detected:
                    found.append(number)
                    detector = make()
        out.append(found)
    return out


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True)
def main(data: Path) -> None:
    """Print the table and, as the last line, one JSON object."""
    figures: dict[str, float] = {}
    table = Table(
        "detector", "predictions a day", "false alarms per 100 model-days", "found", "days until found, median"
    )
    for per_day in (None, 40):
        null = [list(recorded.days(data / FILE, seed, 1, per_day)) for seed in range(MODELS)]
        first = [25 + 2 * i for i in range(MODELS)]
        bad = []
        for seed in range(MODELS):
            rng = np.random.default_rng(1_000 + seed)
            days = list(recorded.days(data / FILE, 100 + seed, 1, per_day))[: first[seed] + 21]
            bad.append([recorded.flip(d, rng) if i >= first[seed] else d for i, d in enumerate(days)])
        model_days = sum(map(len, null))
        detectors = {"Plumbline": ours} | {
            name: (lambda models, make=make: peers(make, models)) for name, make in PEERS.items()
        }
        for name, detect in detectors.items():
            false = sum(map(len, detect(null)))
            delays = []
            for days_found, start in zip(detect(bad), first, strict=True):
                after = [day - start for day in days_found if day >= start]
                delays += after[:1]
            rate = 100 * false / model_days
            median = float(np.median(delays)) if delays else float("nan")
            table.add_row(name, str(per_day or 190), f"{rate:.3f}", f"{len(delays)} of {MODELS}", f"{median:.1f}")
            key = f"{name.lower().replace('-', '_')}_{per_day or 190}"
            figures |= {f"{key}_false_per_100": rate, f"{key}_found": len(delays), f"{key}_delay_days": median}
    Console().print(table)
    click.echo(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
