"""One bad record in a hundred, of every kind: dead letters are the injected ones; redriven, nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from tests.support.generate import DAY, START, Row, Step, history, poison
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, end_offsets, read, write
from tests.support.worker import Worker


def _with_poison(steps: list[Step], share: float) -> tuple[list[Step], Counter[tuple[str, bytes, bytes | None]]]:
    """The same steps with bad records at random places, and what was put in."""
    draw = random.Random(5)
    injected: Counter[tuple[str, bytes, bytes | None]] = Counter()
    out = []
    for at, rows in steps:
        mixed: list[Row] = []
        for row in rows:
            mixed.append(row)
            if draw.random() < share:
                topic, value = draw.choice(poison(draw, at - 1))
                bad = Row(topic, b"poison-%d" % draw.randrange(1_000), value)
                injected[topic, bad.key, value] += 1
                mixed.append(bad)
        out.append((at, mixed))
    return out, injected


async def test_dead_letters_are_the_poison_byte_for_byte_and_the_rest_is_counted_as_if_it_were_not_there(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    clean = history(seed=51, days=4, per_day=500, with_poison=False)
    steps, injected = _with_poison(clean, 0.01)
    assert len(injected) > 40
    reached: Reached = {}
    running = worker(max_checkpoint_events="500").start()
    await write(prefix, steps, reached)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)
    topics = prefix.topics
    names = {topics.predictions: "predictions", topics.outcomes: "outcomes"}
    found: Counter[tuple[str, bytes, bytes | None]] = Counter()
    contradictory = 0
    for part in (await read(prefix.bootstrap, topics.dead_letters, topics.line_partitions)).values():
        for record in part:
            headers = {name: value.decode() for name, value in record.headers}
            if headers["plumbline.reason"] == "contradictory":
                contradictory += 1  # of the clean history itself
                continue
            found[names[headers["__connect.errors.topic"]], record.key, record.value] += 1
    assert found == injected
    total = sum(len(rows) for _, rows in steps)
    print(f"{sum(found.values())} of {total} records were poison; {contradictory} contradict others")


async def test_redriven_after_a_fix_every_pair_counts_as_if_nothing_had_been_wrong(
    prefix: Prefix, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes that came too early for the worker's clock: a producer's clock was an hour ahead, then it was set."""
    now = START + DAY
    rows = [
        Row(
            "predictions", b"k%d" % i,
            json.dumps({
                "prediction_id": f"k{i}", "model_type": "churn", "model_version": "v1", "predicted_at": now - 3_600_000,
                "score": i / 100,
            }).encode(),
        )
        for i in range(100)
    ]  # fmt: skip
    late = [
        Row(
            "outcomes", b"k%d" % i,
            json.dumps({"prediction_id": f"k{i}", "actual": i % 2, "observed_at": now + 3_000_000}).encode(),
        )
        for i in range(100)
    ]  # fmt: skip
    reached: Reached = {}
    running = worker().start()
    await write(prefix, [(now, rows + late)], reached)
    await finished(prefix, now, [running])
    letters = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.line_partitions)
    assert sum(map(len, letters.values())) == 100
    for key, value in running.env.items():
        if key.startswith("PLUMBLINE_"):
            monkeypatch.setenv(key, value)
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "redrive", "--reason", "future"])
    assert done.exit_code == 0, done.output
    # an hour later their time has come
    outcomes = prefix.topics.outcomes
    reached[outcomes] = await end_offsets(prefix.bootstrap, outcomes, prefix.topics.input_partitions)
    later = now + 3_600_000
    await write(prefix, [(later, []), (START + 3 * DAY, [])], reached)
    follower = await finished(prefix, START + 3 * DAY, [running])
    await compare(prefix, follower)
    assert follower.dispositions["outcomes"]["joined"] == 100
    assert follower.dispositions["outcomes"]["dead_lettered"] == 100
