"""What an epoch brings to a stage that decides at ticks: kept in the table, in the log's order, until its tick comes.

Only the tick knows the time and the end offsets, and a decision may stand in the log before or after what it is about.
An epoch may be large (a settings file can speak of 100,000 models in one second), so it is handled in steps: what is
done is gone from the table, and the tick is handed in again after a checkpoint until nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream_app.core.kit.unit_of_work import UnitOfWork

#: Key prefix; the offset in the log follows, u8, big-endian.
EPOCH: Final = b"E"

#: Entries that are read and handled at once: at most some 20 kB and .3 ms each as a rule.
BATCH: Final = 256

#: What a call of ``accept`` handles of the epochs whose ticks it meets, in whole batches. More: a checkpoint is larger,
#: and other lanes wait longer. It never changes a result.
A_STEP: Final = 256


class EpochLog:
    """Entries of the epoch in hand."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._left = A_STEP

    def begin_call(self) -> None:
        """A call of ``accept`` begins: a step's worth may be handled."""
        self._left = A_STEP

    def remember(self, offset: int, value: bytes) -> None:
        """Keep an entry until its tick. ``offset``: its place in the log."""
        self._work.put(EPOCH + offset.to_bytes(8, "big"), value)

    def handle(self, each: Callable[[list[tuple[bytes, bytes]]], None]) -> bool:
        """At a tick: hand out what waits in batches of (key, entry), in the log's order, and remove it.

        ``False`` if this call's step ends before the epoch does.
        """
        after: bytes | None = None
        while batch := self._work.scan(EPOCH, after, BATCH):
            if self._left <= 0:
                return False
            self._left -= len(batch)
            after = batch[-1][0]
            each(batch)
            for key, _ in batch:
                self._work.remove_once_written(key)
        return True
