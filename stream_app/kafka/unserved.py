"""Offsets that the broker cannot serve, since it cannot find its way through a damaged batch of its own log.

A broker walks from batch to batch by their lengths. Behind a length that went bad on its disk it finds nothing, as far
as its index does not lead on: it answers with an error or with nothing, for ever, and aiokafka asks again at once. But
an answer holds the bytes of the log as they lie there, so the reader has mostly seen what it asks for: it keeps what
came from the first damaged batch on (:class:`.faults.Kept`), and reads that where the broker gives it up.

Without such bytes (a process that starts right there), offsets are passed by one by one once the broker has said
for ten seconds that its log is corrupt there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiokafka import errors
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition

from stream_app.kafka.batches import FetchResult, PartitionRecords
from stream_app.kafka.budget import is_full, polling
from stream_app.kafka.faults import LENGTH, OVERHEAD, KeptFaults, checked, extent, known_attempts
from stream_app.kafka.record import Batches

log = logging.getLogger(__name__)

#: What a broker answers whose own log reader raised: what it recognises as damage, and everything else.
_CORRUPT: Final = errors.CorruptRecordException.errno
_CANNOT: Final = (_CORRUPT, errors.UnknownError.errno)
_PAUSE_S: Final = 0.1


class _Client:
    """A client whose answer to a fetch can be looked at."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._watched: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def watch(self, request: Any) -> None:
        """Keep the answer to it until it is taken."""
        self._watched[id(request)] = None

    def take(self, request: Any) -> Any:
        """The answer, ``None`` without one."""
        return self._watched.pop(id(request), None)

    async def send(self, node_id: Any, request: Any, **more: Any) -> Any:
        answer = await self._client.send(node_id, request, **more)
        if id(request) in self._watched:
            self._watched[id(request)] = answer
        return answer


class Fetcher(fetcher.Fetcher):  # type: ignore[misc]
    """Reads on from kept bytes where the broker serves none, and bounds what a poll hands out."""

    def __init__(self, client: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_Client(client), *args, **kwargs)

    async def fetched_records(
        self, partitions: Any, timeout: float = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        """Records that are there. If some had to be left for the next poll, the partitions that were served go to the
        end of the line."""
        with polling():
            found: dict[TopicPartition, list[Any]] = await super().fetched_records(partitions, timeout, max_records)
            if is_full():
                for tp in found.keys() & self._records.keys():
                    self._records.move_to_end(tp)
        return found

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> bool:
        self._client.watch(request)
        try:
            found: bool = await super()._proc_fetch_request(assignment, node_id, request)
        finally:
            answer = self._client.take(request)
        if answer is None or not assignment.active:
            return found
        asked = {(topic, partition): offset for topic, parts in request.topics for partition, offset, _ in parts}
        # An answer is filled in the order of its partitions: the first that has anything gets a batch at least.
        pause, full = False, bool(answer.throttle_time_ms)
        for topic, parts in answer.topics:
            for partition, error, highwater, *rest in parts:
                tp, offset = TopicPartition(topic, partition), asked[topic, partition]
                if error == 0 and not rest[-1] and full:
                    continue
                full = full or bool(rest[-1])
                served = error == 0 and (bool(rest[-1]) or min(highwater, rest[0]) <= offset)
                if served or (error and error not in _CANNOT):
                    self._served(assignment, tp)
                elif self._instead(assignment, tp, offset, error):
                    found = True
                elif error:
                    log.warning("%s[%d]: the broker cannot read its log at offset %d", topic, partition, offset)
                    pause = True
        if pause:
            await asyncio.sleep(_PAUSE_S)  # aiokafka asks again at once
        return found

    def _served(self, assignment: Any, tp: TopicPartition) -> None:
        attempts = known_attempts(assignment.state_value(tp))
        if attempts is not None:
            attempts.served()

    def _instead(self, assignment: Any, tp: TopicPartition, offset: int, error: int) -> bool:
        """Give the partition bytes that the broker did not, if there are any."""
        state = assignment.state_value(tp)
        if state is None or not state.has_valid_position or state.position != offset or tp in self._records:
            return False
        attempts = known_attempts(state)
        kept = attempts.kept if attempts is not None and attempts.kept and attempts.kept.offset == offset else None
        if error != _CORRUPT and (kept is None or not _shows_damage(kept)):
            return False  # a broker that is slow or ill says the same
        records = PartitionRecords(
            tp, Batches(kept.buffer if kept is not None else None), kept.aborted if kept is not None else [], offset,
            None, None, True, self._isolation_level,
        )  # fmt: skip
        records.unserved = kept is None
        self._records[tp] = FetchResult(
            tp, assignment=assignment, partition_records=records, backoff=self._prefetch_backoff
        )
        return True


def _shows_damage(kept: KeptFaults) -> bool:
    """Whether a sound batch stands in it: a batch that a fetch cut short holds none."""
    view, stop = memoryview(kept.buffer), OVERHEAD + LENGTH.unpack_from(kept.buffer, 8)[0]
    return checked(view, 0, stop) is not None or extent(kept.buffer, kept.offset).stop > 0


def install() -> None:
    """Put this fetcher in the place of aiokafka's, for every consumer that this process makes from now on."""
    aiokafka_consumer.Fetcher = Fetcher
