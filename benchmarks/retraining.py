"""What retraining is worth on recorded data, and how many trainings each way of deciding it takes.

``python -m benchmarks.retraining [--data FOLDER] [--seeds N]``: electricity prices (elec2: does the price rise?) and
card fraud (Fraud Detection Handbook), a day at a time, each day predicted before its outcomes are known (prequential).
The same learner for all: the frozen model of the first days; this loop, by its own commands, validation and probation,
with the policies drift, schedule, or both; and ways that check nothing: a new model every 20 days, of the newest 30
days or of all of them, on every alarm of River's ADWIN over single errors, and every day. With the seed changes the
learner's own, and the phase of all schedules, by four days.

On elec2 the last price change predicts the next one well (.8533 without any model), so accuracy there says little
about a model and much about its age.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from river.drift import ADWIN
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from benchmarks.closed_loop import ClosedLoop, Fit, Matrix, PlayedModel, Rows, Scorer, switched_on
from schemas.common import uuid5

#: the set's best model reaches a PR-AUC of some 0.4; the type's own floor is 0.7
FRAUD_FLOORS: dict[str, Any] = {"validation_floors": {"pr_auc": 0.15}}

#: those of the type conflict, for types of other names
CONFLICT_RULES: dict[str, Any] = {
    "scope": "global", "performance_metrics": ("accuracy", "precision"), "rollback_metrics": ("accuracy",),
    "validation_floors": {"accuracy": 0.70, "precision": 0.60},
}  # fmt: skip

#: days that the other ways learn from, and between two trainings of a schedule
WINDOW, PERIOD = 30, 20
#: days by which a seed moves the phase of the plain schedules
PHASE = 4

POLICIES = {"drift": ("drift",), "schedule": ("schedule",), "drift and schedule": ("drift", "schedule")}


class Case(NamedTuple):
    """A recorded stream: days from the first served one on, and the rows before them."""

    model: str
    past: Rows
    days: list[Rows]
    fit: Fit
    metric: str
    #: rules of its type: floors are a shop's own, the contract's fit neither set
    rules: dict[str, Any]


class Outcome(NamedTuple):
    """Metric over all served days, and trainings that took."""

    value: float
    trainings: int
    #: spent in them
    seconds: float = 0.0
    note: str = ""


class Timed:
    """A way to fit, and how long it took in all."""

    def __init__(self, fit: Fit) -> None:
        self._fit, self.seconds = fit, 0.0

    def __call__(self, features: Matrix, actual: NDArray[np.int64]) -> Scorer:
        began = time.perf_counter()
        try:
            return self._fit(features, actual)
        finally:
            self.seconds += time.perf_counter() - began


def elec2(folder: Path, seed: int = 0, first_days: int = 60) -> Case:
    """Half-hourly prices, 48 rows a day; features as the set has them."""
    table = pd.read_csv(folder / "elec2_electricity.csv.xz")
    features = table[["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]].to_numpy(float)
    actual = (table["class"] == "UP").to_numpy(np.int64)
    days = [Rows(features[i : i + 48], actual[i : i + 48]) for i in range(0, len(actual), 48)]
    name = _of_phase("price{}:global", seed)
    return Case(name, _joined(days[:first_days]), days[first_days:], _fit(0.5, seed), "accuracy", CONFLICT_RULES)


def fraud(folder: Path, seed: int = 0, first_days: int = 35) -> Case:
    """Card transactions; what a customer spends, and how often a terminal was cheated at, a week and more ago."""
    table = pd.read_csv(folder / "fraud_handbook_customers_mod10.csv.gz", parse_dates=["TX_DATETIME"])
    table = table.sort_values("TX_DATETIME", kind="stable").reset_index(drop=True)
    at = table["TX_DATETIME"]
    columns = {
        "amount": table["TX_AMOUNT"],
        "night": (at.dt.hour <= 6).astype(float),
        "weekend": (at.dt.day_of_week >= 5).astype(float),
    }
    dated = table.set_index("TX_DATETIME")
    for days in (1, 7, 30):
        mine = dated.groupby("CUSTOMER_ID")["TX_AMOUNT"].rolling(f"{days}D")
        columns[f"spent_{days}"] = _back(mine.mean(), table, "CUSTOMER_ID")
        columns[f"bought_{days}"] = _back(mine.count(), table, "CUSTOMER_ID")
    day = (at - at.iloc[0].normalize()).dt.days.to_numpy()
    risk = _terminal_risk(table, day)
    features = np.column_stack([*(np.asarray(column, dtype=float) for column in columns.values()), *risk])
    actual = table["TX_FRAUD"].to_numpy(np.int64)
    made = [Rows(features[day == d], actual[day == d]) for d in range(day.max() + 1)]
    name = _of_phase("fraud:handbook{}", seed)
    return Case(name, _joined(made[:first_days]), made[first_days:], _fit(None, seed), "pr_auc", FRAUD_FLOORS)


def _of_phase(pattern: str, seed: int) -> str:
    """A model whose schedule falls due on the days on which the plain ones train: the name decides, so one is looked
    for."""
    names = (pattern.format(f"{seed}-{number}") for number in itertools.count())
    return next(name for name in names if UUID(uuid5("schedule", name)).int % PERIOD == PHASE * seed % PERIOD)


def _back(rolled: pd.Series, table: pd.DataFrame, by: str) -> NDArray[np.float64]:
    """A grouped rolling figure in the table's own command."""
    order = table.sort_values([by, "TX_DATETIME"], kind="stable").index
    out = np.empty(len(table))
    out[order] = rolled.to_numpy()
    return out


def _terminal_risk(table: pd.DataFrame, day: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Share of fraud at the row's terminal in 7 and in 28 days, ending a week before: labels come that late."""
    frauds: dict[int, dict[int, tuple[int, int]]] = {}
    grouped = table.assign(day=day).groupby(["TERMINAL_ID", "day"])["TX_FRAUD"].agg(["sum", "count"])
    for (terminal, d), (hits, count) in zip(grouped.index, grouped.to_numpy(), strict=True):
        frauds.setdefault(terminal, {})[d] = (int(hits), int(count))
    out = []
    for width in (7, 28):
        values = np.zeros(len(table))
        for i, (terminal, d) in enumerate(zip(table["TERMINAL_ID"], day, strict=True)):
            known = frauds[terminal]
            past = [known[x] for x in range(d - 7 - width, d - 7) if x in known]
            total = sum(count for _, count in past)
            values[i] = sum(hits for hits, _ in past) / total if total else 0.0
        out.append(values)
    return out


def _fit(threshold: float | None, seed: int) -> Fit:
    """Gradient boosting; without a threshold, the one that serves F1 best on the rows it learnt from."""

    def fit(features: Matrix, actual: NDArray[np.int64]) -> Scorer:
        fitted = HistGradientBoostingClassifier(max_iter=60, random_state=seed).fit(features, actual)

        def score(rows: Matrix) -> Matrix:
            return np.clip(fitted.predict_proba(rows)[:, 1], 0.0, 1.0) if len(rows) else np.empty(0)

        return Scorer(score, threshold if threshold is not None else _best_threshold(score(features), actual))

    return fit


def _best_threshold(scores: Matrix, actual: NDArray[np.int64]) -> float:
    order = np.argsort(-scores)
    hits = np.cumsum(actual[order])
    f1 = 2 * hits / (np.arange(1, len(actual) + 1) + actual.sum())
    return float(scores[order][int(np.argmax(f1))])


def _joined(days: list[Rows]) -> Rows:
    return Rows(np.concatenate([d.features for d in days]), np.concatenate([d.actual for d in days]))


# -- ways of deciding ----------------------------------------------------------------------------------------------


def measured(case: Case, scores: list[Matrix], said: list[NDArray[np.bool_]]) -> float:
    """The case's metric over all days."""
    actual = np.concatenate([day.actual for day in case.days])
    if case.metric == "pr_auc":
        return float(average_precision_score(actual, np.concatenate(scores)))
    return float((np.concatenate(said) == (actual == 1)).mean())


def scheduled(case: Case, when: Callable[[int, NDArray[np.bool_]], bool], window: int = WINDOW) -> Outcome:
    """``when`` hears of each day and its errors, and says whether to train before the next, on the newest ``window``
    days; 0: on all there are, those before the first served one too."""
    fit, trainings = Timed(case.fit), 0
    model = case.fit(*case.past)
    scores, said = [], []
    for number, day in enumerate(case.days):
        scores.append(model.score(day.features))
        said.append(scores[-1] >= model.threshold)
        if when(number, said[-1] != (day.actual == 1)) and number + 1 < len(case.days):
            known = case.days[max(0, number + 1 - window) if window else 0 : number + 1]
            rows = _joined(known if window else [case.past, *known])
            if len(set(rows.actual.tolist())) == 2:
                model, trainings = fit(*rows), trainings + 1
    return Outcome(measured(case, scores, said), trainings, fit.seconds)


def adwin(case: Case) -> Outcome:
    """A training after each day on which ADWIN alarmed."""
    detector = ADWIN()

    def alarmed(number: int, errors: NDArray[np.bool_]) -> bool:
        found = False
        for error in errors.tolist():
            detector.update(float(error))
            found |= detector.drift_detected
        return found

    return scheduled(case, alarmed)


def ours(case: Case, policies: tuple[str, ...]) -> Outcome:
    """This loop, with what asks for a training."""
    fit = Timed(case.fit)
    model = PlayedModel(case.model, case.days, {"v1": case.fit(*case.past)})
    rules = {**case.rules, "retrain_policies": policies, "retrain_every_days": PERIOD}
    settings = switched_on(**{case.model.partition(":")[0]: rules})
    loop = ClosedLoop(settings, [model], fit).run()
    scores = [model.scored[day] for day in range(len(case.days))]
    version = _served(loop, model)
    said = [s >= model.scorers[version[day]].threshold for day, s in enumerate(scores)]
    commands = [command for _, command, _ in model.orders]
    alerts = sum(row.get("notify") == "opened" for row in loop.records("alerts"))
    note = (
        f"{alerts} alerts, {commands.count('recalibrate')} recalibrated, {commands.count('activate')} activated, "
        f"{commands.count('rollback')} rolled back"
    )
    return Outcome(measured(case, scores, said), commands.count("train"), fit.seconds, note)


def _served(loop: ClosedLoop, model: PlayedModel) -> list[str]:
    """Version that served each day: a command answered on a day serves that day's rows."""
    changes = {day: str(to) for day, command, to in model.orders if command != "train"}
    out, active = [], "v1"
    for day in range(len(model.days)):
        active = changes.get(day, active)
        out.append(active)
    return out


def compare(case: Case, seed: int) -> Iterator[tuple[str, Outcome]]:
    """Every way on one case."""

    def periodic(day: int, errors: NDArray[np.bool_]) -> bool:
        return day % PERIOD == PERIOD - 1 - PHASE * seed % PERIOD

    yield "frozen", scheduled(case, lambda day, errors: False)
    for name, policies in POLICIES.items():
        yield f"this loop, {name}", ours(case, policies)
    yield "schedule, 30 days", scheduled(case, periodic)
    yield "schedule, all", scheduled(case, periodic, window=0)
    yield "ADWIN", adwin(case)
    yield "daily", scheduled(case, lambda day, errors: True)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Runs of each way, by seeds 0 to N - 1.")
def main(data: Path, seeds: int) -> None:
    """Print a table, and one JSON object as the last line."""
    console = Console(stderr=True)
    found: dict[str, Any] = {}
    for name, read in (("elec2_electricity", elec2), ("fraud_handbook", fraud)):
        outcomes: dict[str, list[Outcome]] = {}
        for seed in range(seeds):
            case = read(data, seed)
            for way, outcome in compare(case, seed):
                outcomes.setdefault(way, []).append(outcome)
                seconds = f"{outcome.seconds:.1f} s"
                console.print(
                    f"{name}, seed {seed}, {way}: {outcome.value:.4f}, {outcome.trainings} trainings, {seconds}"
                )
        table = Table(title=f"{name}: {case.metric} over {len(case.days)} days, {seeds} seeds")
        for column in ("", f"mean {case.metric}", "least", "trainings", "seconds of training", "seed 0"):
            table.add_column(column)
        for way, runs in outcomes.items():
            values, trainings = [run.value for run in runs], [run.trainings for run in runs]
            spent = float(np.mean([run.seconds for run in runs]))
            table.add_row(
                way, f"{np.mean(values):.4f}", f"{min(values):.4f}", f"{min(trainings)} to {max(trainings)}",
                f"{spent:.1f}", runs[0].note,
            )  # fmt: skip
            found[f"{name}.{way}"] = {
                case.metric: [round(value, 4) for value in values], "trainings": trainings, "seconds": round(spent, 1)
            }  # fmt: skip
        console.print(table)
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
