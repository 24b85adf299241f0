"""A hundred seeded models, sixty with a loss of 12 to 25 points: the daily and the hourly checks together, and peers.

Every model has a nuisance of its own (day effects, weekends that differ, weekends with a tenth of the volume, nothing);
of sixty the accuracy drops between the fifth and the sixth week and stays low, in every fifth of these over five days.
Everything runs through the stages behind the labels; outcomes come 1 to 20 hours after their prediction.

A loss is found if an alert opens, or a peer alarms, from its onset until the tolerance is over; a false alarm is one
before the onset or of a model without a loss; one after the tolerance finds nothing and is not false. F1 is
2·found / (2·found + false + missed). Peers see every error in the order in which outcomes come, from a week before on,
with default parameters, and begin anew after an alarm. "Always" alarms once a day. KSWIN costs a test of two samples
for each outcome and takes part where ``--kswin`` is given.

Models are played in groups, one JSON object a group, so that a run that is cut short has said what it found.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from river import drift

from schemas.common import parse_ms
from stream_app.simulator import HOUR_MS, Batch
from tests.support.hourly import hourly_simulator
from tests.support.scenarios import FIRST_DAY, healthy
from tests.support.simulate import records

#: Days before the hourly tier is whole, days in which losses begin, and days watched after the last of these.
WARM, ONSETS, AFTER = 36, 8, 14
DAYS: Final = WARM + ONSETS + AFTER + 1
MODELS, LOSSES, GROUP = 100, 60, 20
LATEST: Final = 20
TOLERANCES: Final = (2, 14)
NUISANCES: Final = ("none", "day effects", "weekends", "few on weekends")
#: Hours of a day at which there is a tick before the hourly tier has references: the closes and noon.
_CLOSES: Final = (1, 2, 3, 4, 12)
_PROFILE: Final = 1 + 0.8 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)

PEERS: Final[dict[str, Callable[[], Any]]] = {
    "ADWIN": drift.ADWIN,
    "DDM": drift.binary.DDM,
    "Page-Hinkley": drift.PageHinkley,
}
KSWIN: Final[dict[str, Callable[[], Any]]] = {"KSWIN": lambda: drift.KSWIN(seed=1)}


class HealthyModel:
    """One model, 83 % right: points lost and logits moved in each hour, shape (hours,), and its volume."""

    def __init__(self, name: str, a_day: int, days: int, rng: np.random.Generator) -> None:
        self.name, self.rng, self.days = name, rng, days
        self.points, self.shift = np.zeros(days * 24), np.zeros(days * 24)
        self.volume = np.tile(_PROFILE / _PROFILE.sum(), days) * a_day

    def weekend(self) -> NDArray[np.bool_]:
        """Which hours are of a weekend."""
        return (FIRST_DAY + np.arange(self.days * 24) // 24 + 3) % 7 >= 5

    def day_effects(self, sd: float, rho: float = 0.7) -> None:
        """AR(1) from day to day, sd in points; scores move by .05 logit for each."""
        for target, scale in ((self.points, sd), (self.shift, sd * 0.05)):
            effects = np.empty(self.days)
            effects[0] = self.rng.normal()
            for day in range(1, self.days):
                effects[day] = rho * effects[day - 1] + np.sqrt(1 - rho * rho) * self.rng.normal()
            target += np.repeat(effects * scale, 24)

    def hour(self, hour: int) -> tuple[Batch, list[tuple[int, Batch]]]:
        """Its predictions, and the outcomes with the hours they come in."""
        rng = self.rng
        made = healthy(rng, int(rng.poisson(self.volume[hour])))
        # below nothing: a better day, whose outcomes are set right
        share = self.points[hour] / 100 / (2 * 0.83 - 1)
        wrong = (made.actual == 1) != made.predicted
        chosen = rng.random(len(wrong)) < abs(share)
        better = -share * (2 * 0.83 - 1) / (1 - 0.83)
        flip = chosen if share >= 0 else wrong & (rng.random(len(wrong)) < better)
        actual = np.where(flip, 1 - made.actual, made.actual)
        odds = made.scores / (1 - made.scores) * np.exp(self.shift[hour])
        scores = np.round(odds / (1 + odds), 4)
        return predicted_hour(self.name, hour, scores, made.predicted, actual, self.late(hour, made.predicted, actual))

    def late(self, hour: int, predicted: NDArray[np.bool_], actual: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many hours the outcomes of an hour's predictions come, shape (n,)."""
        return self.rng.integers(1, LATEST + 1, len(actual))


class Played(HealthyModel):
    """A model of the suite, with the hour its loss begins at, if any."""

    def __init__(self, number: int, a_day: int, seed: int) -> None:
        super().__init__(f"churn:m{number}", a_day, DAYS, np.random.default_rng([seed, number]))
        self.nuisance = NUISANCES[number % len(NUISANCES)]
        if self.nuisance == "day effects":
            self.day_effects(2)
        elif self.nuisance == "weekends":
            self.points += 4.0 * self.weekend()
            self.shift += 0.2 * self.weekend()
        elif self.nuisance == "few on weekends":
            self.volume = self.volume * np.where(self.weekend(), 0.1, 1)
        self.onset: int | None = None
        if number % MODELS < LOSSES:
            self.onset = int(WARM * 24 + self.rng.integers(0, ONSETS * 24))
            grows = 120 if number % 5 == 0 else 1
            since = np.arange(DAYS * 24) - self.onset + 1
            self.points += self.rng.uniform(12, 25) * np.clip(since / grows, 0, 1)


def predicted_hour(
    name: str,
    hour: int,
    scores: NDArray[np.float64],
    predicted: NDArray[np.bool_],
    actual: NDArray[np.int64],
    late: NDArray[np.int64],
) -> tuple[Batch, list[tuple[int, Batch]]]:
    """An hour's predictions, shape (n,) each, and their outcomes, ``late`` hours later, with the hours they come in."""
    day, of = FIRST_DAY + hour // 24, hour % 24
    came = []
    for h in np.unique(late):
        rows = late == h
        found = Batch(name, "v1", day, scores[rows], predicted[rows], actual[rows], made=False, hour=of)
        came.append((hour + int(h), found))
    return Batch(name, "v1", day, scores, predicted, np.full(len(scores), -1), hour=of), came


#: log10 of the evidence that is an alarm at a budget of 20 false alerts in 1,000 model-months.
_HUNDRED: Final = 2.0


class Stream(Protocol):
    """A model that is played hour by hour."""

    name: str

    def hour(self, hour: int) -> tuple[Batch, list[tuple[int, Batch]]]:
        """Its predictions, and the outcomes with the hours they come in."""
        ...


class Heard(NamedTuple):
    """What became of some models, by name; hours count from the first midnight."""

    #: alerts of drift as they opened: hour, and the check that opened each
    alerts: dict[str, list[tuple[int, str]]]
    #: alarms of the hourly check, MEDIUM ones too: hour, kind, severity
    alarms: dict[str, list[tuple[int, str, str]]]
    #: hours with evidence of 100 or more, alarms or not: hour, kind
    hundred: dict[str, list[tuple[int, str]]]
    #: whether each decision was wrong, by the hour its outcome came in
    errors: dict[str, list[tuple[int, bool]]]


def play(
    models: Sequence[Stream], days: int = DAYS, warm: int = WARM, told: Callable[[int], None] = lambda day: None
) -> Heard:
    """Models through the stages behind the labels; ``told`` hears of every day."""
    sim = hourly_simulator()
    coming: dict[int, list[Batch]] = defaultdict(list)
    errors: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for hour in range(days * 24):
        made = []
        for model in models:
            batch, late = model.hour(hour)
            made += [batch] if len(batch.scores) else []
            for at, found in late:
                coming[at].append(found)
        came = coming.pop(hour, [])
        for found in came:
            errors[found.model] += [(hour, bool(x)) for x in (found.actual == 1) != found.predicted]
        sim.batches(made + came)
        if hour >= (warm - 2) * 24 or (hour + 1) % 24 in _CLOSES:
            sim.tick((FIRST_DAY * 24 + hour + 1) * HOUR_MS)
        told(hour // 24)
    alerts: dict[str, list[tuple[int, str]]] = {model.name: [] for model in models}
    alarmed: dict[str, list[tuple[int, str, str]]] = {model.name: [] for model in models}
    hundred: dict[str, list[tuple[int, str]]] = {model.name: [] for model in models}
    for row in records(sim, "hourly-evidence"):
        if row["evidence"] is not None and row["evidence"] >= _HUNDRED:
            hundred[row["model"]].append((_hour(row["as_of"]), row["kind"]))
    checks = {}
    for row in records(sim, "drift-events"):
        checks[row["id"]] = row.get("check") or "daily"
        if row.get("check") == "hourly" and row["verdict"] == "drift":
            alarmed[row["model"]].append((_hour(row["as_of"]), row["kind"], row["severity"]))
    for row in records(sim, "alerts"):
        if row.get("notify") == "opened" and row["type"] == "ML_DRIFT_DETECTED":
            alerts[row["model"]].append((_hour(row["opened_at"]), checks.get(row["drift_event_ids"][-1], "daily")))
    return Heard(alerts, alarmed, hundred, errors)


def _hour(at: str) -> int:
    return parse_ms(at) // HOUR_MS - FIRST_DAY * 24


def alarms(make: Callable[[], Any], errors: list[tuple[int, bool]], warm: int = WARM) -> list[int]:
    """Hours at which a detector of errors alarmed, from the end of the warm-up on."""
    detector, found = make(), []
    for hour, wrong in errors:
        if hour < (warm - 7) * 24:
            continue
        detector.update(int(wrong))
        if detector.drift_detected:
            found.append(hour)
            detector = make()
    return [hour for hour in found if hour >= warm * 24]


def judge(onset: int | None, hours: list[int]) -> dict[str, Any]:
    """Of one model: whether its loss was found in time, how late, and false alarms."""
    after = [hour for hour in hours if onset is not None and hour >= onset]
    found: dict[str, Any] = {"false": len(hours) - len(after), "delay": after[0] - (onset or 0) if after else None}
    for days in TOLERANCES:
        found[f"in {days} d"] = bool(after) and after[0] - (onset or 0) <= days * 24
    return found


def summed(rows: list[tuple[int | None, dict[str, Any]]]) -> dict[str, Any]:
    """F1 by tolerance, false alarms, and the median delay in hours."""
    losses = sum(onset is not None for onset, _ in rows)
    false = sum(row["false"] for _, row in rows)
    delays = [row["delay"] for onset, row in rows if onset is not None and row["delay"] is not None]
    out: dict[str, Any] = {"models": len(rows), "losses": losses, "false": false}
    for days in TOLERANCES:
        hit = sum(row[f"in {days} d"] for _, row in rows)
        out |= {f"found in {days} d": hit, f"F1 {days} d": round(2 * hit / max(1, hit + false + losses), 3)}
    return out | {"median h": float(np.median(delays)) if delays else None}


@click.command()
@click.option("--models", default=MODELS, show_default=True)
@click.option("--per-day", default=1_000, show_default=True, help="Predictions a day.")
@click.option("--seed", default=31, show_default=True)
@click.option("--kswin", is_flag=True, help="With KSWIN, which takes longer than everything else.")
def main(models: int, per_day: int, seed: int, kswin: bool) -> None:
    """Play groups of models and print what was found so far after each."""
    rows: dict[str, list[tuple[int | None, dict[str, Any]]]] = defaultdict(list)
    opened: dict[str, int] = defaultdict(int)
    # a group holds models with and without a loss in the shares of the whole
    order = [number for start in range(GROUP) for number in range(start, models, GROUP)]
    for at in range(0, models, GROUP):
        group = [Played(number, per_day, seed) for number in order[at : at + GROUP]]
        heard = play(group)
        for model in group:
            mine = [(hour, check) for hour, check in heard.alerts[model.name] if hour >= WARM * 24]
            for hour, check in mine:
                opened[f"false {check}"] += model.onset is None or hour < model.onset
            rows["Plumbline"].append((model.onset, judge(model.onset, [hour for hour, _ in mine])))
            for name, make in (PEERS | (KSWIN if kswin else {})).items():
                rows[name].append((model.onset, judge(model.onset, alarms(make, heard.errors[model.name]))))
            daily = [day * 24 for day in range(WARM, DAYS)]
            rows["always"].append((model.onset, judge(model.onset, daily)))
        told = {name: summed(found) for name, found in rows.items()}
        click.echo(json.dumps({"per_day": per_day, "seed": seed, **opened, **told}))
    table = Table("detector", *next(iter(told.values())))
    for name, found in told.items():
        table.add_row(name, *map(str, found.values()))
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
