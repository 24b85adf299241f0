"""How far a reader outside the lanes has come, and how many records lie before it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiokafka import TopicPartition


class Reached:
    """Places of one consumer: the offset after the last record that was handled, by partition."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}

    def handled(self, tp: TopicPartition, next_offset: int) -> None:
        """Everything before the offset is done."""
        self._next[tp] = next_offset

    async def idle(self, consumer: Any) -> None:
        """All that was fetched is done, and so are markers of transactions behind it, which nobody is handed."""
        for tp in consumer.assignment():
            # before the first answer of the broker there may be no position either, and it would be waited for
            if consumer.highwater(tp) is not None:
                self._next[tp] = await consumer.position(tp)

    def lags(self, consumer: Any) -> dict[str, int]:
        """Records not handled by topic, of the partitions that are assigned and were fetched from."""
        found: Counter[str] = Counter()
        for tp in consumer.assignment():
            end = consumer.highwater(tp)
            if end is not None and tp in self._next:
                found[tp.topic] += max(0, end - self._next[tp])
        return dict(found)
