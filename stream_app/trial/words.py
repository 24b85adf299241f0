"""What was found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from stream_app.trial.findings import DriftRun, ModelFindings, Week
from stream_app.trial.shares import percent

Row = dict[str, Any]


def story(found: ModelFindings) -> Iterator[str]:
    """A model's findings, a line each."""
    yield f"{found.model}: {found.predictions:,} predictions, {_labels(found)}"
    yield from (f"  {line}" for line in versions(found))
    yield ""
    yield f"  {found.metric} by week, with its 95 % interval"
    yield from (f"  {_week(week)}" for week in found.weeks)
    yield ""
    yield from (f"  {line}" for line in drift(found))
    yield from (f"  {line}" for line in lacks(found))


def _labels(found: ModelFindings) -> str:
    if not found.outcomes:
        return "and no outcome of any: scores alone were compared"
    return f"outcomes of {percent(found.outcomes, found.predictions)} of them"


def versions(found: ModelFindings) -> list[str]:
    """Which version was active, and since when."""
    lines = []
    for row in found.versions:
        since = str(row["since"])[:16].replace("T", " ")
        if row.get("previous_version"):
            lines.append(f"Version {row['active_version']} took over from {row['previous_version']} on {since} UTC.")
        else:
            lines.append(f"Version {row['active_version']} is active from {since} UTC on.")
    return lines or ["No version became active: a version shows once a day of it is closed."]


def _week(week: Week) -> str:
    head = f"{week.monday.isoformat()}  {week.predictions:>9,} predictions  "
    if week.value is None:
        return f"{head}no outcome"
    return f"{head}{week.value:.3f}  ({week.low:.3f} to {week.high:.3f})  {', '.join(week.versions)}"


def drift(found: ModelFindings) -> list[str]:
    """What was found when, and how sure it is."""
    lines = [f"Alert, {row['severity']}, opened {row['opened_at'][:10]}: {row['summary']}." for row in found.alerts]
    lines += [run_in_words(run) for run in found.runs]
    return lines or ["No drift was found, neither in scores nor in metrics."]


def run_in_words(run: DriftRun) -> str:
    """A run of drift: its days, its worst one, and the bound that its verdict stands on."""
    what = "Performance" if run.kind == "performance" else "Scores"
    when = f"on {_day(run.first)}" if run.first == run.last else f"from {_day(run.first)} to {_day(run.last)}"
    checks = f"{run.days} check{'' if run.days == 1 else 's'}"
    return f"{what} drifted {when} ({checks}), at worst {run.worst.get('severity')}: {_certainty(run.worst)}."


def _certainty(row: Row) -> str:
    if row["kind"] == "statistical":
        return f"a distance of {row['statistic']:.3f} between recent scores and baseline, p = {row['p_value']:.1g}"
    judged = [
        window
        for window in row["windows"]
        if window.get("interval") and None not in (window["baseline"], window["recent"])
    ]
    if not judged:
        return f"{row['statistic']:.1f} points"
    # the metric and the window that the severity stands on: the event names the one, and the other by its drop
    worst = min(judged, key=lambda window: (window.get("metric") != row.get("metric"), _beside(window, row)))
    low, high = (100 * bound for bound in worst["interval"])
    return (
        f"{worst.get('metric', 'the metric')} {worst['baseline']:.2f} → {worst['recent']:.2f} in the days from "
        f"{worst['from'][:10]}, a drop of {low:.1f} to {high:.1f} points with 99 % certainty on each side"
    )


def _beside(window: Row, row: Row) -> float:
    """Points between a window's drop and the drop that decided."""
    return abs(100 * float(window["baseline"] - window["recent"]) - float(row["statistic"] or 0))


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}"


def lacks(found: ModelFindings) -> list[str]:
    """What could not be judged, and what would cure it."""
    lines = []
    blank = [week for week in found.weeks if week.value is None]
    if blank and found.outcomes:
        lines.append(f"{len(blank)} of {len(found.weeks)} weeks have no outcome to judge by.")
    if found.unjudged:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in found.unjudged.most_common(3))
        lines.append(
            f"{sum(found.unjudged.values())} checks had insufficient data for a verdict: {reasons}. A check compares "
            "7 days with a baseline of at least 7 days before them, and needs 30 rows on both sides."
        )
    return lines
