"""Alerts that are over, for as long as people can still judge them and write on them.

One that people were told of and that ended under a mute is owed: its end is news when nothing mutes it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream_app.core.alerts import state
from stream_app.core.alerts.state import ClosedAlert
from stream_app.core.kit.days import DAY_MS
from stream_app.core.kit.timers import BATCH, Timers
from stream_app.core.kit.unit_of_work import UnitOfWork

#: Days for which one is kept; the topic of alerts forgets it then too.
KEPT_DAYS: Final = 90


class ClosedAlerts:
    """Alerts that are over, in the stage's table."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._owed = Timers(work, state.OWED)
        for names in self._owed.load():
            for name in names:
                known = self.get(name.decode())
                self._owed.set(name, known.owed_until_ms if known is not None else 0)

    def get(self, id: str) -> ClosedAlert | None:
        """One of them."""
        key = state.closed_key(id)
        value = self._work.get([key])[0]
        return state.decode_closed(value, key) if value is not None else None

    def put(self, known: ClosedAlert) -> None:
        """Keep one, or what it has become."""
        id = known.alert.id
        self._work.put(state.closed_key(id), state.encode_closed(known))
        if known.owed_until_ms is not None:
            self._owed.set(id.encode(), known.owed_until_ms)
        else:
            self._owed.end(id.encode())

    def close(self, known: ClosedAlert) -> None:
        """One that has just ended."""
        self.put(known)
        self._work.put(state.expiry_key(known.at_ms // DAY_MS, known.alert.id), b"\x01")

    def owed(self) -> list[str]:
        """Ids of all that are owed, in order."""
        return [name.decode() for name in self._owed.names()]

    def due(self, now_ms: int) -> Iterator[str]:
        """Ids of those whose mute is over by now, in order."""
        for names in self._owed.due(now_ms):
            yield from (name.decode() for name in names)

    def expire(self, now_ms: int) -> None:
        """Forget what ended so long ago that nobody asks; a batch, so that a tick stays short: the rest comes next."""
        last = now_ms // DAY_MS - KEPT_DAYS
        for key, _ in self._work.scan(state.EXPIRY, None, BATCH):
            day, id = state.split_expiry(key)
            if day >= last:
                return
            self._owed.end(id.encode())
            self._work.put(key, None)
            self._work.put(state.closed_key(id), None)
