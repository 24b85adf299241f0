"""More names than a partition counts: the lanes go on, what is known is counted, every refusal names its bound."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from collections import Counter
from collections.abc import Callable

from stream_app.doctor import kafka_checks
from stream_app.doctor.report import Checkup
from tests.support.generate import DAY, HOUR, START, Row, Step
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, Reached, read, write
from tests.support.metrics import sample
from tests.support.worker import Worker

TYPES = 1_200
LIMIT = 20


def _prediction(number: int, model_type: str, at: int) -> Row:
    body = {
        "prediction_id": f"p{number}", "model_type": model_type, "model_version": "v1", "predicted_at": at,
        "score": 0.25,
    }  # fmt: skip
    return Row("predictions", b"p%d" % number, json.dumps(body).encode())


def _outcome(number: int, at: int) -> Row:
    return Row(
        "outcomes",
        b"p%d" % number,
        json.dumps({"prediction_id": f"p{number}", "actual": False, "observed_at": at}).encode(),
    )


def _known(first: int, at: int) -> list[Row]:
    return [_prediction(first + i, "churn", at) for i in range(30)]


def _figures(worker: Worker) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.env['PLUMBLINE_WEB_PORT']}/metrics", timeout=10) as page:
        return str(page.read().decode())


async def test_a_flood_of_model_types_stops_nothing_and_every_refusal_names_its_bound(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    at = START + HOUR
    flood = [_prediction(10_000 + i, f"{i:08d}".ljust(128, "x"), at + HOUR) for i in range(TYPES)]
    steps: list[Step] = [
        (at + 1, _known(0, at)),
        (at + HOUR + 1, [*flood[:600], *_known(100, at + HOUR), *flood[600:]]),
        (at + 2 * HOUR, [_outcome(n, at + HOUR) for n in (*range(30), *range(100, 130))]),
    ]
    later: list[Step] = [
        (at + 3 * HOUR, [*_known(200, at + 2 * HOUR), _prediction(20_000, "new-one", at + 2 * HOUR)]),
        (START + DAY + 3 * HOUR, []),
    ]
    reached: Reached = {}
    running = worker(max_model_types=str(LIMIT), max_checkpoint_events="200").start()
    await write(prefix, steps, reached)
    await finished(prefix, steps[-1][0], [running])
    figures = await asyncio.to_thread(_figures, running)
    for partition in range(topics.input_partitions):
        where = {"stage": "labels", "partition": str(partition), "bound": "types"}
        assert sample(figures, "plumbline_names", **where) == LIMIT
        assert sample(figures, "plumbline_names_limit", **where) == LIMIT

    running.kill()
    shutil.rmtree(running.folder / "data")  # what is known comes back from the changelog alone
    running.start()
    await write(prefix, later, reached)
    follower = await finished(prefix, later[-1][0], [running])

    produced = {"predictions": 90 + TYPES + 1, "outcomes": 60}
    assert {side: sum(counts.values()) for side, counts in follower.dispositions.items()} == produced
    taken = topics.input_partitions * (LIMIT - 1)
    assert follower.dispositions["predictions"]["dead_lettered"] == TYPES + 1 - taken
    assert follower.dispositions["predictions"]["joined"] == follower.dispositions["outcomes"]["joined"] == 60
    dead = [r for part in (await read(prefix.bootstrap, topics.dead_letters, 2)).values() for r in part]
    words = Counter(dict(record.headers)["__connect.errors.exception.message"].decode()[-60:] for record in dead)
    assert {dict(record.headers)["plumbline.reason"] for record in dead} == {b"too_many_models"}
    assert set(words) == {f" {LIMIT} model types of the last 90 days already, as many as max_model_types"[-60:]}
    assert sum(words.values()) == TYPES + 1 - taken
    shown = [r for part in (await read(prefix.bootstrap, topics.metric_snapshots, 2)).values() for r in part]
    churn = [row for r in shown if (row := json.loads(r.value))["model_type"] == "churn" and row["state"] == "closed"]
    assert [row["predictions"] for row in churn] == [90], "every good record beside the flood is counted"

    changelog = topics.changelog("labels")
    records = [r for part in (await read(prefix.bootstrap, changelog, 3)).values() for r in part]
    largest = max(len(r.value) for r in records if r.key == b"\x00positions")
    print(f"largest positions record: {largest} bytes")
    assert largest < 2_000

    found = await kafka_checks.dead_letters(Checkup(prefix.settings(), topics))
    named = [f for f in found if f.check == "names"]
    assert len(named) == 1
    assert f"{LIMIT} model types" in named[0].what
    assert "raise max_model_types" in named[0].repair
