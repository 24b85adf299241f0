"""A recorded stream of requests, answered by the version that is active at the time and sent as predictions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from schemas.partitioning import partition_for
from stream_app.errors import Incompatible
from stream_app.ingest.files import rows
from stream_app.kafka import clients
from stream_app.kafka.reach import started
from stream_app.kafka.topics import Topics
from stream_app.reference.predictor import Predictor
from stream_app.settings import Settings

_FIELDS = ("prediction_id", "model_type", "features")


def requests(path: Path) -> Iterator[dict[str, Any]]:
    """Requests of a file: prediction_id, model_type, tenant_id?, features, and actual? if the outcome is known."""
    for number, row in enumerate(rows(path), 1):
        features = row.get("features")
        if isinstance(features, str):
            row = {**row, "features": json.loads(features)}
        missing = [name for name in _FIELDS if row.get(name) is None]
        if missing:
            raise Incompatible(f"{path.name}, row {number}: {missing[0]} is missing")
        yield row


async def serve(settings: Settings, topics: Topics, predictor: Predictor, path: Path, per_second: float) -> int:
    """Send a prediction for each request, and its outcome right after if it is known; returns how many."""
    sent, began = 0, time.monotonic()
    count = topics.input_partitions
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    producer = clients.producer(bootstrap, options, enable_idempotence=True)
    async with started(producer, bootstrap, options):
        for request in requests(path):
            tenant = request.get("tenant_id")
            (answer,) = predictor.predict(f"{request['model_type']}:{tenant or 'global'}", [request["features"]])
            now = time.time_ns() // 1_000_000
            key = str(request["prediction_id"]).encode()
            row = {
                "prediction_id": request["prediction_id"], "model_type": request["model_type"],
                "model_version": answer.version, "tenant_id": tenant, "predicted_at": now, "score": answer.score,
                "predicted": answer.predicted, "features": request["features"],
            }  # fmt: skip
            records = [(topics.predictions, {name: value for name, value in row.items() if value is not None})]
            if request.get("actual") is not None:
                outcome = {"prediction_id": request["prediction_id"], "actual": request["actual"], "observed_at": now}
                records.append((topics.outcomes, outcome))
            for topic, record in records:
                await producer.send(topic, orjson.dumps(record), key=key, partition=partition_for(key, count))
            sent += 1
            await asyncio.sleep(max(0.0, began + sent / per_second - time.monotonic()))
        await producer.flush()
    return sent
