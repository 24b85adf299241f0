"""What the stages found in a file, gathered by model: for the words on the screen and for the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from stream_app.core.comparisons.proportions import wilson
from stream_app.trial.run import Trial

Row = dict[str, Any]

#: Two-sided 95 % for what is shown; nothing is decided by it.
_Z: Final = 1.959964
#: What a metric is a share of: (right, all) by the counts of a snapshot.
_SHARES: Final[dict[str, Callable[[Row], tuple[int, int]]]] = {
    "accuracy": lambda c: (c["true_positives"] + c["true_negatives"], c["outcomes"]),
    "precision": lambda c: (c["true_positives"], c["true_positives"] + c["false_positives"]),
    "recall": lambda c: (c["true_positives"], c["true_positives"] + c["false_negatives"]),
}
#: Why a check gave no verdict, where it is not that rows or labels are too few.
_REASONS: Final = {
    "too_young": "the version has too few days behind it",
    "no baseline": "no baseline yet",
    "no predictions on the last mature day": "no predictions on the day in question",
    "labels_selective": "labels come by class",
}
_COUNTS: Final = (
    "predictions", "outcomes", "true_positives", "false_positives", "true_negatives", "false_negatives",
)  # fmt: skip


class Week(NamedTuple):
    """Seven days from a Monday; the metric with its 95 % interval, ``None`` without a label to judge by."""

    monday: date
    predictions: int
    outcomes: int
    value: float | None
    low: float
    high: float
    versions: tuple[str, ...]


class DriftRun(NamedTuple):
    """Days in a row at whose check drift was found, and the worst of them."""

    kind: str
    first: str
    last: str
    days: int
    worst: Row


@dataclass(frozen=True, slots=True)
class ModelFindings:
    """One model."""

    model: str
    metric: str
    weeks: list[Week]
    #: changes of the active version, the first among them
    versions: list[Row]
    #: newest revision of each alert, by when it was opened
    alerts: list[Row]
    runs: list[DriftRun]
    #: why a check could not judge → at how many
    unjudged: Counter[str]

    @property
    def predictions(self) -> int:
        """All of them."""
        return sum(week.predictions for week in self.weeks)

    @property
    def outcomes(self) -> int:
        """Those of them whose outcome is known."""
        return sum(week.outcomes for week in self.weeks)


def gather(trial: Trial, metrics_of: Callable[[str], Iterable[str]]) -> list[ModelFindings]:
    """Every model by name. ``metrics_of``: the metrics that a model is judged by."""
    days = _newest(trial.rows("metric-snapshots"))
    events, alerts = trial.rows("drift-events"), trial.rows("alerts")
    lifecycle = trial.rows("model-lifecycle")
    found = []
    for model in sorted({row["model"] for row in days}):
        metric = next((name for name in metrics_of(model) if name in _SHARES), "accuracy")
        mine = [row for row in events if row["model"] == model]
        newest = {row["id"]: row for row in alerts if row["model"] == model}
        found.append(
            ModelFindings(
                model, metric, _weeks([row for row in days if row["model"] == model], metric),
                [row for row in lifecycle if row["model"] == model],
                sorted(newest.values(), key=lambda row: str(row["opened_at"])),
                [run for kind in ("performance", "statistical") for run in _runs(mine, kind)],
                Counter(
                    f"{row['kind']}, {_REASONS.get(row.get('reason', ''), 'too few rows')}"
                    for row in mine
                    if row["verdict"] == "insufficient_evidence" and row["kind"] != "quality"
                ),
            )
        )  # fmt: skip
    return found


def _newest(snapshots: list[Row]) -> list[Row]:
    newest = {(row["model"], row["date"], row["model_version"]): row for row in snapshots if row["state"] == "closed"}
    return [newest[key] for key in sorted(newest)]


def _weeks(days: list[Row], metric: str) -> list[Week]:
    by_week: dict[date, list[Row]] = defaultdict(list)
    for row in days:
        day = date.fromisoformat(row["date"])
        by_week[day - timedelta(days=day.weekday())].append(row)
    weeks = []
    for monday, rows in sorted(by_week.items()):
        counts = {name: sum(row[name] for row in rows) for name in _COUNTS}
        right, known = _SHARES[metric](counts)
        low, high = wilson(right, known, _Z) if known else (0.0, 1.0)
        versions = tuple(sorted({row["model_version"] for row in rows}))
        value = right / known if known else None
        weeks.append(Week(monday, counts["predictions"], counts["outcomes"], value, low, high, versions))
    return weeks


def _runs(events: list[Row], kind: str) -> list[DriftRun]:
    """Runs of checks that found drift, by the day of the check."""
    by_day: dict[str, Row] = {}
    for row in events:
        if row["kind"] == kind and row.get("check") is None:
            by_day[row["as_of"][:10]] = row
    runs: list[list[Row]] = []
    before = False
    for _, row in sorted(by_day.items()):
        drifting = row["verdict"] == "drift"
        if drifting and before:
            runs[-1].append(row)
        elif drifting:
            runs.append([row])
        before = drifting
    ranks = {name: rank for rank, name in enumerate(("LOW", "MEDIUM", "HIGH", "CRITICAL"))}
    return [
        DriftRun(
            kind, rows[0]["as_of"][:10], rows[-1]["as_of"][:10], len(rows),
            max(rows, key=lambda row: (ranks.get(row.get("severity", ""), 0), row["statistic"] or 0)),
        )
        for rows in runs
    ]  # fmt: skip
