"""What one record changes: commands for Redis and the fold of its model. Pure; the projector runs the commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import orjson

from schemas.common import parse_ms
from stream_app.projection import fold, points, precision
from stream_app.projection.keys import (
    AUDIT_TAIL,
    EVIDENCE_TAIL,
    GONE_S,
    KEPT_DAYS,
    MODEL_AUDIT_TAIL,
    MODEL_TAIL,
    OUTCOME_S,
    Keys,
)

Command = tuple[Any, ...]

#: Days dropped at once at most: more than any topic holds of a model in one batch.
_LONGEST = 1_000


class RedisBatch:
    """Records of one transaction: take them, then run :attr:`commands` together."""

    def __init__(self, keys: Keys, metric_of: Callable[[str], str], states: dict[str, fold.State]) -> None:
        """``states``: the known ones of every model that the records are of."""
        self.keys = keys
        self.commands: list[Command] = []
        #: key of snapshots → fields that this batch put
        self._put: dict[str, set[str]] = {}
        #: (topic, model, record) that live views are told of
        self.changes: list[tuple[str, str, bytes]] = []
        self.states = states
        #: models whose fleet entry changed
        self.touched: set[str] = set()
        #: model → (its newest day before, and now) where that moved on
        self.advanced: dict[str, tuple[str, str]] = {}
        #: ``model|key`` → time of the setting that is known
        self.settings: dict[str, str] = {}
        #: models that were forgotten, and those that this batch forgets
        self.gone: set[str] = set()
        self.forgotten: set[str] = set()
        self._metric_of = metric_of
        self._offset = 0

    def take(self, kind: str, row: dict[str, Any], value: bytes, offset: int) -> None:
        """One record of a topic family (``alerts``, ``metric-snapshots``, …), decoded and as it came."""
        self._offset = offset
        if row["model"] in self.gone:
            if kind == "model-lifecycle":
                self.gone.discard(row["model"])
                self.forgotten.discard(row["model"])
                self.run("DEL", self.keys.gone(row["model"]))
            elif kind not in (
                "audit",
                "command-outcomes",
            ):  # alerts are resolved and jobs cancelled after the model is gone
                if kind != "metric-snapshots":
                    self.tell(kind, row, value)
                return
        _TAKES[kind](self, row, value)

    def forget(self, model: str) -> None:
        """A model is gone: nothing of it is kept but what the audit of the installation says."""
        self.gone.add(model)
        self.forgotten.add(model)
        self.states.pop(model, None)
        self.advanced.pop(model, None)
        self.touched.add(model)
        self.run("HDEL", self.keys.fleet, model)
        self.run("DEL", *self.keys.of_model(model))
        self.run("SET", self.keys.gone(model), 1, "EX", GONE_S)

    def tell(self, kind: str, row: dict[str, Any], value: bytes) -> None:
        """Let live views know."""
        self.changes.append((kind, row["model"], value))

    def state(self, row: dict[str, Any]) -> fold.State:
        """The model's state, which is about to change."""
        model = row["model"]
        known = self.states.get(model)
        if known is None:
            known = fold.State(model, row["model_type"], row["tenant_id"], self._metric_of(model))
            self.states[model] = known
        self.touched.add(model)
        return known

    def run(self, *command: Any) -> None:
        """Add a command."""
        self.commands.append(command)

    def tail(self, key: str, at: str, value: bytes, kept: int) -> None:
        """Add to a sorted set that keeps its newest; records of one tick stay in the log's order."""
        self.run("ZADD", key, parse_ms(at) + (self._offset % 4096) / 4096, value)
        self.run("ZREMRANGEBYRANK", key, 0, -(kept + 1))

    def snapshot(self, key: str, row: dict[str, Any], value: bytes) -> None:
        """Put a snapshot under its day and version."""
        field = f"{row['date']}|{row['model_version']}"
        self.run("HSET", key, field, value)
        self.run("ZADD", self.keys.in_order(key), 0, field)
        self._put.setdefault(key, set()).add(field)

    def drop(self, key: str, before: str) -> None:
        """Drop what this batch put of snapshots before a day; what stands in Redis the projector looks for."""
        gone = sorted(field for field in self._put.get(key, ()) if field < before)
        if gone:
            self.run("HDEL", key, *gone)
            self.run("ZREM", self.keys.in_order(key), *gone)

    def finish(self) -> None:
        """Commands that write the fleet entries and forget points beyond the days that are kept."""
        entries = [
            item
            for model in sorted(self.touched)
            if model in self.states
            for item in (model, fold.encode(self.states[model]))
        ]
        if entries:
            self.run("HSET", self.keys.fleet, *entries)
        for model, (before, now) in sorted(self.advanced.items()):
            self.drop(self.keys.days(model), first_kept(now))
            self.drop(self.keys.open(model), f"{now}~")
            days = outlived(before, now)
            if not days:
                continue
            kinds = ("statistical", "performance")
            self.run("HDEL", self.keys.points(model), *(f"{kind}|{day}" for day in days for kind in kinds))


def outlived(before: str, now: str) -> list[str]:
    """Days that fall out of what is kept when a model's newest day moves on."""
    end = date.fromisoformat(now) - timedelta(days=KEPT_DAYS)
    first = max(date.fromisoformat(before) - timedelta(days=KEPT_DAYS), end - timedelta(days=_LONGEST))
    return [(first + timedelta(days=n)).isoformat() for n in range((end - first).days)]


def first_kept(newest: str) -> str:
    """The oldest day that is kept of a model whose newest closed day is ``newest``."""
    return (date.fromisoformat(newest) - timedelta(days=KEPT_DAYS)).isoformat()


def cutoff_ms(now: str) -> int:
    """Before it a model's events and resolved alerts are forgotten, once its newest day is ``now``."""
    return parse_ms(f"{first_kept(now)}T00:00:00Z")


def _snapshot(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    model = row["model"]
    state = batch.state(row)
    if row["state"] == "open":
        if fold.open_day(state, row):
            batch.tell("metric-snapshots", row, value)
            batch.snapshot(batch.keys.open(model), row, value)
        return  # or it came again, and its day is over
    before = state.newest
    if not fold.snapshot(state, row):
        return  # it came again, and what is known is newer
    batch.tell("metric-snapshots", row, value)
    if state.newest != before:
        batch.advanced[model] = (batch.advanced.get(model, (before or row["date"], ""))[0], state.newest)
    batch.snapshot(batch.keys.days(model), row, value)


def _event(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    keys, model, check = batch.keys, row["model"], row.get("check")
    if fold.event(batch.state(row), row):
        batch.run("HSET", keys.model(model), f"event:{row['kind']}" + (f":{check}" if check else ""), value)
    if row["kind"] != "quality" and check is None:
        point = points.encode(points.point_of(row))
        batch.run("HSET", keys.points(model), f"{row['kind']}|{row['as_of'][:10]}", point)
    if "revises" in row:
        batch.run("ZREM", keys.events, row["revises"])
        batch.run("ZREM", keys.model_events(model), row["revises"])
    if row["verdict"] == "drift":
        close = parse_ms(row["as_of"])
        batch.run("HSET", keys.event, row["id"], value)
        batch.run("ZADD", keys.events, close, row["id"])
        batch.run("ZADD", keys.model_events(model), close, row["id"])
        batch.tell("drift-events", row, value)


def _evidence(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    key, hour = batch.keys.evidence(row["model"]), parse_ms(row["as_of"])
    batch.run("ZADD", key, hour, value)
    batch.run("ZREMRANGEBYRANK", key, 0, -(EVIDENCE_TAIL + 1))
    batch.tell("hourly-evidence", row, value)


def _alert(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    keys, opened = batch.keys, parse_ms(row["opened_at"])
    batch.run("HSET", keys.revisions(row["id"]), str(row["revision"]), value)
    if not fold.alert(batch.state(row), row):
        return  # it came again, and what is known is newer
    batch.run("HSET", keys.alert, row["id"], value)
    known = precision.brief(row)
    if known is not None:
        batch.run("HSET", keys.verdicts, row["id"], orjson.dumps(known))
    batch.run("ZADD", keys.alerts, opened, row["id"])
    batch.run("ZADD", keys.model_alerts(row["model"]), opened, row["id"])
    batch.tell("alerts", row, value)


def _job(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    if fold.job(batch.state(row), row):
        batch.run("HSET", batch.keys.model(row["model"]), "job", value)
    batch.tail(batch.keys.jobs(row["model"]), row["at"], value, MODEL_TAIL)
    batch.tell("training-jobs", row, value)


def _command(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    batch.tail(batch.keys.commands(row["model"]), row["at"], value, MODEL_TAIL)
    batch.tell("training-commands", row, value)


def _lifecycle(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    fold.lifecycle(batch.state(row), row)
    batch.tail(batch.keys.versions(row["model"]), row["since"], value, MODEL_TAIL)
    batch.tell("model-lifecycle", row, value)


def _audit(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    if "count" in row and row["model"] not in batch.gone:
        news, before = fold.repeated(batch.state(row), row, value)
        if not news:
            return
        if before is not None and before != value:
            batch.run("ZREM", batch.keys.audit, before)
            batch.run("ZREM", batch.keys.model_audit(row["model"]), before)
    batch.tail(batch.keys.audit, row["at"], value, AUDIT_TAIL)
    if row["model"] != "*" and row["model"] not in batch.gone:
        batch.tail(batch.keys.model_audit(row["model"]), row["at"], value, MODEL_AUDIT_TAIL)
    batch.tell("audit", row, value)


def _outcome(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    keys, id = batch.keys, row["command_id"]
    batch.run("HSET", keys.outcome(id), str(row["partition"]), value)
    batch.run("EXPIRE", keys.outcome(id), OUTCOME_S)
    if "mutes" in row:
        scope = row.get("mutes_of", row["model"])
        batch.run("HSET", keys.mutes, f"{scope}|{row['partition']}", orjson.dumps([row["at"], row["mutes"]]))
    batch.tell("command-outcomes", row, value)


def _setting(batch: RedisBatch, row: dict[str, Any], value: bytes) -> None:
    name = f"{row['model']}|{row['key']}"
    if batch.settings.get(name, "") > row["at"]:
        return  # it came again, and what is known is newer
    batch.settings[name] = row["at"]
    batch.run("HSET", batch.keys.settings, name, value)
    batch.tell("settings", row, value)


_TAKES: dict[str, Callable[[RedisBatch, dict[str, Any], bytes], None]] = {
    "metric-snapshots": _snapshot,
    "drift-events": _event,
    "hourly-evidence": _evidence,
    "alerts": _alert,
    "training-jobs": _job,
    "training-commands": _command,
    "model-lifecycle": _lifecycle,
    "audit": _audit,
    "settings": _setting,
    "command-outcomes": _outcome,
}

#: Families that the read model is made of.
KINDS = tuple(_TAKES)
