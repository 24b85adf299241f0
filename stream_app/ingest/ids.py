"""Ids of a load and their times, in 12 bytes each: a file may have millions."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Any, Final

#: Times are kept in seconds, up to the year 2106.
_LAST: Final = 2**32 - 1


class Ids:
    """Digests of ids in order, each with its time. 64 bits: among ten million ids, two that meet are one in 300,000."""

    def __init__(self) -> None:
        self._digests, self._times = array("Q"), array("I")
        self._sorted: Any = None
        self._at: Any = None

    def add(self, key: bytes, at_ms: int) -> None:
        """Note an id; of one that comes again the last time counts."""
        self._digests.append(_digest(key))
        self._times.append(min(at_ms // 1000, _LAST))

    def sort(self) -> None:
        """Make it ready for questions; each copy is given up before the next is made."""
        import numpy as np

        digests = np.array(self._digests, dtype=np.uint64)
        self._digests = array("Q")
        order = np.argsort(digests, kind="stable")
        digests = digests[order]
        times = np.array(self._times, dtype=np.uint32)[order]
        self._times = array("I")
        del order
        last = np.ones(len(digests), dtype=bool)
        np.not_equal(digests[1:], digests[:-1], out=last[:-1])
        self._sorted, self._at = (digests, times) if last.all() else (digests[last], times[last])

    def __len__(self) -> int:
        return len(self._sorted)

    def place(self, key: bytes) -> int | None:
        """Which of them an id is, ``None`` if none."""
        wanted = _digest(key)
        at = int(self._sorted.searchsorted(wanted))
        return at if at < len(self._sorted) and int(self._sorted[at]) == wanted else None

    def before(self, at_ms: int) -> int:
        """How many have an earlier time."""
        return int((self._at < at_ms // 1000).sum())


def _digest(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
