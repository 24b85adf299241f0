"""Repair first: where it is the first command, what it wins back, and what is trained all the same.

``python -m benchmarks.repairs [--data FOLDER | --normal] [--seeds 20] [--world NAME]``: models whose scores drift in a
known way play through metrics, drift, retraining and a deployer that repairs (``tests/support/recalibrated.py`` draws
them, from the recorded employment scores or two normal distributions). Of each world and volume: models whose first
command is ``recalibrate``, how much of the lost accuracy came back by it, models that were trained within 14 days of
it, and whether each refused repair was a training at the same tick whose audit names the AUC before and after. Takes
some two seconds a model at 190 a day.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.closed_loop import ClosedLoop, Matrix, PlayedModel, Rows, Scorer, switched_on
from tests.support.recalibrated import REPAIRED, TRAINED, Source, drawn, normal_scores, recorded_scores

FILE: Final = "ma_employment_predictions.csv.gz"

#: First day of the drift, and days after a first command that are played.
DRIFT, AFTER = 20, 14
DAYS: Final = DRIFT + 12 + AFTER
#: Floors are a shop's own; these let no candidate fail.
RULES: Final[dict[str, Any]] = {"scope": "global", "validation_floors": {"accuracy": 0.5}}


@dataclass
class Repairs:
    """What became of the models of one world at one volume."""

    world: str
    per_day: int
    #: first command of each model that had one
    first: Counter[str] = field(default_factory=Counter)
    #: of each repaired model: share of the lost accuracy that came back, and the accuracy
    won: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    #: repaired models that were trained within 14 days
    trained: int = 0
    models: int = 0
    #: models whose first command is a training of performance drift: of these the ones that were ordered at the tick
    #: that refused the repair, with the AUC before and after in the audit
    refused: int = 0
    explained: int = 0
    #: reason of the first audited refusal of a repair
    why: str = ""

    def row(self) -> dict[str, Any]:
        """Everything, as one JSON object."""
        return {
            "world": self.world, "per_day": self.per_day, "models": self.models, "first": dict(self.first),
            "won_back": [round(x, 3) for x in sorted(self.won)], "accuracy": [round(x, 3) for x in self.accuracy],
            "trained_within_14_days": self.trained, "refused": self.refused, "explained": self.explained,
            "why": self.why,
        }  # fmt: skip


def play(world: str, per_day: int, seeds: int, source: Source = normal_scores, first_seed: int = 0) -> Repairs:
    """``seeds`` models of a world, each by its own seed."""
    found = Repairs(world, per_day, models=seeds)
    models = [
        PlayedModel(f"drifting:m{seed}", _days(world, per_day, first_seed + seed, source), {"v1": Scorer(_as_made)})
        for seed in range(seeds)
    ]
    loop = ClosedLoop(switched_on(drifting=RULES), models, _fit).run()
    for model in models:
        _count(found, loop, model)
    return found


def _count(found: Repairs, loop: ClosedLoop, model: PlayedModel) -> None:
    if not model.orders:
        return
    day, command, _ = model.orders[0]
    found.first[command] += 1
    if command != "recalibrate":
        audits = loop.records("audit", model.name)
        ordered = next(a for a in audits if (a["action"], a["decision"]) == ("train", "ordered"))
        first = loop.records("training-commands", model.name)[0]
        if first["trigger"]["kind"] == "performance":
            found.refused += 1
            said = all(text in ordered["reason"] for text in ("not repaired: ", "ROC AUC ", "in the baseline"))
            found.explained += said and ordered["at"] == first["at"]
        found.why = found.why or ordered["reason"]
        return
    version = model.orders[0][2] or ""
    before = _accuracy(model, range(5, DRIFT), "v1")
    drifted = _accuracy(model, range(DRIFT, DAYS), "v1")
    after = _accuracy(model, range(day, day + AFTER), version)
    found.accuracy.append(after)
    found.won.append((after - drifted) / (before - drifted) if before > drifted else float("nan"))
    found.trained += any(name == "train" and when <= day + AFTER for when, name, _ in model.orders)


def _accuracy(model: PlayedModel, days: range, version: str) -> float:
    rows = [model.days[day] for day in days if day < len(model.days)]
    scorer = model.scorers[version]
    said = np.concatenate([scorer.score(day.features) >= scorer.threshold for day in rows])
    return float((said == np.concatenate([day.actual for day in rows])).mean())


def _days(world: str, per_day: int, seed: int, source: Source = normal_scores) -> list[Rows]:
    """The scores of the version that served first are the only feature."""
    rng = np.random.default_rng([seed, per_day, *map(ord, world)])
    days = []
    for number in range(DAYS):
        scores, _, actual = drawn(world if number >= DRIFT else "as before", rng, per_day, source)
        days.append(Rows(scores[:, None], actual))
    return days


def _as_made(features: Matrix) -> Matrix:
    return features[:, 0]


def _fit(features: Matrix, actual: NDArray[np.int64]) -> Scorer:
    """What a training makes of one feature: nothing better. It is not what is measured here."""
    return Scorer(_as_made)


@click.command()
@click.option(
    "--data", default="../shared/data", show_default=True, help=f"Folder of {FILE}.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.option("--normal", is_flag=True, help="Two normal distributions in place of the recorded scores.")
@click.option("--seeds", default=20, show_default=True, help="Models of each world.")
@click.option("--per-day", "volumes", multiple=True, default=(190, 1_000), show_default=True, help="Labels a day.")
@click.option("--world", "names", multiple=True, type=click.Choice([*REPAIRED, *TRAINED]), help="Only these worlds.")
def main(data: Path, normal: bool, seeds: int, volumes: tuple[int, ...], names: tuple[str, ...]) -> None:
    """Play, print a table, and one JSON object a world as it ends."""
    source = normal_scores if normal else recorded_scores(data / FILE)
    table = Table(title=f"first commands of {seeds} models")
    for column in ("world", "a day", "first command", "won back, median (least)", "accuracy", "trained in 14 days"):
        table.add_column(column)
    for per_day in volumes:
        for world in names or [*REPAIRED, *TRAINED]:
            found = play(world, per_day, seeds, source)
            click.echo(json.dumps(found.row()))
            won = f"{np.nanmedian(found.won):.2f} ({np.nanmin(found.won):.2f})" if found.won else ""
            accuracy = f"{np.median(found.accuracy):.3f}" if found.accuracy else ""
            first = ", ".join(f"{name} {number}" for name, number in sorted(found.first.items()))
            table.add_row(world, f"{per_day:,}", first, won, accuracy, str(found.trained) if found.won else "")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
