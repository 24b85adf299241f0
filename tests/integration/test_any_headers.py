"""Headers of any kind on inputs: the records are taken, and the dead-lettered ones keep them as they were, also when
they are sent again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from schemas import deadletters
from schemas.partitioning import partition_for
from stream_app.ingest.redrive import RedriveOrder, dead_lettered_records, redrive
from stream_app.kafka import clients
from tests.support.generate import HOUR, START
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, Reached, read, write
from tests.support.worker import Worker

Headers = Sequence[tuple[str, bytes | None]]

ODD: tuple[Headers, ...] = (
    (),
    (("CE_ID", b"1"), ("Ce-Id", b"2"), ("ce-id", b"3"), ("ce_id", b"4")),
    (("content-type", b"text/html; charset=no-such"), ("Content-Type", b"APPLICATION/JSON"), ("CONTENT-TYPE", b"")),
    (("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"), ("tracestate", b"a=b,c=d"), ("b3", b"0")),
    (("uber-trace-id", b"\xff\xfe\x00"), ("x-datadog-trace-id", b"1" * 400), ("baggage", b"\r\n\r\n")),
    (("same", b"1"), ("same", b"2"), ("same", None), ("same", b"1")),
    (("null", None), ("", b""), ("", None)),
    (("\u00e9\u4e2d\U0001f600 \x00\r\n", b"\xed\xa0\x80"), ("x" * 300, b"\x00" * 300)),
    (
        ("__connect.errors.topic", b"theirs"), ("plumbline.reason", b"future"), ("plumbline.truncated", b"{}"),
        ("plumbline.stage", None), ("plumbline.last_offset", b"9"),
    ),
    tuple((f"h{number}", b"v") for number in range(500)),
)  # fmt: skip


async def test_headers_of_any_kind_change_nothing_and_are_kept(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    topics, reached, wrong = prefix.topics, Reached(), dict[bytes, Headers]()
    running = worker().start()
    async with clients.producer(prefix.bootstrap, {}) as producer:

        async def send(topic: str, key: bytes, body: dict[str, Any], headers: Headers) -> None:
            partition = partition_for(key, topics.input_partitions)
            value = json.dumps(body).encode()
            sent = await producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))
            reached.setdefault(topic, {})[partition] = sent.offset + 1

        for number, headers in enumerate(ODD):
            row = {"prediction_id": f"p{number}", "model_type": "churn", "model_version": "v1", "score": 0.5}
            key, bad = b"p%d" % number, b"bad%d" % number
            await send(topics.predictions, key, {**row, "predicted_at": START}, headers)
            await send(
                topics.outcomes, key, {"prediction_id": key.decode(), "actual": 1, "observed_at": START}, headers
            )
            await send(topics.predictions, bad, {**row, "prediction_id": bad.decode()}, headers)
            wrong[bad] = headers
    await write(prefix, [(START + HOUR, [])], reached)
    follower = await finished(prefix, START + HOUR, [running])
    many = len(ODD)
    assert +Counter(follower.dispositions["predictions"]) == Counter(joined=many, dead_lettered=many)
    assert +Counter(follower.dispositions["outcomes"]) == Counter(joined=many)
    parts = await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)
    letters = [record for part in parts.values() for record in part]
    assert {r.key: deadletters.original(r.headers) for r in letters} == {k: list(v) for k, v in wrong.items()}
    found = await dead_lettered_records(prefix.bootstrap, {}, topics)
    assert {dead.reason for dead in found} == {"invalid_field"}
    done = await redrive(prefix.bootstrap, {}, topics, RedriveOrder(found, found))
    assert (done.sent, done.faults.count) == (many, 0)
    again = Counter[tuple[bytes, Any]]()
    for part in (await read(prefix.bootstrap, topics.predictions, topics.input_partitions)).values():
        again.update((r.key, tuple(r.headers)) for r in part if r.key in wrong)
    assert again == Counter({(key, tuple(headers)): 2 for key, headers in wrong.items()})
