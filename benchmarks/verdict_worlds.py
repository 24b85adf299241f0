"""What the verdicts do in worlds that are known: false alerts without drift, and days until planted drift is found.

``python -m benchmarks.verdict_worlds [--models 20] [--days 365] [--per-day 190] [--world NAME]`` plays seeded models
through metrics, drift, retraining and alerts as a worker runs them. A world without a loss counts alerts by 100
model-days and the share of model-days with one open; one with a loss says how many models had an alert within 45
days of it, and after how many days. ``muted`` is the share of model-days whose estimated performance was muted.
Takes some ten seconds for each model and year at 190 a day.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stream_app.simulator import Batch, Simulator
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS
from tests.support.simulate import simulator

#: Share of the predictions that are positive, and how often they and the others are right: accuracy 0.83.
POSITIVE, PRECISION, SPECIFIC = 0.54, 0.81, 0.853
#: First day of a loss in the worlds that have one, and how long an alert may take to be about it.
LOSS, FOUND_WITHIN = 100, 45


@dataclass
class Day:
    """What a world does to a day: points of accuracy, logits, its share of the volume, prevalence, spread of logits."""

    points: float = 0.0
    logits: float = 0.0
    volume: float = 1.0
    positive: float | None = None
    spread: float = 1.0
    #: days after which each outcome comes; ``None``: all within the day
    late: Callable[[np.random.Generator, NDArray[np.int64]], NDArray[np.int64]] | None = None


@dataclass(frozen=True)
class World:
    """``day(number, effect)``: what it does to that day; ``loss``: whether there is something to find."""

    name: str
    what: str
    day: Callable[[int, float], Day]
    loss: bool = False
    #: standard deviation in points of the day effects, an AR(1) with coefficient 0.5
    effects: float = 0.0


def _late_positives(days: int) -> Callable[[np.random.Generator, NDArray[np.int64]], NDArray[np.int64]]:
    return lambda rng, actual: np.where(actual == 1, days, 0)


def _exponential(rng: np.random.Generator, actual: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.floor(rng.exponential(2.0, len(actual))).astype(np.int64)


def _weekend(number: int, effect: float) -> Day:
    weekend = (FIRST_DAY + number + 3) % 7 >= 5
    return Day(-5.0, 0.3, 0.1) if weekend else Day()


def _annual(points: float, logits: float) -> Callable[[int, float], Day]:
    def day(number: int, effect: float) -> Day:
        wave = np.sin(2 * np.pi * number / 365)
        return Day(points * wave, logits * wave)

    return day


def _loss(points: float, over: int = 1, until: int = 10**9, **rest: Any) -> Callable[[int, float], Day]:
    """So many points fewer from ``LOSS`` on, reached after ``over`` days."""

    def day(number: int, effect: float) -> Day:
        if not LOSS <= number < until:
            return Day(effect)
        return Day(effect - points * min(1.0, (number - LOSS + 1) / over), **rest)

    return day


WORLDS: Final = [
    World("stationary", "nothing changes", lambda n, e: Day()),
    World("ar1", "day effects, AR(1), sd 2 points", lambda n, e: Day(e), effects=2.0),
    World("weekend", "weekends −5 points, +.3 logit, a tenth of the volume", _weekend),
    World("annual-4", "annual ±4 points and ±.3 logit", _annual(4, 0.3)),
    World("ramp", "scores +.6 logit over 60 days", lambda n, e: Day(logits=0.6 * min(1, max(0, n - LOSS) / 60))),
    World(
        "late-positives", "positives labelled 3 days late for 30 days",
        lambda n, e: Day(late=_late_positives(3)) if LOSS <= n < LOSS + 30 else Day(),
    ),
    World("late-labels", "labels late by 2 days in the mean, without selection", lambda n, e: Day(late=_exponential)),
    World("annual-10", "annual ±10 points and ±1 logit", _annual(10, 1.0)),
    *(World(f"step-{p}", f"{p} points at once", _loss(p), True) for p in (7, 10, 12, 15, 25)),
    World("slope-30", "15 points over 30 days", _loss(15, 30), True),
    World("slope-60", "15 points over 60 days", _loss(15, 60), True),
    World(
        "prior", "positives .45 → .25 at unchanged error rates", lambda n, e: Day(positive=0.25 if n >= LOSS else 0.45)
    ),
    World(
        "three-days", "25 points on 3 days of 14", lambda n, e: Day(-25.0 if n >= LOSS and n % 14 < 3 else 0.0), True
    ),
    World("both", "+.8 logit and 15 points together", _loss(15, logits=0.8), True),
    World("stretched", "logits × 3 at unchanged decisions", lambda n, e: Day(spread=3.0 if n >= LOSS else 1.0)),
]  # fmt: skip


def draw(
    rng: np.random.Generator, day: Day, per_day: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, decisions and outcomes of a day."""
    n = max(1, round(per_day * day.volume))
    if day.positive is not None:
        actual = (rng.random(n) < day.positive).astype(np.int64)
        predicted = rng.random(n) < np.where(actual == 1, 0.85, 0.15)
    else:
        predicted = rng.random(n) < POSITIVE
        right = rng.random(n) < np.clip(np.where(predicted, PRECISION, SPECIFIC) + day.points / 100, 0, 1)
        actual = (predicted == right).astype(np.int64)
    logit = np.abs(rng.normal(0, day.spread, n)) * np.where(predicted, 1, -1) + day.logits
    return np.round(1 / (1 + np.exp(-logit)), 3), predicted, actual


@dataclass
class Played:
    """What became of one world at one volume."""

    world: World
    per_day: int
    models: int
    days: int
    #: per model: (day of opening, day of its end or of the last day, severity, how it ended)
    alerts: list[list[tuple[int, int, str, str | None]]] = field(default_factory=list)
    muted: float = 0.0
    seconds: float = 0.0

    @property
    def model_days(self) -> int:
        """Days of all models."""
        return self.models * self.days

    def false(self) -> tuple[float, float]:
        """Alerts by 100 model-days, and the share of model-days with an alert open."""
        found = [alert for alerts in self.alerts for alert in alerts]
        open_days = sum(len({d for first, last, *_ in alerts for d in range(first, last)}) for alerts in self.alerts)
        return 100 * len(found) / self.model_days, open_days / self.model_days

    def delays(self) -> list[int]:
        """Days from the loss to the first alert about it, of the models that had one in time."""
        first = [min((a[0] for a in alerts if a[0] > LOSS), default=10**9) - LOSS for alerts in self.alerts]
        return sorted(delay for delay in first if delay <= FOUND_WITHIN)

    def open_at_end(self) -> int:
        """Models with an alert open at the end."""
        return sum(any(last >= self.days for _, last, *_ in alerts) for alerts in self.alerts)

    def row(self) -> dict[str, Any]:
        """Everything, as one JSON object."""
        rate, share = self.false()
        delays = self.delays()
        return {
            "world": self.world.name, "per_day": self.per_day, "models": self.models, "days": self.days,
            "alerts_per_100": round(rate, 3), "open_share": round(share, 4), "muted_share": round(self.muted, 4),
            "found": len(delays), "delay_median": float(np.median(delays)) if delays else None,
            "delay_worst": delays[-1] if delays else None, "open_at_end": self.open_at_end(),
            "endings": _count(a[3] or "open" for alerts in self.alerts for a in alerts),
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


def _count(values: Any) -> dict[str, int]:
    out: dict[str, int] = defaultdict(int)
    for value in values:
        out[value] += 1
    return dict(sorted(out.items()))


def play(
    world: World, models: int, days: int, per_day: int, seed: int = 1, told: Callable[[int], None] = lambda day: None
) -> Played:
    """A world through the stages; ``told`` hears of every day."""
    began, sim = time.monotonic(), simulator()
    names = [f"churn:m{i}" for i in range(models)]
    draws = [np.random.default_rng([seed, i, *map(ord, world.name)]) for i in range(models)]
    effects = [_effects(rng, days, world.effects) for rng in draws]
    later: dict[int, list[Batch]] = defaultdict(list)
    for number in range(days):
        batches = later.pop(number, [])
        for name, rng, effect in zip(names, draws, effects, strict=True):
            day = world.day(number, float(effect[number]))
            scores, predicted, actual = draw(rng, day, per_day)
            late = day.late(rng, actual) if day.late is not None else np.zeros(len(actual), dtype=np.int64)
            known = np.where(late == 0, actual, -1)
            batches.append(Batch(name, "v1", FIRST_DAY + number, scores, predicted, known))
            for wait in np.unique(late[late > 0]).tolist():
                came = late == wait
                later[number + wait].append(
                    Batch(name, "v1", FIRST_DAY + number, scores[came], predicted[came], actual[came], made=False)
                )
        sim.batches(batches, hour=10)
        sim.tick((FIRST_DAY + number) * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((FIRST_DAY + number + 1) * DAY_MS + hour * HOUR_MS)
        told(number + 1)
    found = Played(world, per_day, models, days)
    found.alerts = [_alerts(sim, name, days) for name in names]
    found.muted = _muted(sim) / found.model_days
    found.seconds = time.monotonic() - began
    return found


def _effects(rng: np.random.Generator, days: int, spread: float) -> NDArray[np.float64]:
    out = np.zeros(days)
    shocks = rng.normal(0, spread * np.sqrt(0.75), days) if spread else out
    for number in range(1, days):
        out[number] = 0.5 * out[number - 1] + shocks[number]
    return out


def _records(sim: Simulator, topic: str, model: str | None = None) -> list[dict[str, Any]]:
    rows = [json.loads(emit.value or b"") for emit in sim.emits.get(topic, [])]
    return [row for row in rows if model in (None, row["model"])]


def _alerts(sim: Simulator, model: str, days: int) -> list[tuple[int, int, str, str | None]]:
    """Alerts about drift of a model."""
    newest: dict[str, dict[str, Any]] = {}
    for row in _records(sim, "alerts", model):
        if row["type"] == "ML_DRIFT_DETECTED":
            newest[row["id"]] = row
    out = []
    for row in newest.values():
        end = _day(row["at"]) if row["status"] == "resolved" else days
        out.append((_day(row["opened_at"]), end, row["severity"], row.get("resolution_reason")))
    return sorted(out, key=lambda alert: alert[0])


def _muted(sim: Simulator) -> int:
    newest = {(row["model"], row["date"]): row for row in _records(sim, "metric-snapshots") if row["state"] == "closed"}
    return sum((row.get("estimated") or {}).get("muted", False) for row in newest.values())


def _day(at: str) -> int:
    return int(np.datetime64(at[:10]).astype(int)) - FIRST_DAY


def table(found: Sequence[Played]) -> Table:
    """What people read."""
    out = Table(title="verdicts in known worlds")
    for name in ("world", "a day", "models", "alerts/100", "open", "muted", "found", "delay", "open at end", "endings"):
        out.add_column(name)
    for played in found:
        row = played.row()
        found_here = played.world.loss and row["found"]
        out.add_row(
            played.world.name, f"{played.per_day:,}", f"{played.models} × {played.days}",
            f"{row['alerts_per_100']:.2f}",
            f"{row['open_share']:.1%}", f"{row['muted_share']:.1%}", str(row["found"]) if played.world.loss else "",
            f"{row['delay_median']:g} ({row['delay_worst']})" if found_here else "",
            str(row["open_at_end"]), ", ".join(f"{k} {v}" for k, v in row["endings"].items()),
        )  # fmt: skip
    return out


@click.command()
@click.option("--models", default=20, show_default=True, help="Models of each world.")
@click.option("--days", default=365, show_default=True, help="Days of each model.")
@click.option("--per-day", "volumes", multiple=True, default=(190, 1_000), show_default=True, help="Predictions a day.")
@click.option("--world", "names", multiple=True, type=click.Choice([w.name for w in WORLDS]), help="Only these worlds.")
@click.option("--seed", default=1, show_default=True)
def main(models: int, days: int, volumes: tuple[int, ...], names: tuple[str, ...], seed: int) -> None:
    """Play, print a table, and one JSON object a world as it ends."""
    console, found = Console(stderr=True), []
    wanted = [world for world in WORLDS if not names or world.name in names]
    with console.status("") as status:
        for per_day in volumes:
            for world in wanted:
                where = f"{world.name} at {per_day:,} a day"
                found.append(
                    play(world, models, days, per_day, seed, lambda n: status.update(f"{where}: {n} of {days} days"))  # noqa: B023
                )
                click.echo(json.dumps(found[-1].row()))
    console.print(table(found))


if __name__ == "__main__":
    main()
