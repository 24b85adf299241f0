"""From a tick to its alerts on the WebSocket: 50 models, 100 closes and 50 full hours, one worker, one web process.

Each model's accuracy and scores go bad and well again, at different days; whatever record of an alert a close, or noon,
causes is waited for. The clock starts when the tick is committed; a day's rows are counted before it.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import websockets

from benchmarks import live_view
from stream_app.kafka import admin
from stream_app.kafka.topics import Topics
from stream_app.replay.clock_writer import ClockWriter
from stream_app.replay.follow import LogFollower
from stream_app.settings import children

MODELS, DAYS, PER_DAY = 50, 64, 120
#: days before which no model has a baseline to be compared with
QUIET = 14
DAY_MS, HOUR_MS, FIRST = 86_400_000, 3_600_000, 20_500

Row = tuple[str, str, bytes]


def day_rows(topics: Topics, day: int, draw: np.random.Generator) -> list[Row]:
    """Every model's predictions and outcomes of a day."""
    out: list[Row] = []
    for model in range(MODELS):
        bad = day >= QUIET and (day + model) % 10 < 4
        predicted = draw.random(PER_DAY) < 0.54
        actual = (draw.random(PER_DAY) < np.where(predicted, 0.81, 0.15)).astype(int)
        if bad:
            actual = np.where(draw.random(PER_DAY) < 0.6, 1 - actual, actual)
        score = np.where(predicted, 0.5 + draw.random(PER_DAY) / 2, draw.random(PER_DAY) / 2)
        for n in range(PER_DAY):
            key, at = f"{model}-{day}-{n}", (FIRST + day) * DAY_MS + n * 300_000
            prediction: dict[str, Any] = {
                "prediction_id": key, "model_type": "churn", "tenant_id": f"t{model:02d}", "model_version": "v1",
                "predicted_at": at, "score": round(float(score[n]), 4), "predicted": bool(predicted[n]),
            }  # fmt: skip
            label = {"prediction_id": key, "actual": int(actual[n]), "observed_at": at + HOUR_MS}
            out.append((topics.predictions, key, orjson.dumps(prediction)))
            out.append((topics.outcomes, key, orjson.dumps(label)))
    return out


async def measure(bootstrap: str, topics: Topics, address: str) -> tuple[list[float], list[float]]:
    """Seconds from each close's tick to each of its alerts, and from noon's to each of the hourly alarms'."""
    draw = np.random.default_rng(3)
    closes: list[float] = []
    hours: list[float] = []
    async with (
        ClockWriter(bootstrap, {}, topics) as writer,
        LogFollower(bootstrap, {}, topics) as follower,
        websockets.connect(address.replace("http", "ws") + "/ws", max_size=None) as socket,
    ):
        await socket.send(json.dumps({"type": "auth", "token": live_view.TOKEN, "topics": ["alerts"]}))
        arrived: dict[str, list[float]] = {}

        async def listen() -> None:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "change":
                    arrived.setdefault(message["record"]["at"], []).append(time.perf_counter())

        listening = asyncio.create_task(listen())

        async def tick(at: int) -> list[float]:
            await writer.write(at, ())
            began = time.perf_counter()
            await follower.reached(at)
            await asyncio.sleep(0.3)  # what the last log has carried is on the topic within a checkpoint
            text = np.datetime_as_string(np.datetime64(at, "ms"), unit="ms") + "Z"
            return [moment - began for moment in arrived.get(text, ())]

        for day in range(DAYS):
            noon = (FIRST + day) * DAY_MS + 12 * HOUR_MS
            await writer.write(noon - HOUR_MS, ())  # so that the rows' tick passes no full hour
            await writer.write(noon - HOUR_MS // 2, day_rows(topics, day, draw))
            await follower.reached(noon - HOUR_MS // 2)
            counts = day >= DAYS - 50
            hours += await tick(noon) if counts else []
            for hour in (1, 2, 3, 4):
                at = (FIRST + day + 1) * DAY_MS + hour * HOUR_MS
                if hour >= 3 and counts:
                    closes += await tick(at)
                else:
                    await writer.write(at, ())
                    await follower.reached(at)
        listening.cancel()
    return closes, hours


def run(bootstrap: str, folder: Path) -> dict[str, float]:
    """Median and p99, and how many alerts they stand on."""
    folder.mkdir(parents=True, exist_ok=True)
    topics = Topics("bench-latency.", "bench-latency.", 4, 2, "bench-latency")
    with live_view.redis_server(folder) as url:
        asyncio.run(_create(bootstrap, topics))
        worker = children.start(
            ["worker"], folder / "worker.log", **topics.as_settings(), environment="development", redis_url=url,
            kafka_bootstrap=bootstrap, app_id="bench-latency", data_dir=folder / "data", clock="follow", web_port=0,
        )  # fmt: skip
        try:
            with live_view.web(bootstrap, url, topics.output_prefix) as address:
                closes, hours = map(sorted, asyncio.run(measure(bootstrap, topics, address)))
        finally:
            children.end(worker, 30)
    return {
        "alert_latency_p50_s": closes[len(closes) // 2],
        "alert_latency_p99_s": closes[int(0.99 * len(closes))],
        "alert_latency_alerts": len(closes),
        "hourly_alert_latency_p50_s": hours[len(hours) // 2],
        "hourly_alert_latency_p99_s": hours[int(0.99 * len(hours))],
        "hourly_alert_latency_alerts": len(hours),
    }


async def _create(bootstrap: str, topics: Topics) -> None:
    async with admin.admin(bootstrap, {}) as client:
        await admin.create(client, topics.specs(), 1)
