"""False hourly alarms where the stages of a worker decide, in worlds without a loss.

:mod:`benchmarks.hourly_worlds` plays more model-months, on the pure functions alone. Here every prediction and outcome
goes through metrics, drift, retraining and alerts, with their references, taints and episodes, at the default budget
and without any reset. Outcomes come 1 to 20 hours after their prediction. Alarms are hourly drift events of any
severity, after the days that the first whole reference takes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.hourly_suite import WARM, HealthyModel, play


def _week(model: HealthyModel) -> None:
    model.points += 5.0 * model.weekend()
    model.shift += 0.3 * model.weekend()
    model.day_effects(2)


def _few(model: HealthyModel) -> None:
    model.volume = model.volume * np.where(model.weekend(), 0.1, 1)


def _annual(model: HealthyModel) -> None:
    wave = np.cos(2 * np.pi * (np.arange(model.days * 24) / 24 / 365 + model.rng.random()))
    model.points += 10 * wave
    model.shift += wave


def _wobble(model: HealthyModel) -> None:
    model.points += model.rng.normal(0, 3, len(model.points))


WORLDS: Final[dict[str, Callable[[HealthyModel], None]]] = {
    "stationary": lambda model: None,
    "AR(1) sd 2": lambda model: model.day_effects(2),
    "AR(1) sd 3 rho .9": lambda model: model.day_effects(3, 0.9),
    "weekend -5 + AR(1) sd 2": _week,
    "weekend volume / 10": _few,
    "annual +-10": _annual,
    "hour wobble sd 3": _wobble,
}


@click.command()
@click.option("--models", default=20, show_default=True, help="Models of each world.")
@click.option("--days", default=60, show_default=True, help="Days watched of each model.")
@click.option("--per-day", default=1_000, show_default=True, help="Predictions a day.")
@click.option("--world", "names", multiple=True, type=click.Choice(list(WORLDS)), help="Only these worlds.")
@click.option("--seed", default=1, show_default=True)
def main(models: int, days: int, per_day: int, names: tuple[str, ...], seed: int) -> None:
    """Play, print one JSON object a world as it ends, and a table. A model-month takes some four seconds."""
    console, rows = Console(stderr=True), []
    with console.status("") as status:
        for number, world in enumerate(WORLDS):
            if names and world not in names:
                continue
            began, group = time.process_time(), []
            for i in range(models):
                model = HealthyModel(f"churn:h{i}", per_day, WARM + days, np.random.default_rng([seed, number, i]))
                WORLDS[world](model)
                group.append(model)
            heard = play(group, WARM + days, told=lambda day: status.update(f"{world}: day {day + 1}"))  # noqa: B023
            alarms = [alarm for found in heard.alarms.values() for alarm in found if alarm[0] >= WARM * 24]
            alerts = [alert for found in heard.alerts.values() for alert in found if alert[0] >= WARM * 24]
            rows.append({
                "world": world, "per_day": per_day, "models": models, "months": round(models * days / 30, 1),
                "alarms of errors": sum(kind == "performance" for _, kind, _ in alarms),
                "alarms of scores": sum(kind == "statistical" for _, kind, _ in alarms),
                "hourly alerts": sum(check == "hourly" for _, check in alerts),
                "daily alerts": sum(check != "hourly" for _, check in alerts),
                "seconds": round(time.process_time() - began, 1),
            })  # fmt: skip
            click.echo(json.dumps(rows[-1]))
    table = Table(*rows[0], title="without a loss, by the stages")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)


if __name__ == "__main__":
    main()
