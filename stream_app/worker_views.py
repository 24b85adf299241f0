"""The worker's own views, on 127.0.0.1: is it alive, is it ready, what does it hold for a line, what does it cost."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aiohttp import web
from faust.web import View

from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.core import days
from stream_app.core.metrics import figures
from stream_app.core.metrics_stage import MetricsStage
from stream_app.engine.engine import Engine
from stream_app.engine.lanes import Lane
from stream_app.engine.transport import EngineApp
from stream_app.topics import Topics


def attach(app: EngineApp, engine: Engine, topics: Topics) -> None:
    """Add ``/livez``, ``/readyz``, ``/metrics``, ``/lines/{line}`` to Faust's web server."""

    @app.page("/livez")
    async def livez(view: View, request: web.Request) -> Any:
        """The process runs and has met no fatal fault."""
        if engine.error is not None:
            return view.json({"alive": False, "error": str(engine.error)}, status=500)
        return view.json({"alive": True})

    @app.page("/readyz")
    async def readyz(view: View, request: web.Request) -> Any:
        """Every lane assigned here is open; says what each waits for."""
        lanes = {
            f"{name}-{p}": {
                "open": lane.running,
                "waits_for": lane.waits_for,
                "inputs": {a: {"reached": i.reached, "arrived": i.arrived} for a, i in lane.inputs().items()},
                "paused": lane.paused(),
                "uncommitted": lane.dirty,
                "tick": rfc3339(lane.clock.last_tick) if lane.clock is not None and lane.clock.last_tick else None,
            }
            for (name, p), lane in sorted(engine.lanes.items())
        }
        ready = bool(lanes) and all(lane.running for lane in engine.lanes.values())
        return view.json({"ready": ready, "lanes": lanes}, status=200 if ready else 503)

    @app.page("/lines/{line}")
    async def line_view(view: View, request: web.Request, line: str) -> Any:
        """A line's daily cells as this worker's table holds them, newest first."""
        partition = partition_for(line.encode(), topics.line_partitions)
        lane = engine.lanes.get(("metrics", partition))
        if lane is None or lane.store is None:
            return view.json(
                {"error": f"line {line!r} is in partition {partition}, which is not open here"}, status=404
            )
        found = _cells(lane, line)
        if not found:
            return view.json({"error": f"no cells of line {line!r}"}, status=404)
        return view.json({"line": line, "partition": partition, "cells": found})

    @app.page("/metrics")
    async def metrics(view: View, request: web.Request) -> Any:
        """Prometheus exposition; base units, stable names."""
        return view.text(exposition(engine), content_type="text/plain")


def _cells(lane: Lane, line: str) -> list[dict[str, Any]]:
    stage = lane.stage
    if not isinstance(stage, MetricsStage):
        return []
    return [
        {
            "date": days.date_of(day),
            "model_version": version,
            "revision": cell.revision,
            "folded_to": rfc3339(cell.folded_to),
            **asdict(figures(cell.counts, cell.assume_negative)),
        }
        for version, day, cell in stage.view(line)
    ]


def exposition(engine: Engine) -> str:
    """Figures of every lane here in Prometheus' text format."""
    now = time.monotonic()
    rows: dict[str, tuple[str, str, list[str]]] = {}

    def put(name: str, kind: str, text: str, labels: str, value: float) -> None:
        rows.setdefault(name, (kind, text, []))[2].append(f"plumbline_{name}{{{labels}}} {value:g}")

    for (stage, partition), lane in sorted(engine.lanes.items()):
        labels = f'stage="{stage}",partition="{partition}"'
        put("lane_open", "gauge", "1 while the lane is open.", labels, int(lane.running))
        put("events_total", "counter", "Records handled since the start.", labels, lane.events)
        put("checkpoints_total", "counter", "Checkpoints committed.", labels, lane.figures.count)
        put("checkpoint_seconds_total", "counter", "Time spent in checkpoints.", labels, lane.figures.seconds)
        put("checkpoint_records_total", "counter", "Changelog records written.", labels, lane.figures.records)
        put("restores_total", "counter", "Times the lane was opened.", labels, lane.restores)
        put("restored_records_total", "counter", "Changelog records restored.", labels, lane.restored_records)
        put("restore_seconds_total", "counter", "Time spent restoring.", labels, lane.restore_seconds)
        put("held_bytes", "gauge", "Fetched bytes waiting for their tick.", labels, lane.bytes_held())
        if lane.figures.at:
            put("checkpoint_age_seconds", "gauge", "Time since the last checkpoint.", labels, now - lane.figures.at)
        if lane.clock is not None:
            put("tick_timestamp_seconds", "gauge", "Last tick handled.", labels, lane.clock.last_tick / 1000)
            put("ticks_waiting", "gauge", "Ticks received and not handled.", labels, len(lane.clock.ticks))
        if lane.store is not None:
            put("rocksdb_bytes", "gauge", "Bytes on disk and in memtables.", labels, lane.store.size())
        stage_object = lane.stage
        dispositions = getattr(getattr(stage_object, "memo", None), "dispositions", None)
        if stage == "labels" and callable(dispositions):
            for topic, counts in dispositions().items():
                for name, count in counts.items():
                    put(
                        "dispositions",
                        "gauge",
                        "Input records by what became of them.",
                        f'{labels},topic="{topic}",disposition="{name}"',
                        count,
                    )
    out = []
    for name, (kind, text, lines) in rows.items():
        out += [f"# HELP plumbline_{name} {text}", f"# TYPE plumbline_{name} {kind}", *lines]
    return "\n".join(out) + "\n"
