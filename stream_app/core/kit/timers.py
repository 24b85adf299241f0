"""When what is open falls due next. Each open thing has an empty mark in the table, by which a restart finds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream_app.core.kit.unit_of_work import UnitOfWork

#: Open things that are read and handled at once.
BATCH: Final = 256

_MARK: Final = b"\x01"


class Timers:
    """Times (epoch ms) by name; in memory, as many as there are open things."""

    def __init__(self, work: UnitOfWork, prefix: bytes) -> None:
        self._work = work
        self._prefix = prefix
        #: ``None``: nothing of it ever falls due
        self._due: dict[bytes, int | None] = {}

    def load(self) -> Iterator[list[bytes]]:
        """The names that are marked, in batches, in order; the caller sets the time of each."""
        after: bytes | None = None
        while batch := self._work.scan(self._prefix, after, BATCH):
            after = batch[-1][0]
            names = [key[len(self._prefix) :] for key, _ in batch]
            self._due.update(dict.fromkeys(names))
            yield names

    def __contains__(self, name: bytes) -> bool:
        return name in self._due

    def names(self) -> list[bytes]:
        """Everything that is open, in order."""
        return sorted(self._due)

    def set(self, name: bytes, at_ms: int | None) -> None:
        """It is open, and falls due then; ``None``: never."""
        if name not in self._due:
            self._work.put(self._prefix + name, _MARK)
        self._due[name] = at_ms

    def end(self, name: bytes) -> None:
        """It is open no more, if it was."""
        if name in self._due:
            del self._due[name]
            self._work.put(self._prefix + name, None)

    def due(self, now_ms: int) -> list[list[bytes]]:
        """What has fallen due by now, in batches, in order."""
        names = sorted(name for name, at in self._due.items() if at is not None and at <= now_ms)
        return in_batches(names)


def in_batches(names: list[bytes]) -> list[list[bytes]]:
    """The same names, at most :data:`BATCH` at a time."""
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
