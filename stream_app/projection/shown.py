"""Which metric the first page shows of a model, and beside what: read off its alerts and comparisons. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def metric_of_alert(row: dict[str, Any]) -> str | None:
    """The metric that an alert is about; ``None`` for one about scores or outcomes."""
    report = row.get("report") or {}
    last = report.get("last_drift") or {}
    for finding in (report.get("performance"), report.get("hourly_performance"), last.get("performance")):
        if finding is not None and finding.get("verdict") == "drift":
            metric: str | None = finding.get("metric")
            return metric
    return None


def baselines(windows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Metric → its baseline in the longer window of a comparison, which is the first; not in that of the last day."""
    return {w["metric"]: w["baseline"] for w in windows if "metric" in w and w["from"] == windows[0]["from"]}
