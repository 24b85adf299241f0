"""What retraining does where nothing is to be won, and whether a worse candidate gets through.

``python -m benchmarks.retraining_worlds [--seeds 20] [--days 120] [--trials 400] [--world NAME]``, on the stages as a
worker runs them and the reference trainer's rules:

* ``stationary``: a world that does not change, a model a seed, 190 labelled predictions a day, the policy schedule: the
  accuracy served less that of the frozen first model, and rollbacks, all of them false;
* ``validation``: candidates of a fit of their own, made worse by flipping answers, on a hold-out: how many the
  comparison and the floors let pass;
* ``probation``: such candidates activated all the same, by a trainer that praises them: how many are rolled back within
  seven days.

Prints a line as each is known, and one JSON object last.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click
import numpy as np

from benchmarks.closed_loop import ClosedLoop, Matrix, PlayedModel, Rows, Scorer, switched_on
from benchmarks.model_months import FEATURES, SHARPNESS, fit
from schemas.training import TrainingCommand
from stream_app.core.retrain import RetrainRules
from stream_app.core.retrain.validation import validate
from stream_app.reference.judging import Answers, compare, metrics

PER_DAY, PERIOD = 190, 20
FLOORS: Final = {"accuracy": 0.70, "precision": 0.60}
#: rows that the first model, and the candidates of trials, learn from
FIRST_ROWS = 4_000
#: (points worse, rows of the hold-out)
TRIALS: Final = ((2, 1_000), (2, 2_000), (10, 100))
#: labelled predictions a day of models whose worse candidates are activated by force
VOLUMES: Final = (190, 1_000)
WORSE_POINTS, WITHIN_DAYS = 10, 7
PRAISED: Final = {
    "candidate_metrics": {"accuracy": 0.99, "precision": 0.99}, "champion_metrics": {"accuracy": 0.8, "precision": 0.8},
    "comparison": {"metric": "accuracy", "candidate": 0.99, "champion": 0.8, "difference": 0.19, "lower": 0.1,
                   "upper": 0.2},
}  # fmt: skip


class PraisingLoop(ClosedLoop):
    """A trainer whose candidates are worse than it says by so many points of accuracy."""

    worse_points = WORSE_POINTS

    def _answer(self, order: TrainingCommand, at_ms: int) -> dict[str, Any] | None:
        told = super()._answer(order, at_ms)
        if order.command != "train" or told is None or told["status"] != "succeeded":
            return told
        model, candidate = self.models[order.model], told["candidate_version"]
        model.scorers[candidate] = worse(model.scorers[order.expected_current_version], self.worse_points)
        return told | PRAISED


def direction(draw: np.random.Generator) -> Matrix:
    """A world: which way the features speak."""
    found = draw.normal(size=FEATURES)
    return found / np.linalg.norm(found)


def rows(draw: np.random.Generator, world: Matrix, count: int) -> Rows:
    """Rows of a world; the best model's accuracy is some 0.87."""
    features = draw.normal(size=(count, FEATURES))
    chance = 1 / (1 + np.exp(-SHARPNESS * features @ world))
    return Rows(features, (draw.random(count) < chance).astype(np.int64))


def worse(model: Scorer, points: float, accuracy: float = 0.87) -> Scorer:
    """Turns the answers of some rows over, the same of the same row, so that accuracy falls from a to a − f(2a − 1)."""
    share = points / 100 / (2 * accuracy - 1)

    def score(found: Matrix) -> Matrix:
        scores = model.score(found)
        # the digits of the features beyond the sixth are as good as drawn, and belong to the row
        turned = np.abs(found.sum(axis=1)) * 1e6 % 1 < share
        return np.where(turned, 1 - scores, scores)

    return Scorer(score, model.threshold)


def stationary(seeds: int, days: int) -> dict[str, Any]:
    """Accuracy beside the frozen model's by seed, and what became of the candidates."""
    models = []
    for seed in range(seeds):
        draw = np.random.default_rng([21, seed])
        world = direction(draw)
        first = fit(*rows(draw, world, FIRST_ROWS))
        models.append(
            PlayedModel(f"churn:still-{seed}", [rows(draw, world, PER_DAY) for _ in range(days)], {"v1": first})
        )
    rules = {"validation_floors": FLOORS, "retrain_policies": ("schedule",), "retrain_every_days": PERIOD}
    ClosedLoop(switched_on(churn=rules), models, fit).run()
    gains, commands = [], []
    for model in models:
        mine = [(model.scored[n] >= 0.5) == (day.actual == 1) for n, day in enumerate(model.days)]
        first = model.scorers["v1"]
        frozen = [(first.score(day.features) >= 0.5) == (day.actual == 1) for day in model.days]
        gains.append(float(np.concatenate(mine).mean() - np.concatenate(frozen).mean()))
        commands += [command for _, command, _ in model.orders]
    return {
        "mean_gain": round(float(np.mean(gains)), 4), "worst_gain": round(min(gains), 4),
        "trainings": commands.count("train"), "activations": commands.count("activate"),
        "false_rollbacks": commands.count("rollback"),
    }  # fmt: skip


def validation(points: float, held: int, trials: int) -> dict[str, Any]:
    """Share of worse candidates that would be activated."""
    passed, rules = 0, RetrainRules(validation_floors=FLOORS)
    for trial in range(trials):
        draw = np.random.default_rng([22, held, round(points), trial])
        world = direction(draw)
        champion, candidate = (fit(*rows(draw, world, FIRST_ROWS)) for _ in range(2))
        test = rows(draw, world, held)
        ours, theirs = (_answers(model, test) for model in (worse(candidate, points), champion))
        found = compare("accuracy", ours, theirs, test.actual)
        verdict = validate(rules, metrics(ours, test.actual), metrics(theirs, test.actual), found).verdict
        passed += verdict == "passed"
    return {
        "points": points,
        "holdout": held,
        "trials": trials,
        "activated": passed,
        "share": round(passed / trials, 4),
    }


def probation(per_day: int, seeds: int) -> dict[str, Any]:
    """Share of worse candidates, activated by force, that are rolled back within a week."""
    models = []
    for seed in range(seeds):
        draw = np.random.default_rng([23, per_day, seed])
        world = direction(draw)
        first = fit(*rows(draw, world, FIRST_ROWS))
        made = [rows(draw, world, per_day) for _ in range(PERIOD + WITHIN_DAYS + 14)]
        models.append(PlayedModel(f"churn:forced-{seed}", made, {"v1": first}))
    rules = {"validation_floors": FLOORS, "retrain_policies": ("schedule",), "retrain_every_days": PERIOD}
    PraisingLoop(switched_on(churn=rules), models, fit).run()
    activated = back = 0
    for model in models:
        went = [day for day, command, _ in model.orders if command == "activate"][:1]
        activated += len(went)
        back += any(
            day <= first + WITHIN_DAYS for first in went for day, command, _ in model.orders if command == "rollback"
        )
    return {
        "per_day": per_day, "points": WORSE_POINTS, "activated": activated, "rolled_back": back,
        "share": round(back / max(activated, 1), 4),
    }  # fmt: skip


def _answers(model: Scorer, found: Rows) -> Answers:
    scores = model.score(found.features)
    return Answers(scores, scores >= model.threshold)


@click.command()
@click.option("--seeds", default=20, show_default=True, help="Models of a world.")
@click.option("--days", default=120, show_default=True, help="Days of the stationary world.")
@click.option("--trials", default=400, show_default=True, help="Candidates made worse, of each kind.")
@click.option("--world", type=click.Choice(["stationary", "validation", "probation"]), help="One alone.")
def main(seeds: int, days: int, trials: int, world: str | None) -> None:
    """Print a line for each, and one JSON object as the last line."""
    found: dict[str, list[Any]] = {}
    todo: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        *(("validation", partial(validation, points, held, trials)) for points, held in TRIALS),
        *(("probation", partial(probation, volume, seeds)) for volume in VOLUMES),
        ("stationary", partial(stationary, seeds, days)),
    ]
    for name, run in todo:
        if world in (None, name):
            found.setdefault(name, []).append(run())
            click.echo(f"{name}: {json.dumps(found[name][-1])}", err=True)
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
