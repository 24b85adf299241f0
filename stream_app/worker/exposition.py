"""Figures of a worker for Prometheus (docs/operations/metrics.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from stream_app.core.metrics_stage import MetricsStage
from stream_app.engine.engine import Engine
from stream_app.engine.lanes import Lane
from stream_app.worker.metrics import MetricFamilies

#: Published records that are counted by what they say: alias → (metric, help, fields of the record).
_TOLD: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "alerts": ("alerts_total", "Revisions of alerts; notify is empty where nobody is told.", ("type", "notify")),
    "drift-events": ("drift_events_total", "Verdicts of checks.", ("kind", "verdict", "severity")),
    "hourly-evidence": (
        "hourly_evidence_total",
        "Hours with evidence, or with an open episode; change says where one opened, was raised or ended.",
        ("kind", "change"),
    ),
    "training-commands": ("training_commands_total", "Commands to trainers and the deployer.", ("command",)),
    "audit": ("decisions_total", "Decisions, and answers to commands.", ("action", "decision")),
}
_REASON: Final = "plumbline.reason"


def describe(alias: str, value: bytes | None, headers: list[tuple[str, bytes]]) -> tuple[str, ...]:
    """Labels of a published record. Snapshots and deltas are many and have none."""
    if alias == "dead-letters":
        return (next((text.decode() for name, text in headers if name == _REASON), ""),)
    told = _TOLD.get(alias)
    if told is None or value is None:
        return ()
    row = orjson.loads(value)
    return tuple(str(row.get(name, "")) for name in told[2])


def put(engine: Engine, page: MetricFamilies) -> None:
    """Figures of every lane that is here."""
    for (stage, partition), lane in sorted(engine.lanes.items()):
        where = {"stage": stage, "partition": str(partition)}
        for name, kind, text, value in (*_work(lane), *_checkpoints(lane), *_time(lane)):
            page.put(name, kind, text, value, **where)
        reason = lane.parked.reason if lane.parked is not None else ""
        page.put("lane_parked", "gauge", "1 while the lane is parked, by reason.", int(bool(reason)), **where,
                 reason=reason)  # fmt: skip
        for topic, lag in _lags(lane, engine.highwater):
            page.put("input_lag_records", "gauge", "Records on the input that are not handled yet.", lag,
                     **where, topic=topic)  # fmt: skip
        _published(page, lane, where)
        _of_stage(page, lane, where)
    page.put("assignments_total", "counter", "Times partitions were assigned to this worker.", engine.assignments)


def _work(lane: Lane) -> Iterator[tuple[str, str, str, float]]:
    yield "lane_open", "gauge", "1 while the lane is open.", int(lane.running)
    yield "events_total", "counter", "Records handled since the lane came here.", lane.events
    yield "held_bytes", "gauge", "Fetched bytes waiting for their tick.", lane.bytes_held()
    yield "restores_total", "counter", "Times the lane was opened.", lane.restores
    yield "restored_records_total", "counter", "Changelog records restored.", lane.restored_records
    yield "restore_seconds_total", "counter", "Time spent restoring.", lane.restore_seconds
    if lane.store is not None:
        yield "rocksdb_bytes", "gauge", "Bytes on disk and in memtables.", lane.store.size()


def _checkpoints(lane: Lane) -> Iterator[tuple[str, str, str, float]]:
    figures = lane.figures
    yield "checkpoints_total", "counter", "Checkpoints committed.", figures.count
    yield "checkpoint_seconds_total", "counter", "Time spent in checkpoints.", figures.seconds
    yield "checkpoint_last_seconds", "gauge", "Time that the last checkpoint took.", figures.last_seconds
    yield "checkpoint_records_total", "counter", "Changelog records written.", figures.records
    yield "checkpoint_bytes_total", "counter", "Bytes of outputs and changelog, as sent.", figures.bytes
    if figures.at:
        age = time.monotonic() - figures.at
        yield "checkpoint_age_seconds", "gauge", "Time since the last checkpoint.", age


def _time(lane: Lane) -> Iterator[tuple[str, str, str, float]]:
    if lane.clock is not None:
        yield "tick_timestamp_seconds", "gauge", "Time of the last tick handled.", lane.clock.last_tick / 1000
        yield "ticks_waiting", "gauge", "Ticks received and not handled.", len(lane.clock.ticks)


def _lags(lane: Lane, highwater: Callable[[str, int], int | None]) -> Iterator[tuple[str, int]]:
    """By input topic; markers of transactions count as records. An input not fetched yet has none to tell."""
    inputs = lane.spec.inputs()
    for alias, item in lane.inputs().items():
        end = highwater(inputs[alias], lane.partition)
        if end is not None:
            yield inputs[alias], max(0, end - item.reached)


def _published(page: MetricFamilies, lane: Lane, where: dict[str, str]) -> None:
    for (alias, *values), count in sorted(lane.figures.published.items()):
        if alias in _TOLD:
            name, text, fields = _TOLD[alias]
            page.put(name, "counter", text, count, **where, **dict(zip(fields, values, strict=True)))
        elif alias == "dead-letters":
            page.put("dead_letters_total", "counter", "Records refused.", count, **where, reason=values[0])
        else:
            page.put("published_records_total", "counter", "Records published.", count, **where, output=alias)


def _of_stage(page: MetricFamilies, lane: Lane, where: dict[str, str]) -> None:
    stage: Any = lane.stage
    if isinstance(stage, MetricsStage):
        for close, count in sorted(stage.closes_run.items()):
            page.put("daily_checks_total", "counter", "Daily checks run, by kind.", count, **where, check=close)
        page.put("hourly_false_alerts_allowed", "gauge",
                 "False hourly alerts that the budget allows in 30 days, for the models of the last 02:00 close.",
                 stage.hourly_allowed, **where)  # fmt: skip
        return
    names = getattr(stage, "names", None)
    if callable(names):
        for bound, usage in names().items():
            page.put("names", "gauge", "Names of models that count, by bound.", usage.known, **where, bound=bound)
            page.put("names_limit", "gauge", "Most names that may count; beyond it predictions are refused.",
                     usage.limit, **where, bound=bound)  # fmt: skip
    dispositions = getattr(getattr(stage, "lane_state", None), "dispositions", None)
    if lane.spec.name == "labels" and callable(dispositions):
        for topic, counts in dispositions().items():
            for name, count in counts.items():
                page.put("dispositions", "gauge", "Input records by what became of them.", count, **where,
                         topic=topic, disposition=name)  # fmt: skip
