"""How often each rule was right, by what people said of its alerts. Pure.

An alert counts for every check that raised it. Shares are given with Wilson's 95 % interval: verdicts are few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from stream_app.core.comparisons.proportions import wilson

#: Days of alerts that count, by their opening: as long as their topic keeps them.
DAYS: Final = 90
#: Verdicts from which on a rule that is wrong more often than right is advised about.
ENOUGH: Final = 20
#: Share below which it is.
HALF: Final = 0.5
_Z: Final = 1.959964

#: Rule → the setting that decides how easily it alerts, and which way to turn it.
SETTING: Final = {
    "statistical": ("ks_high_bound", "raise"),
    "performance": ("drop_high_points", "raise"),
    "hourly": ("false_alert_budget", "lower"),
    "handover": ("probation_drop_points", "raise"),
    "completeness": ("min_coverage", "lower"),
}


def brief(alert: dict[str, Any]) -> dict[str, Any] | None:
    """What counts of an alert's newest revision; ``None`` without a verdict."""
    if "verdict" not in alert:
        return None
    names = ("model_type", "opened_at", "raised_by")
    return {**{name: alert[name] for name in names}, "verdict": alert["verdict"]["verdict"]}


def measured(
    verdicts: Iterable[dict[str, Any]], since: str = "", model_type: str | None = None
) -> list[dict[str, Any]]:
    """Rules by model type: verdicts, share of real ones, interval, advice. ``since``: of alerts opened later."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for known in verdicts:
        if known["opened_at"] >= since and model_type in (None, known["model_type"]):
            counts.update((rule, known["model_type"], known["verdict"]) for rule in known["raised_by"])
    return [
        _row(rule, of, counts[rule, of, "real"], counts[rule, of, "false"])
        for of, rule in sorted({(of, rule) for rule, of, _ in counts})
    ]


def _row(rule: str, model_type: str, real: int, false: int) -> dict[str, Any]:
    lower, upper = wilson(real, real + false, _Z)
    share = real / (real + false)
    row = {
        "rule": rule, "model_type": model_type, "real": real, "false": false, "precision": share, "lower": lower,
        "upper": upper,
    }  # fmt: skip
    if share < HALF and real + false >= ENOUGH and rule in SETTING:
        setting, way = SETTING[rule]
        row["advice"] = (
            f"{false} of {real + false} alerts were false: {way} `{setting}` of {model_type}; the preview of the "
            "settings page shows what that would have changed"
        )
    return row
