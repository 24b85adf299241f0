"""An alerts lane driven manually: entries of the log in, revisions out; cut and restarted at will."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
from msgspec import UNSET

from schemas.alerts import Alert
from schemas.audit import AuditRecord
from schemas.common import rfc3339, uuid5
from schemas.drift import DriftEvent, DriftWindow, Histograms
from stream_app import pipeline
from stream_app.core import model_log
from stream_app.core.alerts import AlertRules, AlertsConfig
from stream_app.core.drift.events import finding
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.kit.effects import Emit
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage.border import read_command
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.kafka.topics import Topics
from stream_app.simulator import DictTable

#: Wednesday 4 March 2026
D = 20_516
MODEL = "conflict:global"
HOURS = {"completeness": 1, "quality": 2, "statistical": 3, "performance": 4}

_wire = msgspec.json.Decoder(Alert)
_audit = msgspec.json.Decoder(AuditRecord)


def at(day: int, hour: float = 4) -> int:
    return day * DAY_MS + round(hour * HOUR_MS)


def event(kind: str, day: int, verdict: str = "no_drift", severity: str | None = None, **rest: Any) -> Any:
    """An entry at the close of ``day``; ``kind`` may be a quality check or ``handover``."""
    check = rest.get("check")
    if kind not in HOURS or kind == "completeness":
        check = kind
    sort = "performance" if kind == "handover" else kind if kind in ("statistical", "performance") else "quality"
    model, close = rest.get("model", MODEL), rest.get("close", at(day, HOURS.get(kind, 2 if sort == "quality" else 5)))
    revises = rest.get("revises")
    id = rest.get("id") or uuid5("drift-event", model, sort, check or "", str(close), "again" if revises else "")
    version = rest.get("version", "v1")
    model_type, _, tenant = model.partition(":")
    record = DriftEvent(
        schema="io.plumbline.drift-event.v1",
        id=id,
        at=rfc3339(close),
        model=model,
        model_type=model_type,
        tenant_id=tenant,
        kind=sort,  # type: ignore[arg-type]
        check=check or UNSET,
        as_of=rfc3339(close),
        model_version=version,
        baseline_version=rest.get("baseline_version", version),
        baseline_kind="window",
        verdict=verdict,  # type: ignore[arg-type]
        rule_verdict=verdict,  # type: ignore[arg-type]
        severity=severity or UNSET,  # type: ignore[arg-type]
        statistic=rest.get("statistic"),
        metric=rest.get("metric", "accuracy") if sort == "performance" else UNSET,
        windows=rest.get("windows", []),
        second_opinion=None,
        reason=rest.get("reason") or UNSET,
        faults=rest.get("faults") or UNSET,
        revises=revises or UNSET,
        settings_hash="0123456789abcdef",
    )
    return model_log.EventEntry(finding(record, day - 1, rest.get("run_from")))


def window(day: int, days: int, recent: float, baseline: float | None, rows: int, **rest: Any) -> DriftWindow:
    bins = [rows] + [0] * 49
    return DriftWindow(
        from_=rfc3339((day - days) * DAY_MS), to=rfc3339(day * DAY_MS), recent=recent, baseline=baseline,
        histograms=Histograms(bins, bins), interval=rest.get("interval"),
    )  # fmt: skip


def entry(cls: Any, **fields: Any) -> Any:
    """An entry with the fields this release has; later ones also name their tick."""
    known = {f.name: f for f in msgspec.structs.fields(cls)}
    return cls(**{"at_ms": 0, **fields} if "at_ms" in known and cls is not model_log.TickEntry else fields)


def tick(now: int) -> Any:
    return model_log.TickEntry(now, {}, [], {})


def decision(about: Any, eligible: bool = True, why: str = "fine") -> Any:
    return model_log.DecisionEntry(about.model, about.id, eligible, [("flags", eligible, why)])


def command(name: str, model: str = MODEL, actor: str | None = "sam", id: str = "c1", **arguments: Any) -> Any:
    row = {"id": id, "model": model, "command": name, "arguments": arguments, "reason": "because"}
    record = json.dumps(row | ({"actor": actor} if actor is not None else {})).encode()
    return read_command(record)


def kept(since: int, model: str = MODEL) -> Any:
    return entry(model_log.KeptEntry, model=model, version="v2", since_ms=since)


def replaced(since: int, how: str = "retrained", model: str = MODEL, version: str = "v2") -> Any:
    by = uuid5("training-command", model, version) if how != "deployed" else None
    return model_log.ReplacedEntry(model, version, "v1", since, how, by)


class Bench:
    """With a generator, checkpoints come anywhere between two records, and restarts after some of them."""

    def __init__(self, draw: random.Random | None = None, partition: int = 0, partitions: int = 1, **rules: Any):
        self.config = AlertsConfig(
            source="/plumbline/t", model_partitions=partitions, link="http://p",
            rules=Fixed(lambda model: AlertRules(**rules)),
        )  # fmt: skip
        self.draw, self.table = draw, DictTable()
        self.emits: list[Emit] = []
        self.restarts = 0
        spec = pipeline.alerts(Topics("", "", 1, partitions), self.config)
        self.lane = LaneDriver(spec, partition, self.table, {"log": Log("drift-log")})

    @property
    def stage(self) -> Any:
        return self.lane.stage

    @property
    def lane_state(self) -> bytes | None:
        return self.lane.lane_state

    def feed(self, *entries: Any) -> Bench:
        """Entries, in this order."""
        for each in entries:
            self.lane.logs["log"].append(each if isinstance(each, bytes) else model_log.encode(each))
            self.lane.fetch("log")
            while self.lane.core.work():
                pass  # the tick of a large epoch is handed in again
            if self.draw is not None and self.draw.random() < 0.5:
                self.checkpoint(self.draw.random() < 0.6)
        return self

    def epoch(self, now: int, *entries: Any) -> list[Alert]:
        """What one epoch publishes."""
        before = len(self.alerts())
        self.feed(*entries, tick(now))
        return self.alerts()[before:]

    def close(self, day: int, *entries: Any) -> list[Alert]:
        """An epoch that ends at 04:00."""
        return self.epoch(at(day), *entries)

    def checkpoint(self, restart: bool = True) -> None:
        self.lane.checkpoint()
        self.emits += self.lane.take()  # type: ignore[arg-type]
        if restart:
            self.restarts += 1
            self.lane.reopen()

    def alerts(self) -> list[Alert]:
        self.checkpoint(restart=False)
        return [_wire.decode(emit.value or b"") for emit in self.emits if emit.topic == "alerts"]

    def audits(self) -> list[AuditRecord]:
        self.checkpoint(restart=False)
        return [_audit.decode(emit.value or b"") for emit in self.emits if emit.topic == "audit"]


def news(found: list[Alert]) -> list[Any]:
    """Why each revision is news; ``None``: it is silent."""
    return [alert.notify if alert.notify is not UNSET else None for alert in found]
