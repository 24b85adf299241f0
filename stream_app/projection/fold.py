"""What the fleet page shows of a model, folded from records as they come. Pure: nothing is read or written here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from schemas.drift import RANK
from stream_app.core.kit.codec import Codec
from stream_app.projection import heat, shown
from stream_app.projection.versions import DAYS, see, traffic

FORMAT: Final = 5

#: Days of the fleet's trend, and of the metric beside it.
TREND_DAYS, METRIC_DAYS = 30, 7
#: Versions of a day that count in what the fleet shows: those with most predictions, and the active one.
DAY_VERSIONS: Final = 50
#: Alerts of a model whose newest revision is remembered; few are open at a time, and what comes again is near.
KEPT_REVISIONS: Final = 50
#: Audit records of a model that may come again; of each kind of drift the last one can.
KEPT_REPEATED: Final = 8
#: Two-sided 95 % for what is shown beside a metric; nothing is decided by it.
_Z: Final = 1.959964

#: What a job in each of these states adds to the attention a model needs, and the word for it; a failure has its own.
_JOBS: Final = {
    "awaiting_approval": (300, "waits for approval"),
    "halted": (260, "retraining halted"),
    "rolling_back": (180, "rolling back"),
    "probation": (60, "on probation"),
    "activating": (40, "activating"),
    "repairing": (40, "repairing"),
    "validating": (40, "validating"),
    "training": (40, "training"),
    "requested": (40, "training requested"),
}
#: Metrics that the counts of a day give by themselves.
_COUNTED: Final = ("accuracy", "precision", "recall", "f1")
#: What failed, by the command that came to nothing.
_FAILED: Final = {"train": "training failed", "activate": "activation failed", "rollback": "rollback failed"}


class Day(msgspec.Struct, array_like=True):
    """One version's closed day: revision, predictions, outcomes, confusion counts, the metric as published."""

    version: str
    revision: int
    predictions: int
    outcomes: int
    tp: int
    fp: int
    tn: int
    fn: int
    value: float | None


class OpenDay(msgspec.Struct, array_like=True):
    """One version's day that has not closed yet."""

    date: str
    predictions: int
    outcomes: int


class State(msgspec.Struct):
    """A model in the fleet."""

    model: str
    model_type: str
    tenant_id: str
    metric: str
    version: dict[str, Any] | None = None
    #: date → its versions, at most 30 dates and :data:`DAY_VERSIONS` of each
    days: dict[str, list[Day]] = {}
    newest: str = ""
    #: version → its day that has not closed yet, at most :data:`DAY_VERSIONS`
    open: dict[str, OpenDay] = {}
    #: version → newest day, open or closed, on which it predicted (:mod:`~stream_app.projection.versions`)
    seen: dict[str, str] = {}
    statistical: dict[str, Any] | None = None
    performance: dict[str, Any] | None = None
    #: quality check → its latest close and verdict
    quality: dict[str, dict[str, Any]] = {}
    #: open alerts by id
    alerts: dict[str, dict[str, Any]] = {}
    #: the newest revision of each alert that was taken, at most 50 alerts, the latest last
    revisions: dict[str, int] = {}
    job: dict[str, Any] | None = None
    #: audit records that may come again with a higher count: id → the newest, as it came; at most 8, the latest last
    repeated: dict[str, bytes] = {}
    #: date of a daily check → what it said (:mod:`~stream_app.projection.heat`), at most 30 dates
    heat: dict[str, str] = {}


_codec: Final = Codec[State](State, FORMAT, "model of the read model")
encode, decode = _codec.encode, _codec.decode


def snapshot(state: State, row: dict[str, Any]) -> bool:
    """Take a closed day; ``False`` if a later revision is known already, and nothing changes."""
    versions = state.days.setdefault(row["date"], [])
    known = next((n for n, day in enumerate(versions) if day.version == row["model_version"]), None)
    if known is not None and versions[known].revision > row["revision"]:
        return False
    so_far = state.open.get(row["model_version"])
    if so_far is not None and so_far.date <= row["date"]:
        del state.open[row["model_version"]]
    counts = (row["true_positives"], row["false_positives"], row["true_negatives"], row["false_negatives"])
    day = Day(
        row["model_version"],
        row["revision"],
        row["predictions"],
        row["outcomes"],
        *counts,
        row.get(state.metric),
    )
    if known is None:
        versions.append(day)
        if len(versions) > DAY_VERSIONS:
            active = state.version["active_version"] if state.version else None
            versions.remove(min(versions, key=lambda day: (day.version == active, day.predictions)))
    else:
        versions[known] = day
    _predicted(state, row)
    state.newest = max(state.newest, row["date"])
    for old in sorted(state.days)[:-TREND_DAYS]:
        del state.days[old]
    return True


def open_day(state: State, row: dict[str, Any]) -> bool:
    """Take a day so far; ``False`` if it has closed already."""
    version, date = row["model_version"], row["date"]
    if any(day.version == version for day in state.days.get(date, ())):
        return False
    state.open[version] = OpenDay(date, row["predictions"], row["outcomes"])
    if len(state.open) > DAY_VERSIONS:
        active = state.version["active_version"] if state.version else None
        del state.open[min(state.open, key=lambda known: (known == active, state.open[known].predictions))]
    _predicted(state, row)
    return True


def _predicted(state: State, row: dict[str, Any]) -> None:
    """Note that a version predicted on the day of a snapshot, open or closed."""
    if row["predictions"]:
        active = state.version["active_version"] if state.version else None
        see(state.seen, row["model_version"], row["date"], active)


def event(state: State, row: dict[str, Any]) -> bool:
    """Take a drift event; ``False`` if a later close of its check is known already."""
    heat.note(state.heat, row)
    brief = {"verdict": row["verdict"], "severity": row.get("severity"), "as_of": row["as_of"]}
    if row["kind"] == "performance" and row.get("windows"):
        first = row["windows"][0]
        brief |= {"from": first["from"][:10], "to": first["to"][:10]}
        brief["baselines"] = shown.baselines(row["windows"])
    if row["kind"] == "quality":
        known, name = state.quality.get(row["check"]), row["check"]
        if known is not None and known["as_of"] > row["as_of"]:
            return False
        state.quality[name] = brief
        return True
    if row.get("check") in ("handover", "hourly"):
        return True
    known = getattr(state, row["kind"])
    if known is not None and known["as_of"] > row["as_of"]:
        return False
    setattr(state, row["kind"], brief)
    return True


def alert(state: State, row: dict[str, Any]) -> bool:
    """Take a revision of an alert; ``False`` if a later one is known already, even of an alert that is over."""
    id, revision = row["id"], row["revision"]
    if state.revisions.get(id, 0) > revision:
        return False
    state.revisions.pop(id, None)
    state.revisions[id] = revision
    while len(state.revisions) > KEPT_REVISIONS:
        del state.revisions[next(iter(state.revisions))]
    if row["status"] == "resolved":
        state.alerts.pop(id, None)
        return True
    names = ("id", "type", "severity", "status", "opened_at", "summary", "escalation_level")
    state.alerts[id] = {
        **{name: row[name] for name in names},
        "acknowledged_by": row.get("acknowledged_by"),
        "metric": shown.metric_of_alert(row),
        "muted_until": row.get("muted_until"),
        "owner": row.get("owner"),
    }
    return True


def job(state: State, row: dict[str, Any]) -> bool:
    """Take a state of the model's job; ``False`` if one that began later is known."""
    if state.job is not None and state.job["since"] > row["since"]:
        return False
    names = ("state", "since", "candidate_version", "circuit", "command_id", "attempt")
    state.job = {**{name: row[name] for name in names}, "failure": row.get("failure")}
    return True


def repeated(state: State, row: dict[str, Any], value: bytes) -> tuple[bool, bytes | None]:
    """Take an audit record with a count: whether it is news, and the record of the same fact whose place it takes."""
    before = state.repeated.get(row["id"])
    if before is not None and msgspec.json.decode(before)["count"] > row["count"]:
        return False, None
    state.repeated.pop(row["id"], None)
    state.repeated[row["id"]] = value
    while len(state.repeated) > KEPT_REPEATED:
        del state.repeated[next(iter(state.repeated))]
    return True, before


def lifecycle(state: State, row: dict[str, Any]) -> None:
    """Take a change of the active version; an earlier one than the known changes nothing."""
    if state.version is not None and state.version["since"] > row["since"]:
        return
    state.version = {name: row[name] for name in ("active_version", "previous_version", "how", "since")}


def fleet_model(state: State) -> dict[str, Any]:
    """The model as the API shows it."""
    dates = sorted(state.days)
    newest = state.days[dates[-1]] if dates else []
    predictions, outcomes = sum(d.predictions for d in newest), sum(d.outcomes for d in newest)
    attention, reasons = _attention(state)
    version = state.version or {}
    active, metric = version.get("active_version"), _metric(state, dates, state.metric)
    trend = _trend(state, dates, state.metric)
    made = {day: [(d.version, d.predictions) for d in state.days[day]] for day in dates[-DAYS:]}
    quality = [(brief["as_of"], brief["verdict"]) for brief in state.quality.values()]
    return {
        "model": state.model,
        "model_type": state.model_type,
        "tenant_id": state.tenant_id,
        "active_version": active,
        "since": version.get("since"),
        "how": version.get("how"),
        "date": dates[-1] if dates else None,
        "predictions": predictions,
        "coverage": outcomes / predictions if predictions else None,
        "so_far": _so_far(state),
        "metric": metric,
        "traffic": traffic(active, metric["version"], made, state.seen),
        "trend": trend,
        "shown": _shown(state, dates, metric, trend),
        "heat": heat.strip(state.heat),
        "drift": {
            "statistical": state.statistical,
            "performance": state.performance,
            "quality": sorted(name for name, brief in state.quality.items() if brief["verdict"] == "drift"),
            # a check that had insufficient data was made, and has judged nothing
            "quality_as_of": max((at for at, verdict in quality if verdict != "insufficient_evidence"), default=None),
            "quality_checked": max((at for at, _ in quality), default=None),
        },
        "standing": _standing(state, dates),
        "alert": worst(state.alerts.values()),
        "alerts": len(state.alerts),
        "job": state.job,
        "attention": attention,
        "reasons": reasons,
    }


def _so_far(state: State) -> list[dict[str, Any]]:
    """Days that have not closed yet, over all versions; two between midnight and the close of 02:00."""
    days: dict[str, list[int]] = {}
    for day in state.open.values():
        counts = days.setdefault(day.date, [0, 0])
        counts[0] += day.predictions
        counts[1] += day.outcomes
    return [{"date": date, "predictions": made, "outcomes": known} for date, (made, known) in sorted(days.items())]


def _standing(state: State, dates: Sequence[str]) -> str:
    """What the newest performance check could do: ``judged``, ``too_little_data``, ``without_labels``, or none came."""
    check = state.performance
    if check is None:
        return "not_yet_judged"
    if check["verdict"] != "insufficient_evidence":
        return "judged"
    if "from" in check:
        first, end = check["from"], check["to"]
    else:  # nothing to compare with: the days that most labels are there for
        first, end = (dates[-METRIC_DAYS - 1 :][0], dates[-1]) if dates else ("", "")
    found = [d for day in dates if first <= day < end for d in state.days[day]]
    labels = sum(d.outcomes for d in found)
    return "without_labels" if not labels and any(d.predictions for d in found) else "too_little_data"


def worst(alerts: Any) -> dict[str, Any] | None:
    """The most severe open alert, the oldest among equals."""
    found = sorted(alerts, key=lambda a: (-RANK[a["severity"]], a["opened_at"], a["id"]))
    return found[0] if found else None


def _shown(state: State, dates: Sequence[str], metric: dict[str, Any], trend: list[float | None]) -> dict[str, Any]:
    """The metric that the worst open alert is about, as far as it can be told from counts, and else the model's first,
    of which ``metric`` and ``trend`` are known: the last seven days, each of thirty, and the baseline that the newest
    check used."""
    alert = worst(state.alerts.values())
    about = None if alert is None else alert["metric"]
    name = about if about in _COUNTED else state.metric
    baseline = ((state.performance or {}).get("baselines") or {}).get(name)
    if name != state.metric:
        metric, trend = _metric(state, dates, name), _trend(state, dates, name)
    return {**metric, "baseline": baseline, "trend": trend}


def _trend(state: State, dates: Sequence[str], metric: str) -> list[float | None]:
    """The metric of each calendar day up to the newest; over all versions of the day, weighted by their rows."""
    if not dates:
        return []
    last = date.fromisoformat(dates[-1])
    first = max(date.fromisoformat(dates[0]), last - timedelta(days=TREND_DAYS - 1))
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [_pooled(metric, state.days.get(day, []))[0] for day in days]


def _metric(state: State, dates: Sequence[str], metric: str) -> dict[str, Any]:
    """The active version's metric over the last seven closed days that are a day old, when most labels are there.

    Where it has no outcomes of them, that of all versions, and ``version`` is ``None``.
    """
    active = state.version["active_version"] if state.version else None
    out: dict[str, Any] = {"name": metric, "version": active, "days": METRIC_DAYS}
    out |= {"value": None, "low": None, "high": None}
    if not dates:
        return out
    end = date.fromisoformat(dates[-1])
    chosen = [day for day in dates if end - timedelta(days=METRIC_DAYS) <= date.fromisoformat(day) < end] or dates[-1:]
    found = [d for day in chosen for d in state.days[day]]
    own = [d for d in found if d.version == active and d.outcomes]
    value, rows = _pooled(metric, own or found)
    low, high = _wilson(value, rows) if value is not None and rows else (None, None)
    return {**out, "version": active if own else None, "value": value, "low": low, "high": high}


def _pooled(metric: str, days: Sequence[Day]) -> tuple[float | None, int]:
    """Value over several days, and the rows in its denominator; 0 rows where there is no simple one."""
    tp, fp = sum(d.tp for d in days), sum(d.fp for d in days)
    tn, fn = sum(d.tn for d in days), sum(d.fn for d in days)
    known = {
        "accuracy": (tp + tn, tp + fp + tn + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    if metric in known:
        top, bottom = known[metric]
        return (top / bottom if bottom else None), (0 if metric == "f1" else bottom)
    weighted = [(d.value, d.outcomes) for d in days if d.value is not None and d.outcomes]
    rows = sum(n for _, n in weighted)
    return (sum(v * n for v, n in weighted) / rows if rows else None), 0


def _wilson(value: float, rows: int) -> tuple[float, float]:
    """Limits of a share (Wilson 1927, without continuity correction)."""
    z2 = _Z * _Z
    middle = (value + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z / (1 + z2 / rows) * math.sqrt(value * (1 - value) / rows + z2 / (4 * rows * rows))
    return max(0.0, middle - half), min(1.0, middle + half)


def _attention(state: State) -> tuple[int, list[str]]:
    """How much a model needs people, and why, most pressing first. Only orders the fleet page."""
    found: list[tuple[int, str]] = []
    alert = worst(state.alerts.values())
    if alert is not None:
        weight = {"MEDIUM": 400, "HIGH": 600, "CRITICAL": 900}[alert["severity"]]
        taken = alert["acknowledged_by"] is not None
        word = f"{alert['severity']} alert" + (" taken" if taken else "")
        found.append((weight // 2 if taken else weight + 50 * alert["escalation_level"], word))
    if state.job is not None:
        failure = state.job.get("failure")
        if failure is not None:
            found.append((200, _FAILED[failure["command"]]))
        if state.job["state"] in _JOBS:
            found.append(_JOBS[state.job["state"]])
        if state.job["circuit"] == "open":
            found.append((250, "circuit open"))
    for kind in ("performance", "statistical"):
        brief = getattr(state, kind)
        if brief is not None and brief["verdict"] == "drift":
            found.append((30 * RANK.get(brief["severity"], 1), f"{brief['severity']} {kind} drift"))
    for name, brief in sorted(state.quality.items()):
        if brief["verdict"] == "drift":
            found.append((20, f"{brief['severity']} {name.replace('_', ' ')} drift"))
    found.sort(key=lambda item: -item[0])
    return sum(weight for weight, _ in found), [word for _, word in found]
