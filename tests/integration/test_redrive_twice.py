"""Two people who redrive the same dead-lettered records, and one whose redrive is killed: each record is sent once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import deadletters
from stream_app.errors import Unavailable
from stream_app.ingest import redrive as redriving
from stream_app.ingest.redrive import RedriveOrder, dead_lettered_records, redrive
from stream_app.kafka import clients
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import Process


async def dead_letter(prefix: Prefix, first: int, count: int) -> None:
    """Predictions that were refused, as the labels stage writes them."""
    topics = prefix.topics
    async with clients.producer(prefix.bootstrap, {}, linger_ms=20) as producer:
        sent = []
        for number in range(first, first + count):
            value = json.dumps({"prediction_id": f"p{number}", "model_type": "churn"}).encode()
            place = {"topic": topics.predictions, "partition": number % topics.input_partitions, "offset": number}
            record: Any = SimpleNamespace(**place, key=b"p%d" % number, value=value, headers=())
            made = deadletters.build(record, "labels", "invalid_field", "wrong")
            to = number % topics.model_partitions
            sent.append(await producer.send(topics.dead_letters, made.value, made.key, to, None, made.headers))
        await asyncio.gather(*sent)


async def sent_again(prefix: Prefix) -> Counter[bytes]:
    """How often each stands in the input now."""
    found = await read(prefix.bootstrap, prefix.topics.predictions, prefix.topics.input_partitions)
    return Counter(record.key for part in found.values() for record in part)


async def order(prefix: Prefix) -> RedriveOrder:
    found = await dead_lettered_records(prefix.bootstrap, {}, prefix.topics)
    return RedriveOrder(found, found)


async def test_one_that_takes_over_sends_the_rest_and_the_other_says_what_it_had_sent(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "BATCH", 10)
    await dead_letter(prefix, 0, 100)
    mine, theirs = await order(prefix), await order(prefix)
    done: list[Any] = []

    def run() -> None:
        done.append(asyncio.run(redrive(prefix.bootstrap, {}, prefix.topics, theirs)))

    def told(count: int) -> None:
        if count == 30:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    with pytest.raises(Unavailable, match=r"another redrive has taken over.* had sent 30 records"):
        await redrive(prefix.bootstrap, {}, prefix.topics, mine, told=told)
    assert (done[0].sent, done[0].before) == (70, 30)
    assert await sent_again(prefix) == Counter({b"p%d" % n: 1 for n in range(100)})


async def test_one_that_looked_before_more_were_dead_lettered_forgets_nothing_of_what_another_sent_meanwhile(
    prefix: Prefix,
) -> None:
    await dead_letter(prefix, 0, 10)
    early = await order(prefix)
    await dead_letter(prefix, 10, 20)
    late = await order(prefix)
    middle = RedriveOrder(late.found, [dead for dead in late.chosen if dead.origin[1] >= 5])
    assert (await redrive(prefix.bootstrap, {}, prefix.topics, middle)).sent == 25
    assert (await redrive(prefix.bootstrap, {}, prefix.topics, early)).sent == 5
    again = await redrive(prefix.bootstrap, {}, prefix.topics, late)
    assert (again.sent, again.before) == (0, 30)
    assert await sent_again(prefix) == Counter({b"p%d" % n: 1 for n in range(30)})


async def test_one_that_is_killed_again_and_again_is_gone_on_with(prefix: Prefix, tmp_path: Path) -> None:
    count = 12_000
    await dead_letter(prefix, 0, count)
    command = ["dead-letters", "redrive", "--reason", "invalid_field"]
    running = Process(prefix, tmp_path, "redrive", command)
    before = 0
    for _ in range(3):
        running.start()

        async def moved(least: int = before) -> bool:
            return (await sent_again(prefix)).total() > least or running.exit_code is not None

        await until(moved, 60, "more to be sent")
        running.kill()
        before = (await sent_again(prefix)).total()
    running.start()
    assert await asyncio.to_thread(running.wait, 90) == 0, running.tail()
    assert await sent_again(prefix) == Counter({b"p%d" % n: 1 for n in range(count)})
