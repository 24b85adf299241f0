"""Alerts in plain words, made from the facts of the events and nothing else."""

from __future__ import annotations

from datetime import date as calendar
from typing import Any

from schemas.alerts import AutoRetrain

Finding = dict[str, Any]

_NAMES = {"pr_auc": "PR-AUC", "precision_at_80_recall": "precision at 80 % recall", "f1": "F1"}


def short(event: Finding) -> Finding:
    """An event without its histograms, for memory and report."""
    keep = (
        "id", "kind", "check", "close", "model_version", "baseline_kind", "verdict", "rule_verdict", "severity",
        "statistic", "p_value", "metric", "reason",
    )  # fmt: skip
    found = {name: event[name] for name in keep if event.get(name) is not None}
    found["windows"] = [{k: v for k, v in w.items() if k != "histograms"} for w in event["windows"]]
    return found


def summary(line: str, latest: dict[str, Finding], quality: dict[str, Finding], faults: list[str]) -> str:
    """What happened, worst first."""
    parts = []
    performance, statistical = latest.get("performance"), latest.get("statistical")
    drop = performance is not None and performance["verdict"] == "drift"
    shift = statistical is not None and statistical["verdict"] == "drift"
    if drop and performance is not None:
        parts.append(_performance(performance))
    if shift and statistical is not None:
        parts.append(("scores shifted too, " if drop else "scores shifted, ") + _distance(statistical))
    elif drop and statistical is not None and statistical["verdict"] == "no_drift":
        parts.append(f"scores did not shift, {_distance(statistical)}")
    if shift and not drop and performance is not None:
        parts.append(
            "no metric is worse so far" if performance["verdict"] == "no_drift" else "too few outcomes to judge metrics"
        )
    parts += [_quality(quality[check]) for check in sorted(quality) if check not in ("completeness", "volume")]
    if faults:
        parts.append("the data is broken as well: " + ", ".join(faults))
    return f"{line}: {'; '.join(parts)}"[:4_000]


def incomplete(line: str, finding: Finding, faults: list[str]) -> str:
    """What happened, where outcomes are missing."""
    window = finding["windows"][0]
    rows = window.get("recent_rows", 0)
    return (
        f"{line}: {'; '.join(faults) or 'outcomes missing'}; of the {rows:,} predictions of {window['from'][:10]} "
        f"{100 * (window['recent'] or 0):.0f} % have their outcome"
    )


def recommendation(latest: dict[str, Finding], faults: list[str], auto: AutoRetrain) -> str:
    """The next step."""
    if faults:
        return (
            "Mend the data first: what looks like a worse model may be what is missing from its outcomes. Nothing is "
            "retrained while the data is broken."
        )
    performance = latest.get("performance")
    if performance is not None and performance["verdict"] == "drift":
        step = (
            f"Look for what changed around {performance['since']}: upstream data, the population, the meaning of the "
            "label."
        )
    else:
        step = "Look at the inputs first: scores move when features do. Outcomes will show whether it matters."
    if auto.eligible:
        return f"{step} A retraining is ordered."
    refused = [guard.reason for guard in auto.safeguards if not guard.passed]
    why = f" ({refused[0]})" if refused else ""
    return (
        f"{step} Nothing is retrained by itself{why}; if the change is real, retrain on data from then on, or accept "
        "the present as normal with a rebaseline."
    )


def decisive(finding: Finding) -> Finding | None:
    """The window that a performance finding's statistic is of."""
    metric, drop = finding.get("metric"), finding.get("statistic") or 0.0
    for window in finding["windows"]:
        known = window.get("metric") == metric and None not in (window["recent"], window["baseline"])
        if known and abs(100 * (window["baseline"] - window["recent"]) - drop) < 1e-6:
            return dict(window)
    return None


def days(window: Finding) -> str:
    """``7 days``, or the day itself."""
    first, last = window["from"][:10], window["to"][:10]
    count = _day(last) - _day(first)
    return f"over {count} days" if count != 1 else f"on {first}"


def _performance(finding: Finding) -> str:
    window = decisive(finding)
    if window is None:
        return "performance dropped"
    name = _NAMES.get(window["metric"], window["metric"])
    text = f"{name} {window['baseline']:.2f} → {window['recent']:.2f} {days(window)}"
    rows = window.get("recent_rows", 0)
    what = "positives" if window["metric"] in ("recall", "pr_auc", "precision_at_80_recall") else "outcomes"
    text += f" on {rows:,} {what}"
    if window["interval"] is not None:
        low, high = window["interval"]
        text += f", 99 % interval of the drop {100 * low:.1f} to {100 * high:.1f} points"
    return text


def _distance(finding: Finding) -> str:
    for window in finding["windows"]:
        if window.get("statistic") == finding.get("statistic") and window.get("statistic") is not None:
            return f"D = {window['statistic']:.2f} {days(window)} on {window.get('recent_rows', 0):,} predictions"
    return "too few of them to compare"


def _quality(finding: Finding) -> str:
    window = finding["windows"][0]
    check = finding["check"].replace("_", " ")
    scale = 100 if finding["check"] in ("positive_rate", "narrow_share") else 1
    unit = " %" if scale == 100 else ""
    return f"{check} {scale * window['baseline']:.3g} → {scale * window['recent']:.3g}{unit}"


def _day(date: str) -> int:
    return calendar.fromisoformat(date).toordinal()
