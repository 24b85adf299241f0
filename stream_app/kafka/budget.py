"""Memory for unpacked batches that are half read, over all partitions of the process.

A partition that finds no room waits for its turn: it yields nothing in this poll and its position stays. What another
partition unpacked and has not touched for a second is dropped for it; that one unpacks its batch anew when it goes on,
so that no two partitions ever wait for each other.

What a poll has handed out is no longer counted here, it is the caller's. So a poll hands out little of what is
unpacked, whatever lies in the fetches: 2 kB of zstd may be 60 MB, and a fetch holds hundreds of such batches.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final

#: bytes: two batches of the largest size
TOTAL: Final = 128 << 20
IDLE_S: Final = 1.0
#: bytes of unpacked records after which a poll hands out no more, of one partition and of all together
SHARE: Final = 4 << 20
HANDED: Final = 16 << 20


class Evicted(Exception):
    """The unpacked batch made room for another: unpack it again."""


class Lease:
    """An unpacked batch that counts against the budget if ``held``."""

    __slots__ = ("held", "iterator", "size", "used")

    def __init__(self, iterator: Iterator[Any], size: int, held: bool) -> None:
        self.iterator: Any = iterator
        self.size, self.held = size, held
        self.used = time.monotonic()

    def take(self) -> Any:
        """The next record. Raises ``StopIteration`` at the end, :class:`Evicted` if the batch is gone."""
        iterator = self.iterator
        if iterator is None:
            raise Evicted
        self.used = time.monotonic()
        return next(iterator)


#: what the poll that goes on in this task may still hand out, in all and of the partition in hand; ``None`` where
#: records are taken one by one
_LEFT: Final[ContextVar[list[int] | None]] = ContextVar("left", default=None)


@contextlib.contextmanager
def polling() -> Iterator[None]:
    """A poll, of all partitions of a consumer: what is handed out meanwhile in this task is counted together."""
    token = _LEFT.set([HANDED, SHARE])
    try:
        yield
    finally:
        _LEFT.reset(token)


def next_partition() -> None:
    """The poll comes to another partition."""
    left = _LEFT.get()
    if left is not None:
        left[1] = SHARE


def is_full() -> bool:
    """Whether what is still packed is the next poll's."""
    left = _LEFT.get()
    return left is not None and min(left) <= 0


def hands_out(size: int) -> None:
    """So many unpacked bytes are handed out."""
    left = _LEFT.get()
    if left is not None:
        left[0] -= size
        left[1] -= size


class Budget:
    """Who holds how much. Safe to use from several threads: consumers run in more than one."""

    def __init__(self, total: int = TOTAL, idle_s: float = IDLE_S) -> None:
        self._total, self._idle_s = total, idle_s
        self._lock = threading.Lock()
        self._leases: set[Lease] = set()

    def room(self, wanted: int) -> int:
        """Bytes that are free; idle batches are dropped if those are fewer than ``wanted``."""
        with self._lock:
            free = self._total - sum(lease.size for lease in self._leases)
            if free < wanted:
                idle = time.monotonic() - self._idle_s
                for lease in [lease for lease in self._leases if lease.used < idle]:
                    lease.iterator = None
                    self._leases.discard(lease)
                    free += lease.size
            return free

    def lease(self, iterator: Iterator[Any], size: int, *, small: int) -> Lease:
        """Account for an unpacked batch; one of at most ``small`` bytes is free."""
        lease = Lease(iterator, size, size > small)
        if lease.held:
            with self._lock:
                self._leases.add(lease)
        return lease

    def give_back(self, lease: Lease) -> None:
        """It is read, or nobody will read it."""
        lease.iterator = None
        with self._lock:
            self._leases.discard(lease)


BUDGET: Final = Budget()
