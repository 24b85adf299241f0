"""False hourly alarms where the stages of a worker decide, in worlds without a loss.

:mod:`benchmarks.hourly_worlds` plays the same worlds faster, on the pure functions alone. Here every prediction and
outcome goes through metrics, drift, retraining and alerts, with their references, taints and episodes, at the default
budget and without any reset. Outcomes come 1 to 20 hours after their prediction. Alarms are hourly drift events of any
severity, after the days that the first whole reference takes. Beside them are counted the model-months with evidence of
100 or more, which is an alarm at an alpha of .01, whether or not the daily check had told of it before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.hourly_suite import WARM, HealthyModel, play, predicted_hour
from stream_app.simulator import Batch

#: Youngest age at which a version has references.
YOUNG: Final = 17
#: Hours in which outcomes of a kind come three days late, in which nothing comes, and from which classes are others.
_LATE: Final = range(50 * 24, 80 * 24)
_SILENT: Final = slice(50 * 24, 64 * 24)
_MIXED: Final = 50 * 24
#: Hours of a model-month.
_MONTH: Final = 720
#: Hours until an hour comes a second time.
_AGAIN: Final = 26


class EventfulModel(HealthyModel):
    """A model to which more happens than that its points and scores move."""

    def __init__(self, name: str, a_day: int, days: int, rng: np.random.Generator) -> None:
        super().__init__(name, a_day, days, rng)
        #: of which outcomes come three days late in the hours of that
        self.three_days: Literal["positives", "errors"] | None = None
        #: share of positives by hour, shape (hours,); their scores say nothing of it
        self.positives: NDArray[np.float64] | None = None
        #: hours that are sent twice
        self.twice: set[int] = set()

    def hour(self, hour: int) -> tuple[Batch, list[tuple[int, Batch]]]:
        """Its predictions, and the outcomes with the hours they come in."""
        made, came = super().hour(hour) if self.positives is None else self._of_classes(hour, self.positives[hour])
        if hour in self.twice:
            came += [(hour + _AGAIN, replace(batch, made=True)) for _, batch in came]
        return made, came

    def late(self, hour: int, predicted: NDArray[np.bool_], actual: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many hours the outcomes of an hour's predictions come, shape (n,)."""
        late = super().late(hour, predicted, actual)
        if self.three_days is None or hour not in _LATE:
            return late
        return np.where(actual == 1 if self.three_days == "positives" else (actual == 1) != predicted, 72, late)

    def _of_classes(self, hour: int, share: float) -> tuple[Batch, list[tuple[int, Batch]]]:
        """Errors by class stay what they are, 16 and 18 % of negatives and positives, whatever the classes' shares."""
        rng, count = self.rng, int(self.rng.poisson(self.volume[hour]))
        actual = (rng.random(count) < share).astype(np.int64)
        predicted = (rng.random(count) < np.where(actual == 1, 0.18, 0.16)) != (actual == 1)
        scores = np.round(1 / (1 + np.exp(-rng.normal(size=count))), 4)
        return predicted_hour(self.name, hour, scores, predicted, actual, self.late(hour, predicted, actual))


def _week(model: EventfulModel) -> None:
    model.points += 5.0 * model.weekend()
    model.shift += 0.3 * model.weekend()
    model.day_effects(2)


def _few(model: EventfulModel) -> None:
    model.volume = model.volume * np.where(model.weekend(), 0.1, 1)


def _annual(model: EventfulModel) -> None:
    wave = np.cos(2 * np.pi * (np.arange(model.days * 24) / 24 / 365 + model.rng.random()))
    model.points += 10 * wave
    model.shift += wave


def _wobble(model: EventfulModel) -> None:
    model.points += model.rng.normal(0, 3, len(model.points))


def _late(of: Literal["positives", "errors"]) -> Callable[[EventfulModel], None]:
    def change(model: EventfulModel) -> None:
        model.three_days = of

    return change


def _mix(model: EventfulModel) -> None:
    model.positives = np.where(np.arange(model.days * 24) < _MIXED, 0.5, 0.8)


def _silence(model: EventfulModel) -> None:
    model.volume[_SILENT] = 0


def _twice(model: EventfulModel) -> None:
    model.twice = {week * 168 + int(model.rng.integers(0, 168)) for week in range(model.days // 7)}


@dataclass(frozen=True)
class StagesWorld:
    """What happens to a model; ``young``: it is watched from its first references until these are whole."""

    change: Callable[[EventfulModel], None]
    young: bool = False


WORLDS: Final[dict[str, StagesWorld]] = {
    "stationary": StagesWorld(lambda model: None),
    "AR(1) sd 2": StagesWorld(lambda model: model.day_effects(2)),
    "AR(1) sd 3 rho .9": StagesWorld(lambda model: model.day_effects(3, 0.9)),
    "weekend -5 + AR(1) sd 2": StagesWorld(_week),
    "weekend volume / 10": StagesWorld(_few),
    "annual +-10": StagesWorld(_annual),
    "hour wobble sd 3": StagesWorld(_wobble),
    "positives 3 days late": StagesWorld(_late("positives")),
    "errors 3 days late": StagesWorld(_late("errors")),
    "class mix .5 to .8": StagesWorld(_mix),
    "young versions": StagesWorld(lambda model: model.day_effects(2), young=True),
    "two weeks without traffic": StagesWorld(_silence),
    "an hour sent twice": StagesWorld(_twice),
}


@click.command()
@click.option("--models", default=50, show_default=True, help="Models of each world.")
@click.option("--days", default=90, show_default=True, help="Days watched of each model.")
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
            warm = YOUNG if WORLDS[world].young else WARM
            watched = min(days, WARM - YOUNG) if WORLDS[world].young else days
            for i in range(models):
                model = EventfulModel(f"churn:h{i}", per_day, warm + watched, np.random.default_rng([seed, number, i]))
                WORLDS[world].change(model)
                group.append(model)
            heard = play(group, warm + watched, warm, lambda day: status.update(f"{world}: day {day + 1}"))  # noqa: B023
            alarms = [alarm for found in heard.alarms.values() for alarm in found if alarm[0] >= warm * 24]
            alerts = [alert for found in heard.alerts.values() for alert in found if alert[0] >= warm * 24]
            reached = {(model, kind, (hour - warm * 24) // _MONTH) for model, found in heard.hundred.items()
                       for hour, kind in found if hour >= warm * 24}  # fmt: skip
            rows.append({
                "world": world, "per_day": per_day, "models": models, "months": round(models * watched / 30, 1),
                "alarms of errors": sum(kind == "performance" for _, kind, _ in alarms),
                "alarms of scores": sum(kind == "statistical" for _, kind, _ in alarms),
                "months of errors at .01": sum(kind == "performance" for _, kind, _ in reached),
                "months of scores at .01": sum(kind == "statistical" for _, kind, _ in reached),
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
