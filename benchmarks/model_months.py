"""Two hundred model-months of a closed loop: are alerts about what is there, and do trainings help?

``python -m benchmarks.model_months [--models 67] [--days 91] [--seed 1]`` simulates models of 250 labelled predictions
a day. In each, one planted change of the world (not of the inputs) costs the model that serves at least 15 points of
accuracy. Exit code 1 unless false alerts are under 5 % of all alerts and successful trainings over 90 %.

A false alert is one that opens before its model's change, or after a version was kept that learnt from it. A training
is successful if its candidate served and probation kept it.
"""

from __future__ import annotations

import json
import sys
import time

import click
import numpy as np
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from benchmarks.closed_loop import ClosedLoop, Matrix, PlayedModel, Rows, Scorer, switched_on

FEATURES, PER_DAY = 6, 250
#: how sure the world is: accuracy of the best model some 0.87
SHARPNESS = 4.0
LEAST_DROP = 0.15


def draw_model(number: int, days: int, seed: int) -> tuple[PlayedModel, int]:
    """A model and the day of its change."""
    draw = np.random.default_rng([seed, number])
    before, after = _worlds(draw)
    change = int(draw.integers(20, max(21, days - 20)))
    made = [_rows(draw, after if day >= change else before, PER_DAY) for day in range(days)]
    model = fit(*_rows(draw, before, 4_000))
    return PlayedModel(f"churn:model-{number}", made, {"v1": model}), change


def _worlds(draw: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Directions before and after, of which the second costs a model of the first at least the planted drop."""
    while True:
        before = draw.normal(size=FEATURES)
        before /= np.linalg.norm(before)
        other = draw.normal(size=FEATURES)
        angle = draw.uniform(0.25, 0.6) * np.pi
        other -= other @ before * before
        after = np.cos(angle) * before + np.sin(angle) * other / np.linalg.norm(other)
        sample = _rows(np.random.default_rng(0), after, 20_000)
        right = ((sample.features @ after > 0) == sample.actual).mean()
        left = ((sample.features @ before > 0) == sample.actual).mean()
        if right - left >= LEAST_DROP:
            return before, after


def _rows(draw: np.random.Generator, world: Matrix, count: int) -> Rows:
    features = draw.normal(size=(count, FEATURES))
    chance = 1 / (1 + np.exp(-SHARPNESS * features @ world))
    return Rows(features, (draw.random(count) < chance).astype(np.int64))


def fit(features: Matrix, actual: np.ndarray) -> Scorer:
    """Logistic regression."""
    fitted = LogisticRegression(max_iter=200).fit(features, actual)
    return Scorer(lambda rows: np.clip(fitted.predict_proba(rows)[:, 1], 0.0, 1.0))


def judge(loop: ClosedLoop, changes: dict[str, int]) -> dict[str, float | int]:
    """Counts of alerts and trainings, false and successful."""
    kept = {
        (row["model"], row["reason"].split(":")[0]): loop.day_of(row["at"])
        for row in loop.records("audit")
        if (row["action"], row["decision"]) == ("probation", "kept")
    }
    alerts = false = trainings = successful = detected = 0
    for name, model in loop.models.items():
        good = [day for (of, _), day in kept.items() if of == name and day >= changes[name]]
        recovered = min(good, default=10**6)
        opened = [loop.day_of(row["at"]) for row in loop.records("alerts", name) if row.get("notify") == "opened"]
        alerts += len(opened)
        false += sum(not changes[name] <= day <= recovered for day in opened)
        detected += any(changes[name] <= day <= changes[name] + 14 for day in opened)
        candidates = [candidate for _, command, candidate in model.orders if command == "train"]
        trainings += len(candidates)
        successful += sum((name, candidate) in kept for candidate in candidates)
    return {
        "models": len(loop.models),
        "model_days": sum(len(model.days) for model in loop.models.values()),
        "alerts": alerts,
        "false_alerts": false,
        "drifts_found_in_14_days": detected,
        "trainings": trainings,
        "successful_trainings": successful,
        "rollbacks": sum(command == "rollback" for model in loop.models.values() for _, command, _ in model.orders),
    }


@click.command()
@click.option("--models", default=67, show_default=True, help="Models; each has one planted drift.")
@click.option("--days", default=91, show_default=True, help="Days of each model.")
@click.option("--seed", default=1, show_default=True)
def main(models: int, days: int, seed: int) -> None:
    """Simulate, print one JSON object, and say by the exit code whether the promises hold."""
    console, began = Console(stderr=True), time.monotonic()
    drawn = [draw_model(number, days, seed) for number in range(models)]
    floors = {"validation_floors": {"accuracy": 0.7, "precision": 0.6}}
    loop = ClosedLoop(switched_on(churn=floors), [model for model, _ in drawn], fit)
    with console.status("") as status:
        loop.run(lambda done, all: status.update(f"{done} of {all} days of {models} models"))
    found = judge(loop, {model.name: change for model, change in drawn})
    found["wall_seconds"] = round(time.monotonic() - began, 1)
    click.echo(json.dumps(found))
    if not found["alerts"] or not found["trainings"]:
        sys.exit("nothing happened: no alert or no training")
    if found["false_alerts"] >= 0.05 * found["alerts"]:
        sys.exit(f"{found['false_alerts']} of {found['alerts']} alerts are false, under 5 % are promised")
    if found["successful_trainings"] <= 0.9 * found["trainings"]:
        sys.exit(f"{found['successful_trainings']} of {found['trainings']} trainings helped, over 90 % are promised")


if __name__ == "__main__":
    main()
