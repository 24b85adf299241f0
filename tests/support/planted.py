"""Records of the output topics, written manually: what a page, the API and the commands show of them is known."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np

from schemas.common import encode
from schemas.drift import DriftEvent
from schemas.lifecycle import ModelLifecycle
from schemas.settings import Setting
from schemas.snapshots import MetricSnapshot
from stream_app.core.kit.effects import Emit

#: Family of the output topics that each kind of record stands in.
_FAMILIES: dict[type[Any], str] = {
    MetricSnapshot: "metric-snapshots",
    DriftEvent: "drift-events",
    ModelLifecycle: "model-lifecycle",
    Setting: "settings",
}


class Counts(NamedTuple):
    """A day's labelled predictions by what was said and what was so."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0


#: A day without labels.
NONE = Counts()


def days(first: str, number: int) -> list[str]:
    """Consecutive dates."""
    return [(date.fromisoformat(first) + timedelta(days=n)).isoformat() for n in range(number)]


def drawn(seed: int, rows: int, accuracy: float = 0.8) -> Counts:
    """Counts of a labelled day, drawn."""
    rng = np.random.default_rng(seed)
    right, wrong = rng.multinomial(rows, (accuracy, 1 - accuracy))
    tp, fp = int(rng.binomial(right, 0.5)), int(rng.binomial(wrong, 0.5))
    return Counts(tp, fp, int(wrong) - fp, int(right) - tp)


def snapshot(
    model: str, day: str, counts: Counts = NONE, predictions: int = 0, version: str = "v1", **rest: Any
) -> MetricSnapshot:
    """A day of a version; ``predictions``: those without an outcome are the difference to the counts."""
    tp, fp, fn, tn = counts
    outcomes = sum(counts)
    made = max(predictions, outcomes)
    values: dict[str, Any] = {
        **_common(model, f"{date.fromisoformat(day) + timedelta(days=1)}T02:00:00.000Z"),
        "schema": "io.plumbline.metric-snapshot.v1", "model_version": version, "date": day, "state": "closed",
        "revision": 1, "predictions": made, "outcomes": outcomes, "coverage": _share(outcomes, made),
        "true_positives": tp, "false_positives": fp, "false_negatives": fn, "true_negatives": tn,
        "accuracy": _share(tp + tn, outcomes), "precision": _share(tp, tp + fp), "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn), "pr_auc": _share(tp, tp + fp), "precision_at_80_recall": None,
        "brier": None, "avg_ci_width": None, "narrow_interval_pct": None, "calibration_score": None, "intervals": 0,
        "assumed_negatives": 0, "score_mode": "exact",
    }  # fmt: skip
    return MetricSnapshot(**{**values, **rest})


def open_day(model: str, day: str, counts: Counts, predictions: int, version: str = "v1") -> MetricSnapshot:
    """A day that has not closed yet, as it was at noon."""
    at = f"{day}T12:00:00.000Z"
    return snapshot(model, day, counts, predictions, version, state="open", revision=0, at=at)


def event(
    model: str, kind: str, judged: str, value: float, severity: str | None, lag: int = 0, **rest: Any
) -> DriftEvent:
    """A comparison of the seven days up to the judged one. ``value``: D, or the drop in points; ``lag``: days from
    the end of the window to the check; without a severity it found nothing."""
    to = date.fromisoformat(judged) + timedelta(days=1)
    close = f"{to + timedelta(days=lag)}T{'03' if kind == 'statistical' else '04'}:00:00.000Z"
    points = value / 100
    window: dict[str, Any] = {
        "from": f"{to - timedelta(days=7)}T00:00:00.000Z", "to": f"{to}T00:00:00.000Z", "recent": 0.8 - points,
        "baseline": 0.8, "recent_rows": 700, "baseline_rows": 3_000,
    }  # fmt: skip
    if kind == "statistical":
        window |= {"statistic": value, "interval": [max(0.0, value - 0.03), value + 0.03]}
    else:
        window |= {"metric": "accuracy", "interval": [points - 0.02, points + 0.02]}
    values: dict[str, Any] = {
        **_common(model, close), "schema": "io.plumbline.drift-event.v1", "kind": kind, "as_of": close,
        "model_version": "v1", "baseline_version": "v1", "baseline_kind": "window",
        "verdict": "drift" if severity else "no_drift", "rule_verdict": "drift" if severity else "no_drift",
        "statistic": value, "windows": [window], "second_opinion": None, "settings_hash": "0" * 16,
    }  # fmt: skip
    if severity:
        values["severity"] = severity
    return msgspec.convert({**values, **rest}, DriftEvent)


def active(model: str, version: str, since: str, previous: str | None = None) -> ModelLifecycle:
    """A version that became the active one."""
    return ModelLifecycle(
        **_common(model, since), schema="io.plumbline.model-lifecycle.v1", active_version=version,
        previous_version=previous, how="observed", since=since,
    )  # fmt: skip


def setting(model: str, key: str, value: Any, at: str = "2026-03-01T00:00:00.000Z") -> Setting:
    """A setting that an operator changed; ``*`` is all models."""
    return Setting(
        **_common(model, at), schema="io.plumbline.setting.v1", key=key, value=value, actor="olga", reason="planted",
    )  # fmt: skip


def emits(records: Iterable[Any]) -> dict[str, tuple[Emit, ...]]:
    """The records as a stage hands them out, by family, each checked against its schema."""
    found: dict[str, tuple[Emit, ...]] = {}
    for record in records:
        value = encode(record)
        msgspec.json.decode(value, type=type(record))
        family = _FAMILIES[type(record)]
        found[family] = (*found.get(family, ()), Emit(family, None, _key(record), value, []))
    return found


def _key(record: Any) -> bytes:
    match record:
        case MetricSnapshot():
            return f"{record.model}|{record.model_version}|{record.date}".encode()
        case Setting():
            return f"{record.model}|{record.key}".encode()
        case ModelLifecycle():
            return str(record.model).encode()
    return str(record.id).encode()


def _common(model: str, at: str) -> dict[str, str]:
    model_type, _, tenant = model.partition(":") if model != "*" else ("*", "", "*")
    return {"id": str(uuid.uuid4()), "at": at, "model": model, "model_type": model_type, "tenant_id": tenant}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
