"""How often the hourly tier is wrong, and how soon it is right, in worlds that are known; straight on the pure
functions.

Half of the predictions are positives, 17 % of outcomes errors, with a daily rhythm in volume, errors and scores; logits
of scores are normal with sd 1; outcomes come 1 to 20 hours after their prediction. Worlds without a loss print the
share of model-months in which evidence reached 1/α, without any reset; worlds with one the hours from its onset to the
alarm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from stream_app.core.hourly.evidence import HourlyInput, advance
from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.hours import EDGES
from stream_app.core.hourly.reference import LAG_DAYS, REFERENCE_DAYS, ReferenceDays, make_references
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyKind, HourlyRules, flying_days

Floats = NDArray[np.float64]

#: A Monday, so that the days 5 and 6 of each week are its weekend.
FIRST: Final = 19_996
WARM: Final = LAG_DAYS + REFERENCE_DAYS
#: Youngest age at which a version has references.
YOUNG: Final = 17
LONGEST_LAG: Final = 20
#: Alarms at these α; the second is either kind's half of the default budget.
ALPHAS: Final = (0.01, 0.0005)
FOUND_WITHIN_DAYS: Final = 14
_LOGITS: Final = np.log(np.array(EDGES)) - np.log1p(-np.array(EDGES))
_PROFILE: Final = 1 + 0.8 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)


class Stream:
    """Counts of some models by hour, and when their outcomes come. Hours count from the first."""

    def __init__(self, rng: np.random.Generator, models: int, days: int, per_day: int) -> None:
        self.rng, self.models, self.days = rng, models, days
        hours = np.arange(days * 24)
        of_day = np.sin((hours % 24 - 3) / 24 * 2 * np.pi)
        shape = (models, len(hours))
        self.day, self.weekend = hours // 24, hours // 24 % 7 >= 5
        self.volume = np.broadcast_to(np.tile(_PROFILE / _PROFILE.sum(), days) * per_day, shape).copy()
        #: error rates of negatives and positives, logits of scores, share of positives
        self.errors = np.stack([np.full(shape, rate) + 0.02 * of_day for rate in (0.16, 0.18)])
        self.logits = np.zeros(shape) + 0.10 * of_day
        self.positives = np.full(shape, 0.5)
        #: hours (models, hours) whose outcomes of these columns come three days late; and hours sent twice
        self.late: tuple[slice, tuple[int, ...]] | None = None
        self.twice = np.zeros(shape, dtype=bool)

    def day_effects(self, sd: float, rho: float) -> None:
        """AR(1) from day to day, sd in points; scores move by .05 logit for each point."""
        for target, scale in ((self.errors, sd / 100), (self.logits, sd * 0.05)):
            effects = np.empty((self.models, self.days))
            effects[:, 0] = self.rng.normal(size=self.models)
            for day in range(1, self.days):
                fresh = self.rng.normal(size=self.models)
                effects[:, day] = rho * effects[:, day - 1] + np.sqrt(1 - rho * rho) * fresh
            target += np.repeat(effects * scale, 24, axis=1)

    def draw(self) -> None:
        """Counts and arrivals."""
        total = self.rng.poisson(self.volume)
        positives = self.rng.binomial(total, np.clip(self.positives, 0.01, 0.99))
        wrong = self.rng.binomial(np.stack([total - positives, positives]), np.clip(self.errors, 0.001, 0.95))
        labels = np.stack([total - positives - wrong[0], wrong[1], wrong[0], positives - wrong[1]], axis=-1)
        below = norm.cdf(_LOGITS - self.logits[:, :, None])
        ends = np.zeros((*total.shape, 1))
        shares = np.diff(np.concatenate([ends, below, ends + 1], axis=2), axis=2)
        bins = self.rng.multinomial(total, shares / shares.sum(axis=2, keepdims=True))
        #: (models, hours, 36), all outcomes known
        self.final = np.concatenate([labels, bins], axis=2)
        #: (models, hours, 4, 21): outcomes known so many hours after the hour's end
        came = self.rng.multinomial(labels, np.full(LONGEST_LAG, 1 / LONGEST_LAG))
        self.known = np.concatenate([np.zeros((*labels.shape, 1), dtype=np.int64), came.cumsum(axis=3)], axis=3)
        if self.late is not None:
            span, columns = self.late
            for column in columns:
                self.known[:, span, column] = 0
        self.final[self.twice] *= 2

    def at(self, model: int, day: int, hour: int) -> Any:
        """A day's counts (24, 36) as they are known at a full hour."""
        span = slice(day * 24, day * 24 + 24)
        age = hour - 1 - np.arange(day * 24, day * 24 + 24)
        out = np.where(age[:, None] >= 0, self.final[model, span], 0)
        seen = np.clip(age, 0, LONGEST_LAG)
        out[:, :4] = np.where(age[:, None] >= 0, self.known[model, span][np.arange(24), :, seen], 0)
        double = self.twice[model, span]
        # sent again 26 hours later, under new ids
        out[double & (age < 26), 4:] //= 2
        out[double & (age >= 26), :4] *= 2
        return out


Change = Callable[[Stream], None]


@dataclass(frozen=True)
class HourlyWorld:
    """What happens in it. ``loss``: the kind that is to find it; then ``change`` gets hours from each model's onset."""

    name: str
    change: Callable[[Stream, NDArray[np.bool_]], None]
    loss: HourlyKind | None = None
    young: bool = False
    rules: HourlyRules = field(default_factory=HourlyRules)


def _effects(sd: float, rho: float) -> Callable[[Stream, Any], None]:
    return lambda s, on: s.day_effects(sd, rho)


def _weekend(s: Stream, on: Any) -> None:
    s.errors += 0.05 * s.weekend
    s.logits += 0.3 * s.weekend
    s.positives += 0.05 * s.weekend
    s.day_effects(2, 0.7)


def _few(s: Stream, on: Any) -> None:
    s.volume *= np.where(s.weekend, 0.1, 1)


def _annual(s: Stream, on: Any) -> None:
    wave = np.cos(2 * np.pi * (np.arange(s.days * 24) / 24 / 365 + s.rng.random(s.models)[:, None]))
    s.errors += 0.10 * wave
    s.logits += 1.0 * wave
    s.positives += 0.15 * wave


def _wobble(s: Stream, on: Any) -> None:
    s.errors += s.rng.normal(0, 0.03, s.logits.shape)


def _late(*columns: int) -> Callable[[Stream, Any], None]:
    def change(s: Stream, on: Any) -> None:
        s.late = slice(50 * 24, 80 * 24), columns

    return change


def _mix(s: Stream, on: Any) -> None:
    s.positives[:, 50 * 24 :] += 0.3


def _silence(s: Stream, on: Any) -> None:
    s.volume[:, 50 * 24 : 64 * 24] = 0


def _twice(s: Stream, on: Any) -> None:
    for week in range(s.days // 7):
        hours = week * 168 + s.rng.integers(0, 168, s.models)
        s.twice[np.arange(s.models), hours] = True


def _nothing(s: Stream, on: Any) -> None:
    pass


def _points(points: float, hours: int | None = None) -> Callable[[Stream, Any], None]:
    def change(s: Stream, on: Any) -> None:
        s.errors += points / 100 * (on if hours is None else on & (np.cumsum(on, axis=1) <= hours))

    return change


def _scores(logits: float) -> Callable[[Stream, Any], None]:
    def change(s: Stream, on: Any) -> None:
        s.logits += logits * on

    return change


def _missed(share: float, missed: float) -> Callable[[Stream, Any], None]:
    def change(s: Stream, on: Any) -> None:
        s.positives[:] = share
        s.errors[1] = np.where(on, missed, s.errors[1])

    return change


_MISSED: Final = HourlyRules(positives_only=True)
WORLDS: Final = (
    HourlyWorld("stationary", _nothing),
    HourlyWorld("AR(1) sd 2", _effects(2, 0.7)),
    HourlyWorld("AR(1) sd 3 rho .9", _effects(3, 0.9)),
    HourlyWorld("weekend -5 + AR(1) sd 2", _weekend),
    HourlyWorld("weekend volume / 10", _few),
    HourlyWorld("annual +-10", _annual),
    HourlyWorld("hour wobble sd 3", _wobble),
    HourlyWorld("positives 3 days late", _late(1, 3)),
    HourlyWorld("errors 3 days late", _late(1, 2)),
    HourlyWorld("class mix .5 to .8", _mix),
    HourlyWorld("young versions", _effects(2, 0.7), young=True),
    HourlyWorld("two weeks without traffic", _silence),
    HourlyWorld("an hour sent twice", _twice),
    HourlyWorld("10 points", _points(10), "errors"),
    HourlyWorld("15 points", _points(15), "errors"),
    HourlyWorld("25 points", _points(25), "errors"),
    HourlyWorld("one hour of garbage", _points(33, 1), "errors"),
    HourlyWorld("scores +.8 logit", _scores(0.8), "scores"),
    HourlyWorld("half of 8 % positives missed", _missed(0.08, 0.5), "errors", rules=_MISSED),
    HourlyWorld("recall of 8 % positives halved", _missed(0.08, 0.59), "errors", rules=_MISSED),
    HourlyWorld("half of .8 % positives missed", _missed(0.008, 0.5), "errors", rules=_MISSED),
)


@dataclass
class Watched:
    """Evidence of some models at each full hour, shape (models, hours watched); −9 where a kind is off."""

    world: HourlyWorld
    per_day: int
    evidence: dict[HourlyKind, Floats]
    #: by model: full hours from the beginning to the loss
    onset: NDArray[np.int64]
    seconds: float

    def row(self) -> dict[str, Any]:
        """Everything, as one JSON object."""
        models, hours = self.evidence["errors"].shape
        out: dict[str, Any] = {"world": self.world.name, "per_day": self.per_day, "models": models,
                               "months": round(models * hours / 720, 1), "seconds": round(self.seconds, 1)}  # fmt: skip
        for alpha in ALPHAS:
            reached = {kind: found >= round(-np.log10(alpha), 3) for kind, found in self.evidence.items()}
            if self.world.loss is None:
                blocks = [(hours - 1) // 720 + 1] * 2
                for kind, hit in reached.items():
                    months = [hit[:, at * 720 : at * 720 + 720].any(axis=1) for at in range(blocks[0])]
                    out[f"{kind} {alpha:g}"] = int(np.sum(months))
                continue
            hit = reached[self.world.loss]
            first = np.where(hit.any(axis=1), hit.argmax(axis=1), 10**6)
            early = first < self.onset
            wait = np.where(early, 10**6, first - self.onset + 1)
            middle = float(np.median(wait[~early])) if (~early).any() else np.inf
            out[f"median h {alpha:g}"] = middle if middle < 10**5 else None
            out[f"found {alpha:g}"] = int((wait < 10**5).sum())
            out[f"within 14 h {alpha:g}"] = int((wait <= 14).sum())
            out[f"before {alpha:g}"] = int(early.sum())
        return out


def watch(
    world: HourlyWorld, models: int, days: int, per_day: int, seed: int, told: Callable[[int], None] = lambda day: None
) -> Watched:
    """A world through the pure functions; ``days``: watched, after those of the first references."""
    began = time.process_time()
    start = YOUNG if world.young else WARM
    days = min(days, WARM - YOUNG) if world.young else 7 + FOUND_WITHIN_DAYS if world.loss else days
    rng = np.random.default_rng([seed, per_day, *map(ord, world.name)])
    stream = Stream(rng, models, start + days, per_day)
    onset = (start + 7) * 24 + rng.integers(0, 24, models)
    world.change(stream, np.arange(stream.days * 24) >= onset[:, None])
    stream.draw()
    states: list[ModelEvidence | None] = [None] * models
    made: list[ModelReferences | None] = [None] * models
    found: dict[HourlyKind, list[list[float]]] = {"errors": [], "scores": []}
    for day in range(start, start + days):
        for i in range(models):
            past = stream.final[i].reshape(-1, 24, 36)
            hours = {FIRST + d: past[d] for d in range(max(0, day - WARM), day) if past[d].any()}
            asked = ReferenceDays("v", FIRST + day, FIRST, hours)
            made[i] = _only(make_references(asked, states[i], made[i], world.rules), world.loss)
        for hour in range(day * 24 + 1, day * 24 + 25):
            flying = flying_days(world.rules, "errors", hour)
            batch = []
            for i in range(models):
                days_ = {FIRST + d: stream.at(i, d, hour) for d in range(max(start, flying.start - 1), day + 1)}
                batch.append(HourlyInput("v", states[i], made[i], days_, FIRST * 24 + hour, world.rules))
            results = advance(batch)
            states = [result.state for result in results]
            found["errors"].append([-9.0 if x.errors.evidence is None else x.errors.evidence for x in results])
            found["scores"].append([-9.0 if x.scores.evidence is None else x.scores.evidence for x in results])
        told(day - start + 1)
    evidence = {kind: np.array(rows).T for kind, rows in found.items()}
    return Watched(world, per_day, evidence, onset - start * 24, time.process_time() - began)


def _only(made: ModelReferences, kind: HourlyKind | None) -> ModelReferences:
    """Where one kind is to find a loss, the other is not reckoned."""
    if kind is None:
        return made
    return ModelReferences(made.version, *((made.errors, []) if kind == "errors" else ([], made.scores)))


@click.command()
@click.option("--models", default=50, show_default=True, help="Models of each world.")
@click.option("--days", default=90, show_default=True, help="Days watched of each model, in worlds without a loss.")
@click.option("--per-day", "volumes", multiple=True, default=(1_000,), show_default=True, help="Predictions a day.")
@click.option("--world", "names", multiple=True, type=click.Choice([w.name for w in WORLDS]), help="Only these worlds.")
@click.option("--losses/--no-losses", default=None, help="Only worlds with a loss, or only those without.")
@click.option("--seed", default=1, show_default=True)
def main(
    models: int, days: int, volumes: tuple[int, ...], names: tuple[str, ...], losses: bool | None, seed: int
) -> None:
    """Play, print one JSON object a world as it ends, and a table. A model-month takes about a second."""
    console, rows = Console(stderr=True), []
    wanted = [w for w in WORLDS if (not names or w.name in names) and (losses is None or losses == bool(w.loss))]
    with console.status("") as status:
        for per_day in volumes:
            for world in wanted:
                where = f"{world.name} at {per_day:,} a day"
                found = watch(world, models, days, per_day, seed, lambda day: status.update(f"{where}: day {day}"))  # noqa: B023
                rows.append(found.row())
                click.echo(json.dumps(rows[-1]))
    for kind in (False, True):
        some = [row for row in rows if ("errors 0.01" not in row) == kind]
        if some:
            table = Table(*some[0], title="with a loss" if kind else "without a loss: model-months with an alarm")
            for row in some:
                table.add_row(*map(str, row.values()))
            console.print(table)


if __name__ == "__main__":
    main()
