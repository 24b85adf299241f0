"""Traffic in the form of every shipped map gives the same snapshots as native records."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stream_app.ingest.relay.maps import shipped
from tests.support.generate import DAY, HOUR, START
from tests.support.judge import closed_snapshots, finished
from tests.support.kafka_io import Prefix, end_offsets, write
from tests.support.relay import Out, make_topic, plumbline, produce
from tests.support.worker import Worker

#: (number, time ms, score, actual): the same for every form; no score is 0.5, where the likeliest class is a tie.
Row = tuple[int, int, float, bool]


def _traffic(seed: int = 4) -> list[Row]:
    draw = random.Random(seed)
    return [
        (n, START + draw.randrange(2 * DAY) // 1000 * 1000, draw.randrange(100) / 100 + 0.003, draw.random() < 0.4)
        for n in range(150)
    ]


def _headers(pairs: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, text.encode()) for name, text in pairs.items())


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tensor(score: float) -> dict[str, Any]:
    return {"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [1 - score, score]}


def _cloud_event(kind: str, name: str, at: int, body: Any, **more: str) -> Out:
    attributes = {"specversion": "1.0", "id": name, "type": kind, "time": _text(at), **more}
    return Out(json.dumps(body).encode(), headers=_headers({f"ce_{key}": text for key, text in attributes.items()}))


def _prediction(form: str, name: str, at: int, score: float) -> Out:
    """A prediction in the form of a map, as its source writes it."""
    model, kserve = f"m-{form}", "org.kubeflow.serving.inference.response"
    if form == "kserve-v1":
        return _cloud_event(kserve, name, at, {"predictions": [[1 - score, score]]}, inferenceservicename=model)
    if form == "kserve-v2":
        return _cloud_event(kserve, name, at, {"outputs": [_tensor(score)]}, inferenceservicename=model)
    if form == "seldon-v2":
        headers = {"type": "io.seldon.serving.inference.response", "requestid": name, "modelid": model}
        return Out(json.dumps({"outputs": [_tensor(score)]}).encode(), headers=_headers(headers), timestamp=at)
    if form == "sagemaker-capture":
        output = {"observedContentType": "text/csv", "mode": "OUTPUT", "data": f"{score}\n", "encoding": "CSV"}
        meta = {"eventId": f"e-{name}", "inferenceId": name, "inferenceTime": _text(at)}
        return Out(json.dumps({"captureData": {"endpointOutput": output}, "eventMetadata": meta}).encode())
    row = {"client_request_id": name, "timestamp_ms": at, "request": "{}"}
    row |= {"response": json.dumps({"predictions": [[1 - score, score]]}), "status_code": 200}
    names = {"model_name": model, "model_version": "v1"}
    row |= names if form == "mlflow-inference-table" else {"request_metadata": names}
    return Out(json.dumps(row).encode())


def _native(name: str, model: str, row: Row) -> tuple[Out, Out]:
    _, at, score, actual = row
    value = {"prediction_id": name, "model_type": model, "model_version": "v1", "predicted_at": at, "score": score}
    outcome = {"prediction_id": name, "actual": actual, "observed_at": at + HOUR}
    return Out(json.dumps(value).encode(), name.encode()), Out(json.dumps(outcome).encode(), name.encode())


async def _through(prefix: Prefix, form: str, rows: list[Row]) -> None:
    """Write a form's records to a topic of its own and relay them."""
    topic, names = await make_topic(prefix, f"from-{form}"), [f"{form}.{row[0]}" for row in rows]
    if form == "re-key":
        out = [part for name, row in zip(names, rows, strict=True) for part in _native(name, f"m-{form}", row)]
    elif form == "sagemaker-ground-truth":
        out = [_truth(f"sagemaker-capture.{number}", at + HOUR, actual) for number, at, _, actual in rows]
    else:
        out = [_prediction(form, name, row[1], row[2]) for name, row in zip(names, rows, strict=True)]
        if form != "sagemaker-capture":
            outcomes = [_native(name, "", row)[1] for name, row in zip(names, rows, strict=True)]
            await produce(prefix, prefix.topics.outcomes, outcomes)
    await produce(prefix, topic, out)
    more = ["--set", "model_type=m-sagemaker-capture"] if form == "sagemaker-capture" else []
    done = await plumbline(prefix, "relay", topic, "--map", form, *more, "--until-end", "--json")
    assert (done.code, done.summary["dead_lettered"]) == (0, 0), done.err


def _truth(name: str, at: int, actual: bool) -> Out:
    value = {"groundTruthData": {"data": str(int(actual)), "encoding": "CSV"}, "eventMetadata": {"eventId": name}}
    return Out(json.dumps(value).encode(), timestamp=at)


async def test_every_shipped_map_gives_the_snapshots_of_native_records(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    rows = _traffic()
    native = [_native(f"native.{row[0]}", "m-native", row) for row in rows]
    await produce(prefix, prefix.topics.predictions, [prediction for prediction, _ in native])
    await produce(prefix, prefix.topics.outcomes, [outcome for _, outcome in native])
    await asyncio.gather(*(_through(prefix, form, rows) for form in shipped()))
    topics = prefix.topics
    reached = {name: await end_offsets(prefix.bootstrap, name, 3) for name in (topics.predictions, topics.outcomes)}
    last = START + 3 * DAY + 4 * HOUR
    await write(prefix, [(START + 3 * DAY, []), (last, [])], reached)
    running = worker().start()
    await finished(prefix, last, [running])
    seen: dict[str, list[dict[str, Any]]] = {}
    for _, value in await closed_snapshots(prefix):
        row = json.loads(value)
        own = {key: row.pop(key) for key in ("model", "model_type", "id")}
        seen.setdefault(own["model_type"], []).append(row)
    assert sum(row["outcomes"] for row in seen["m-native"]) == len(rows)
    for form in set(shipped()) - {"sagemaker-ground-truth"}:
        assert seen[f"m-{form}"] == seen["m-native"], form
