"""One bad record in a hundred, of every kind: dead-lettered are the injected ones, byte for byte unless too large."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from tests.oracle.batch import Rules
from tests.support.generate import Row, Step, history, poison
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, read, write
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
                large = value is not None and len(bad.key) + len(value) > Rules().record_bytes
                injected[topic, bad.key, value[:1024] if value is not None and large else value] += 1
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
    for part in (await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)).values():
        for record in part:
            headers = {name: value.decode() for name, value in record.headers}
            if headers["plumbline.reason"] == "contradictory":
                contradictory += 1  # of the clean history itself
                continue
            found[names[headers["__connect.errors.topic"]], record.key, record.value] += 1
    assert found == injected
    total = sum(len(rows) for _, rows in steps)
    print(f"{sum(found.values())} of {total} records were poison; {contradictory} contradict others")
