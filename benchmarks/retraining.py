"""What retraining is worth on recorded data, and how many trainings each way of deciding it takes.

``python -m benchmarks.retraining [--data FOLDER]``: electricity prices (elec2: does the price rise?) and card fraud
(Fraud Detection Handbook), a day at a time, each day predicted before its outcomes are known (prequential). The same
learner for all: the frozen model of the first days; this loop, by its own commands, validation and probation; a new
model on every alarm of River's ADWIN over single errors; a new model every day. The last two learn from the newest 30
days and are never checked. On elec2 the last price change predicts the next one well (.8533 without any model), so
accuracy there says little about a model and much about its age.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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

#: the set's best model reaches a PR-AUC of some 0.4; the type's own floor is 0.7
FRAUD_FLOORS: dict[str, Any] = {"validation_floors": {"pr_auc": 0.15}}

#: days that the other ways learn from
WINDOW = 30


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
    note: str = ""


def elec2(folder: Path, first_days: int = 60) -> Case:
    """Half-hourly prices, 48 rows a day; features as the set has them."""
    table = pd.read_csv(folder / "elec2_electricity.csv.xz")
    features = table[["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]].to_numpy(float)
    actual = (table["class"] == "UP").to_numpy(np.int64)
    days = [Rows(features[i : i + 48], actual[i : i + 48]) for i in range(0, len(actual), 48)]
    return Case("conflict:global", _joined(days[:first_days]), days[first_days:], _fit(0.5), "accuracy", {})


def fraud(folder: Path, first_days: int = 35) -> Case:
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
    return Case("fraud:handbook", _joined(made[:first_days]), made[first_days:], _fit(None), "pr_auc", FRAUD_FLOORS)


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


def _fit(threshold: float | None) -> Fit:
    """Gradient boosting; without a threshold, the one that serves F1 best on the rows it learnt from."""

    def fit(features: Matrix, actual: NDArray[np.int64]) -> Scorer:
        fitted = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(features, actual)

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


def scheduled(case: Case, when: Callable[[int, NDArray[np.bool_]], bool]) -> Outcome:
    """``when`` hears of each day and its errors, and says whether to train before the next."""
    model, trainings = case.fit(*case.past), 0
    scores, said = [], []
    for number, day in enumerate(case.days):
        scores.append(model.score(day.features))
        said.append(scores[-1] >= model.threshold)
        if when(number, said[-1] != (day.actual == 1)) and number + 1 < len(case.days):
            rows = _joined(case.days[max(0, number + 1 - WINDOW) : number + 1])
            if len(set(rows.actual.tolist())) == 2:
                model, trainings = case.fit(*rows), trainings + 1
    return Outcome(measured(case, scores, said), trainings)


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


def ours(case: Case, accepting: bool) -> Outcome:
    """This loop, without or with an operator who accepts the present when nothing healthy is left to compare with."""
    model = PlayedModel(case.model, case.days, {"v1": case.fit(*case.past)})
    settings = switched_on(**{case.model.partition(":")[0]: case.rules})
    loop = ClosedLoop(settings, [model], case.fit, accepting=accepting).run()
    scores = [model.scored[day] for day in range(len(case.days))]
    version = _served(loop, model)
    said = [s >= model.scorers[version[day]].threshold for day, s in enumerate(scores)]
    commands = [command for _, command, _ in model.orders]
    alerts = sum(row.get("notify") == "opened" for row in loop.records("alerts"))
    note = f"{alerts} alerts, {commands.count('activate')} activated, {commands.count('rollback')} rolled back"
    return Outcome(measured(case, scores, said), commands.count("train"), note)


def _served(loop: ClosedLoop, model: PlayedModel) -> list[str]:
    """Version that served each day: a command answered on a day serves that day's rows."""
    changes = {day: str(to) for day, command, to in model.orders if command != "train"}
    out, active = [], "v1"
    for day in range(len(model.days)):
        active = changes.get(day, active)
        out.append(active)
    return out


def compare(case: Case) -> dict[str, Outcome]:
    """Every way on one case."""
    return {
        "frozen": scheduled(case, lambda day, errors: False),
        "this loop": ours(case, False),
        "this loop and an operator": ours(case, True),
        "ADWIN": adwin(case),
        "daily": scheduled(case, lambda day, errors: True),
    }


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True)
def main(data: Path) -> None:
    """Print a table, and one JSON object as the last line."""
    console = Console(stderr=True)
    found: dict[str, Any] = {}
    for name, read in (("elec2_electricity", elec2), ("fraud_handbook", fraud)):
        case = read(data)
        table = Table(title=f"{name}: {case.metric} over {len(case.days)} days")
        for column in ("", case.metric, "trainings", ""):
            table.add_column(column)
        for way, outcome in compare(case).items():
            table.add_row(way, f"{outcome.value:.4f}", str(outcome.trainings), outcome.note)
            found[f"{name}.{way}"] = {case.metric: round(outcome.value, 4), "trainings": outcome.trainings}
        console.print(table)
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
