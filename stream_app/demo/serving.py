"""The demo's model service: its first version, and predictions by whatever version the deployer has made active."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from stream_app.demo import data
from stream_app.reference.learners import boosting
from stream_app.reference.predictor import Predictor, seed
from stream_app.reference.registry import FolderRegistry
from stream_app.replay.timeline import PREDICTION, TimelineEvent


class ServedModel:
    """Fills the requests of a tick in. A request that comes twice gets the answer it got."""

    def __init__(self, registry: Path, folder: Path) -> None:
        features, actual = data.past(folder)
        store = FolderRegistry(registry)
        seed(store, data.MODEL, data.FIRST_VERSION, boosting, features, np.array(actual, dtype=np.int64))
        self._predictor = Predictor(store)
        self._answered: dict[str, bytes] = {}

    def serve(self, batch: list[TimelineEvent]) -> list[TimelineEvent]:
        """The same events, requests as predictions."""
        requests = {
            event.key: orjson.loads(event.value)
            for event in batch
            if event.kind == PREDICTION and event.key.startswith("conflict-") and event.key not in self._answered
        }
        answers = self._predictor.predict(data.MODEL, [request["features"] for request in requests.values()])
        for (key, request), answer in zip(requests.items(), answers, strict=True):
            request |= {"model_version": answer.version, "score": answer.score, "predicted": answer.predicted}
            self._answered[key] = orjson.dumps(request)
        return [
            event._replace(value=self._answered[event.key])
            if event.kind == PREDICTION and event.key in self._answered
            else event
            for event in batch
        ]
