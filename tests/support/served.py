"""Models that see six features, and what serves them: what their outcomes follow from changes on a day, and predictions
are those of whatever version the deployer has made active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_app.reference.learners import logistic
from stream_app.reference.predictor import Predictor, seed
from stream_app.reference.registry import FolderRegistry
from tests.support.loop import Record
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS

RECOVERS, FLIPS, NOISE, ASKS, BROKEN = (
    "conflict:global", "churn:flips", "churn:noise", "churn:asks", "churn:broken",
)  # fmt: skip
FRAUD = "fraud:acme"
MODELS = (RECOVERS, FLIPS, NOISE, ASKS, BROKEN, FRAUD)
#: the day on which what is to be found changes
CHANGE = 14
WIDTH, ROWS, FRAUD_ROWS = 6, 250, 2_500
NAMES = [f"f{i}" for i in range(WIDTH)]

Matrix = NDArray[np.float64]


class World:
    """What the outcomes of a day follow from, by model and by the version that serves."""

    def __init__(self) -> None:
        draw = np.random.default_rng(5)
        first = draw.normal(size=WIDTH)
        other = draw.normal(size=WIDTH)
        other -= other @ first / (first @ first) * first
        self.before = first / np.linalg.norm(first)
        self.after = 0.2 * self.before + 0.98 * other / np.linalg.norm(other)

    def rows(self, model: str, day: int, version: str) -> tuple[Matrix, NDArray[np.int64]]:
        """Features (n, 6) and outcomes (n,)."""
        draw = np.random.default_rng([day + 100, *model.encode()])
        if model == FRAUD:
            return self._fraud(draw, day, version)
        features = draw.normal(size=(ROWS, WIDTH))
        world = self.after if day >= CHANGE else self.before
        if model == FLIPS and version != "v1":
            world = -self.after
        chance = 1 / (1 + np.exp(-5 * features @ world))
        if model == NOISE and day >= CHANGE:
            chance = np.full(ROWS, 0.5)
        return features, (draw.random(ROWS) < chance).astype(np.int64)

    def _fraud(self, draw: np.random.Generator, day: int, version: str) -> tuple[Matrix, NDArray[np.int64]]:
        """One per cent, each far out in one feature: the first; from the change on often another; then a third."""
        features = draw.normal(size=(FRAUD_ROWS, WIDTH))
        actual = (np.arange(FRAUD_ROWS) % 80 == 0).astype(np.int64)
        frauds = np.flatnonzero(actual)
        where = np.zeros(len(frauds), dtype=np.int64)
        if day >= CHANGE:
            where[::2] = 1
        if version != "v1":
            where[:] = 2
        features[frauds, where] += 6
        return features, actual

    def past(self, model: str) -> tuple[Matrix, NDArray[np.int64]]:
        """Rows to make the first version of."""
        parts = [self.rows(model, day, "v1") for day in range(-12, 0)] if model != FRAUD else [
            self._fraud(np.random.default_rng(day), 0, "v1") for day in range(3)
        ]  # fmt: skip
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _dicts(features: Matrix) -> list[dict[str, float]]:
    return [dict(zip(NAMES, row, strict=True)) for row in np.round(features, 5).tolist()]


class Serving:
    """Predictions of a day by whatever version the deployer has made active."""

    def __init__(self, folder: Path, models: Sequence[str] = MODELS) -> None:
        self.registry = FolderRegistry(folder)
        self.world = World()
        self._predictor = Predictor(self.registry)
        for model in models:
            features, actual = self.world.past(model)
            seed(self.registry, model, "v1", logistic, _dicts(features), actual)

    def day(self, model: str, day: int) -> Iterator[Record]:
        """Predictions over the morning, outcomes an hour later; topics without prefix."""
        model_type, _, tenant = model.partition(":")
        version = self.registry.active(model) or ""
        features, actual = self.world.rows(model, day, version)
        named = _dicts(features)
        step = 10 * HOUR_MS // len(actual)
        for i, served in enumerate(self._predictor.predict(model, named)):
            key, at = f"{model_type}-{tenant}-{day}-{i}", (FIRST_DAY + day) * DAY_MS + i * step
            row: dict[str, Any] = {
                "prediction_id": key, "model_type": model_type, "model_version": served.version, "predicted_at": at,
                "score": served.score, "predicted": served.predicted, "features": named[i],
            }  # fmt: skip
            if tenant != "global":
                row["tenant_id"] = tenant
            if model == BROKEN and day >= CHANGE:
                del row["features"]
            yield "predictions", key.encode(), orjson.dumps(row)
            label = {"prediction_id": key, "actual": int(actual[i]), "observed_at": at + HOUR_MS}
            yield "outcomes", key.encode(), orjson.dumps(label)
