"""The relay on the real broker: exactly once whatever happens to it, and every pair in one place."""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2

from stream_app.kafka import clients
from tests.support.kafka_io import Prefix, until
from tests.support.relay import Out, ended, kill, make_topic, plumbline, produce, records_of, start

MAP = """
[[emit]]
to = "predictions"
when = { "header.kind" = "score" }
[emit.fields]
prediction_id = "value.id"
model_type = "'churn'"
model_version = "'v1'"
predicted_at = "value.at | time('s')"
score = "value.p"

[[emit]]
to = "outcomes"
when = { "header.kind" = "label" }
fields = { prediction_id = "value.id", actual = "value.label | equals('yes')", observed_at = "value.at | time('s')" }
"""
BEGIN = 1_772_000_000


def _events(count: int, seed: int) -> list[Out]:
    """Scores, labels (several of one id, later ones later), and now and then something broken."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        kind = "label" if number % 2 else "score"
        name = f"e-{draw.randrange(count // 20)}" if kind == "label" else f"e-{number}"
        value: dict[str, object] = {"id": name, "at": BEGIN + number}
        value |= {"label": draw.choice(["yes", "no"])} if kind == "label" else {"p": round(draw.random(), 4)}
        if draw.random() < 0.002:
            value.pop("at")
        rows.append(Out(json.dumps(value).encode(), name.encode(), (("kind", kind.encode()),)))
    return rows


async def test_a_relay_killed_again_and_again_loses_and_doubles_nothing_and_keeps_the_order_of_a_key(
    prefix: Prefix, tmp_path: Path
) -> None:
    source, rows = await make_topic(prefix, "events"), _events(21_000, seed=3)
    path = tmp_path / "events.toml"
    path.write_text(MAP)
    command = ["relay", source, "--map", str(path)]
    draw = random.Random(8)

    rounds = 3
    share = len(rows) // rounds
    assert share * rounds == len(rows)
    for number in range(rounds):
        relays = [await start(prefix, *command), await start(prefix, *command)]
        before = await _relayed(prefix)
        writing = asyncio.create_task(_write(prefix, source, rows[number * share : (number + 1) * share]))
        try:
            await until(partial(_more, prefix, before, relays), 60, "the relays to get on")
            await asyncio.sleep(draw.random() * 0.3)  # where in a batch the kill falls is left to chance
        finally:
            for relay in relays:
                await kill(relay)
            await writing
    done = await plumbline(prefix, *command, "--until-end", "--json")
    assert done.code == 0, done.err
    await _judge(prefix, source, rows)


async def _write(prefix: Prefix, topic: str, rows: list[Out]) -> None:
    for at in range(0, len(rows), 250):
        await produce(prefix, topic, rows[at : at + 250])


async def _more(prefix: Prefix, before: int, relays: list[asyncio.subprocess.Process]) -> bool:
    for relay in relays:
        assert relay.returncode is None, (await ended(relay)).err
    return await _relayed(prefix) > before


async def _relayed(prefix: Prefix) -> int:
    return len(await records_of(prefix, prefix.topics.outcomes, 3))


async def _judge(prefix: Prefix, source: str, rows: list[Out]) -> None:
    """An answer worked out from the rows alone."""
    topics = prefix.topics
    good = [json.loads(row.value or b"") for row in rows if b'"at"' in (row.value or b"")]
    scores = {row["id"]: row for row in good if "p" in row}
    got = [json.loads(record.value) for record in await records_of(prefix, topics.predictions, 3)]
    assert sorted(row["prediction_id"] for row in got) == sorted(scores)
    assert all(
        (row["score"], row["predicted_at"])
        == (scores[row["prediction_id"]]["p"], scores[row["prediction_id"]]["at"] * 1000)
        for row in got
    )
    labels: dict[str, list[tuple[bool, int]]] = {}
    for row in good:
        if "label" in row:
            labels.setdefault(row["id"], []).append((row["label"] == "yes", row["at"] * 1000))
    seen: dict[str, list[tuple[bool, int]]] = {}
    for record in await records_of(prefix, topics.outcomes, 3):
        row = json.loads(record.value)
        assert record.key == row["prediction_id"].encode()
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 3
        seen.setdefault(row["prediction_id"], []).append((row["actual"], row["observed_at"]))
    assert seen == labels
    dead = await records_of(prefix, topics.dead_letters, 2)
    assert sorted(record.value for record in dead) == sorted(
        row.value or b"" for row in rows if b'"at"' not in (row.value or b"")
    )
    for record in dead:
        header = {name: value.decode() for name, value in record.headers}
        assert header["plumbline.reason"] == "unmappable"
        assert header["plumbline.stage"] == "relay"
        assert header["__connect.errors.topic"] == source
        assert "nothing at value.at" in header["__connect.errors.exception.message"]
        assert header["kind"] in ("score", "label")


async def test_predictions_and_outcomes_of_two_partitioners_meet_through_the_relay(prefix: Prefix) -> None:
    """librdkafka's default partitioner is not the Java client's: on the topics as they are, pairs lie apart."""
    confluent_kafka = pytest.importorskip("confluent_kafka")
    predictions, outcomes = await make_topic(prefix, "app-predictions"), await make_topic(prefix, "app-outcomes")
    names = [f"order-{number}" for number in range(300)]
    producer = confluent_kafka.Producer({"bootstrap.servers": prefix.bootstrap})
    for number, name in enumerate(names):
        value = {"prediction_id": name, "model_type": "churn", "model_version": "v1", "score": number / 300}
        producer.produce(predictions, json.dumps({**value, "predicted_at": BEGIN * 1000}).encode(), key=name.encode())
    assert producer.flush(30) == 0
    labels = [{"prediction_id": name, "actual": True, "observed_at": BEGIN * 1000} for name in names]
    placed = [(murmur2(name.encode()) & 0x7FFFFFFF) % 3 for name in names]
    rows = zip(labels, names, placed, strict=True)
    await produce(
        prefix, outcomes, [Out(json.dumps(row).encode(), name.encode(), partition=p) for row, name, p in rows]
    )
    assert await _pairs(prefix, predictions, outcomes) < 200, "the partitioners do differ"
    done = await plumbline(prefix, "relay", predictions, outcomes, "--map", "re-key", "--until-end", "--json")
    assert done.code == 0, done.err
    assert await _pairs(prefix, prefix.topics.predictions, prefix.topics.outcomes) == 300


async def _pairs(prefix: Prefix, left: str, right: str) -> int:
    """Ids that stand in the same partition of both topics."""
    found = [
        {(record.partition, json.loads(record.value)["prediction_id"]) for record in await records_of(prefix, topic, 3)}
        for topic in (left, right)
    ]
    return len(found[0] & found[1])


async def test_a_relay_refuses_topics_that_cannot_work_and_begins_at_the_end_if_told(prefix: Prefix) -> None:
    done = await plumbline(prefix, "relay", prefix.topics.outcomes, "--map", "re-key")
    assert done.code == 1
    assert "it would read its own records for ever" in done.err
    done = await plumbline(prefix, "relay", "nobodys-topic", "--map", "re-key")
    assert done.code == 1
    assert "topic nobodys-topic does not exist" in done.err
    source = await make_topic(prefix, "labels", 1)
    label = {"prediction_id": "a", "actual": True, "observed_at": 5}
    await produce(prefix, source, [Out(json.dumps(label).encode())])
    command = ["relay", source, "--map", "re-key", "--from", "latest", "--until-end", "--json"]
    assert (await plumbline(prefix, *command)).summary["records"] == 0
    await produce(prefix, source, [Out(json.dumps({**label, "prediction_id": "b"}).encode())])
    assert (await plumbline(prefix, *command)).summary["outcomes"] == 1, "the end was remembered at the first start"


async def test_a_relay_told_to_stop_at_the_end_waits_for_partitions_that_somebody_else_holds(prefix: Prefix) -> None:
    """A member of the group that does nothing, as a relay that was just killed is until the group notices."""
    source = await make_topic(prefix, "labels")
    labels = [{"prediction_id": f"p-{n}", "actual": True, "observed_at": n} for n in range(300)]
    await produce(prefix, source, [Out(json.dumps(row).encode(), partition=n % 3) for n, row in enumerate(labels)])
    idle = clients.consumer(
        prefix.bootstrap,
        {},
        source,
        group_id=f"{prefix.topics.input_prefix}app-relay-re-key",
        session_timeout_ms=2_000,
        heartbeat_interval_ms=300,
        isolation_level="read_uncommitted",
    )
    await idle.start()
    try:
        relay = await start(prefix, "relay", source, "--map", "re-key", "--until-end", "--json")
        try:
            await until(lambda: _relayed(prefix), 30, "the relay's own partitions")
            assert await _relayed(prefix) < 300
            assert relay.returncode is None
        finally:
            await idle.stop()
        assert (await ended(relay)).code == 0
    finally:
        await idle.stop()
    assert await _relayed(prefix) == 300
