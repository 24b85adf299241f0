"""What the reference trainer and deployer work on in tests: seeded rows in the topics, a registry, their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from schemas.common import rfc3339
from stream_app.reference.learners import logistic
from stream_app.reference.predictor import seed
from stream_app.reference.registry import FolderRegistry
from tests.support.generate import Row
from tests.support.kafka_io import Prefix, end_offsets, read, until
from tests.support.reference import Process
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS

MODEL, OTHER = "churn:acme", "churn:other"
START = FIRST_DAY * DAY_MS
ROWS, SPLIT = 400, 320


def table(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    features = np.round(draw.normal(size=(ROWS, 3)), 4)
    chance = 1 / (1 + np.exp(-3 * (features[:, 0] - features[:, 1])))
    return features, (draw.random(ROWS) < chance).astype(int)


def named_rows() -> list[dict[str, float]]:
    """The features of :func:`table` by their names."""
    return [dict(zip("abc", row, strict=True)) for row in table()[0].tolist()]


def registry_with_v1(folder: Path, rows: int = ROWS) -> FolderRegistry:
    """A registry whose v1 of the model learnt from the first rows of :func:`table`, and serves."""
    registry = FolderRegistry(folder)
    seed(registry, MODEL, "v1", logistic, named_rows()[:rows], table()[1][:rows])
    return registry


def records() -> list[Row]:
    """A minute apart; another model's, a shadow's, an unlabelled one, a repeat and a correction among them."""
    features, actual = table()
    out = []

    def add(topic: str, key: str, **row: Any) -> None:
        out.append(Row(topic, key.encode(), orjson.dumps({"prediction_id": key, **row})))

    for i in range(ROWS):
        at = START + i * 60_000
        named = {"a": float(features[i, 0]), "b": float(features[i, 1]), "c": float(features[i, 2])}
        base = {"model_type": "churn", "model_version": "v1", "predicted_at": at, "score": 0.5, "features": named}
        add("predictions", f"p{i}", tenant_id="acme", **base)
        # whoever comes second under the same id does not count
        add("predictions", f"p{i}", tenant_id="acme", **{**base, "features": {"a": 99.0, "b": 0.0, "c": 0.0}})
        add("predictions", f"o{i}", tenant_id="other", **base)
        add("predictions", f"s{i}", tenant_id="acme", role="shadow", **base)
        add("predictions", f"u{i}", tenant_id="acme", **base)
        if i % 7 == 0:
            add("outcomes", f"p{i}", actual=bool(1 - actual[i]), observed_at=at + HOUR_MS)
        add("outcomes", f"p{i}", actual=bool(actual[i]), observed_at=at + 2 * HOUR_MS)
        add("outcomes", f"o{i}", actual=True, observed_at=at + HOUR_MS)
        add("outcomes", f"s{i}", actual=True, observed_at=at + HOUR_MS)
    out.append(Row("predictions", b"x", b"{"))
    return out


async def data(prefix: Prefix, from_ms: int = START, to_ms: int = START + ROWS * 60_000) -> dict[str, Any]:
    """The range of an order: everything that stands in the topics."""
    topics = prefix.topics
    offsets = {
        name: {
            str(p): [0, end] for p, end in (await end_offsets(prefix.bootstrap, name, topics.input_partitions)).items()
        }
        for name in (topics.predictions, topics.outcomes)
    }
    split = START + SPLIT * 60_000

    def span(first: int, last: int) -> dict[str, Any]:
        return {"from": rfc3339(first), "to": rfc3339(last), "offsets": offsets}

    return {"train": span(from_ms, split), "holdout": span(split, to_ms)}


async def results(prefix: Prefix) -> list[dict[str, Any]]:
    parts = await read(prefix.bootstrap, prefix.topics.training_results, prefix.topics.model_partitions)
    return [json.loads(record.value) for part in parts.values() for record in part]


async def said(prefix: Prefix, process: Process, number: int, *statuses: str) -> list[dict[str, Any]]:
    """Return when the command has one of the answers."""
    id = f"00000000-0000-4000-8000-{number:012d}"

    async def there() -> list[dict[str, Any]]:
        assert process.exit_code is None, process.tail()
        return [row for row in await results(prefix) if row["command_id"] == id and row["status"] in statuses]

    found: list[dict[str, Any]] = await until(there, 60, f"an answer {statuses} to command {number}\n{process.tail()}")
    return found
