"""How much memory the reference trainer takes to read the rows of a command out of long topics.

``python -m benchmarks.trainer_memory [--records N ...]``: a command of 180 days about one model whose topics hold N
records, half of them predictions with features, half outcomes. The trainer's own reading runs on them; only the client
is not Kafka's: it makes each batch of 500 as it is asked for and forgets it, as Kafka's holds no more than it fetched.
So no topic of 10 million has to be filled, and what is measured is what the trainer keeps. Each length runs in a
process of its own. Prints one JSON object each: seconds of CPU, rows that were kept, and the most memory of the process
(MB) beside that before the reading.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import click
from aiokafka import TopicPartition

from benchmarks.table_reading import peak_mb
from schemas.common import rfc3339
from schemas.training import DataRange, TrainingData, TrainingRange
from stream_app.core.kit.days import DAY_MS
from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.reference.rows import Wanted, labelled_rows

MODEL: Final = "churn:acme"
FIRST_DAY, DAYS = 20_500, 180
#: days of the hold-out: a fifth of the last thirty
HELD_DAYS: Final = 6
BATCH: Final = 500
MAX_ROWS: Final = 200_000


class Record(NamedTuple):
    """What a reader looks at of a record."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class MadeAsRead:
    """A client whose topics hold ``count`` records each, none of them before it is asked for."""

    def __init__(self, predictions: str, count: int) -> None:
        self._predictions, self._count = predictions, count
        self._at: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to leave."""

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self._count)

    def assign(self, tps: Sequence[TopicPartition]) -> None:
        self._at = dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, *tps: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        found = {}
        for tp in tps:
            first = self._at[tp]
            self._at[tp] = last = min(first + BATCH, self._count)
            found[tp] = [self._record(tp, offset) for offset in range(first, last)]
        return found

    def _record(self, tp: TopicPartition, offset: int) -> Record:
        at = FIRST_DAY * DAY_MS + offset * DAYS * DAY_MS // self._count
        if tp.topic == self._predictions:
            text = (
                f'{{"prediction_id":"p-{offset}","model_type":"churn","tenant_id":"acme","model_version":"v1",'
                f'"predicted_at":{at},"score":0.25,"features":{{"age":{offset % 90},"plan":"p{offset % 7}",'
                f'"spent":{offset % 997}.5}}}}'
            )
        else:
            text = f'{{"prediction_id":"p-{offset}","actual":{offset % 3 == 0:d},"observed_at":{at + 3_600_000}}}'
        return Record(tp.topic, tp.partition, offset, text.encode())


def read(records: int) -> dict[str, Any]:
    """Read a command's rows; in a process of its own."""
    topics, count = Topics("", "", 1, 1), records // 2
    begin, split, end = (
        rfc3339((FIRST_DAY + day) * DAY_MS) for day in (0, DAYS - HELD_DAYS, DAYS)
    )  # fmt: skip
    offsets = {topic: {0: (0, count)} for topic in (topics.predictions, topics.outcomes)}
    month = rfc3339((FIRST_DAY + DAYS - 30) * DAY_MS)
    data = TrainingData(
        DataRange(from_=begin, to=split, offsets=offsets), DataRange(from_=split, to=end, offsets=offsets),
        [TrainingRange(name="30d", from_=month, to=split, rows=count // 6),
         TrainingRange(name="all", from_=begin, to=split, rows=count)],
    )  # fmt: skip
    wanted = Wanted(MODEL, False, data, MAX_ROWS)
    before, began = peak_mb(), time.process_time()
    with patch.object(clients, "consumer", lambda *args, **options: MadeAsRead(topics.predictions, count)):
        found = asyncio.run(labelled_rows("", {}, topics, wanted))
    return {
        "records": records, "cpu_seconds": round(time.process_time() - began, 1),
        "rows": {item.name: len(item.rows) for item in found.ranges}, "holdout": len(found.holdout),
        "mb_before": round(before), "mb_most": round(peak_mb()),
    }  # fmt: skip


@click.command()
@click.option(
    "--records", "lengths", multiple=True, type=click.IntRange(min=1_000), default=(1_000_000, 3_000_000, 10_000_000),
    show_default=True, help="Records of both topics together.",
)  # fmt: skip
def main(lengths: tuple[int, ...]) -> None:
    """Print one JSON object a length."""
    for records in lengths:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            click.echo(json.dumps(pool.apply(read, (records,))))


if __name__ == "__main__":
    main()
