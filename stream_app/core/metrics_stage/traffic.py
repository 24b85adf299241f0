"""Which versions of a model predict: by hour for the last hours, and since the active version changed.

Labels report the predictions of an hour until an hour after it ended. As of the last fold (full hours and closes) the
counts are stored, one record a model; those of the epochs since then are counted again from the pending deltas after a
restart. Hours that the fold found unfinished, which a producer's fast clock makes, are marked, so that they are looked
at when they end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from stream_app.core.counts.deltas import HourCount
from stream_app.core.kit.codec import Codec
from stream_app.core.kit.days import HOUR_MS, day_of
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.core.metrics_stage.keys import OPEN_HOUR, open_hour_key, traffic_key

FORMAT: Final = 1
#: Versions of a model that a record tells apart; the smallest beyond are one. A leader is never among those.
MOST_VERSIONS: Final = 100
_OTHERS: Final = ""

Versions = dict[str, int]


class _Record(msgspec.Struct, array_like=True):
    #: hour (since 1970) → version → predictions, of hours that can still be asked for
    hours: dict[int, Versions] = {}
    #: change of the active version (tick, epoch ms) that ``since`` belongs to
    since_ms: int = -1
    #: predictions by version made on the day of that change, in hours that began after it
    since: Versions = {}


_codec: Final = Codec[_Record](_Record, FORMAT, "traffic of a model")


class Traffic:
    """Predictions of a lane's models by version and hour."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        #: model → hour → version → predictions, since the last fold
        self._fresh: dict[str, dict[int, Versions]] = {}

    def forget(self) -> None:
        """Start anew from what is stored."""
        self._fresh.clear()

    def count(self, items: Iterable[HourCount]) -> None:
        """Take what an epoch's part reports."""
        for item in items:
            _add(self._fresh.setdefault(item.model, {}).setdefault(item.hour, {}), {item.version: item.count})

    def ended(self, before: int, now: int) -> dict[int, list[str]]:
        """Hours that ended in (before, now] (epoch ms), in order, each with the models that predicted in it, sorted."""
        found: dict[int, set[str]] = {}
        if before // HOUR_MS == now // HOUR_MS:
            return {}
        for model, hours in self._fresh.items():
            for hour in hours:
                if before < (hour + 1) * HOUR_MS <= now:
                    found.setdefault(hour, set()).add(model)
        for key, _ in self._open_hours(now):
            hour = int.from_bytes(key[1:5], "big")
            if before < (hour + 1) * HOUR_MS:
                found.setdefault(hour, set()).add(key[5:].decode())
        return {hour: sorted(found[hour]) for hour in sorted(found)}

    def hour(self, model: str, hours: Iterable[int]) -> list[Versions]:
        """Predictions by version of each of the hours, as known by now."""
        stored, fresh = self._read([model])[0].hours, self._fresh.get(model, {})
        return [_add(dict(stored.get(hour, {})), fresh.get(hour, {})) for hour in hours]

    def since(self, model: str, state: ActiveVersion) -> Versions:
        """Predictions by version made on the day of the model's last change, in hours that began after it."""
        return self._since(self._read([model])[0], model, state)

    def _since(self, record: _Record, model: str, state: ActiveVersion) -> Versions:
        made: Versions = {}
        if record.since_ms == state.since_ms:
            _add(made, record.since)
        else:
            _since(made, record.hours, state)
        return _since(made, self._fresh.get(model, {}), state)

    def fold(self, states: Mapping[str, ActiveVersion | None], now: int) -> None:
        """Store what was counted since the last fold. ``states``: active versions of :meth:`models`."""
        for key, _ in list(self._open_hours(now)):
            self._work.put(key, None)
        models = self.models()
        for model, record in zip(models, self._read(models), strict=True):
            state = states[model]
            if state is None:
                continue  # forgotten at this very close
            since = self._since(record, model, state)
            hours = {h: dict(v) for h, v in record.hours.items()}
            for hour, made in self._fresh[model].items():
                _add(hours.setdefault(hour, {}), made)
            kept = {h: _largest(v) for h, v in sorted(hours.items()) if (h + 2) * HOUR_MS > now}
            for hour in kept:
                if (hour + 1) * HOUR_MS > now:
                    self._work.put(open_hour_key(hour, model), b"\x01")
            fresh = _Record(kept, state.since_ms, _largest(since, state.version))
            self._work.put(traffic_key(model), _codec.encode(fresh))
        self._fresh.clear()

    def models(self) -> list[str]:
        """Models that predicted since the last fold."""
        return sorted(self._fresh)

    def _open_hours(self, now: int) -> Iterable[tuple[bytes, bytes]]:
        after: bytes | None = None
        while batch := self._work.scan(OPEN_HOUR, after, 1_000):
            for key, value in batch:
                if (int.from_bytes(key[1:5], "big") + 1) * HOUR_MS > now:
                    return
                yield key, value
            after = batch[-1][0]

    def _read(self, models: list[str]) -> list[_Record]:
        values = self._work.get([traffic_key(model) for model in models])
        return [
            _Record() if value is None else _codec.decode(value, traffic_key(model))
            for model, value in zip(models, values, strict=True)
        ]


def _since(made: Versions, hours: Mapping[int, Versions], state: ActiveVersion) -> Versions:
    for hour, versions in hours.items():
        at_ms = hour * HOUR_MS
        if at_ms >= state.since_ms and day_of(at_ms) == day_of(state.since_ms):
            _add(made, versions)
    return made


def _add(into: Versions, more: Mapping[str, int]) -> Versions:
    for version, count in more.items():
        into[version] = into.get(version, 0) + count
    return into


def _largest(made: Versions, active: str = _OTHERS) -> Versions:
    """In order of name; beyond :data:`MOST_VERSIONS` the smallest as one, but never the active version."""
    if len(made) > MOST_VERSIONS:
        order = sorted(made, key=lambda version: (version != active, -made[version], version))
        others = sum(made[version] for version in order[MOST_VERSIONS:])
        made = _add({version: made[version] for version in order[:MOST_VERSIONS]}, {_OTHERS: others})
    return {version: made[version] for version in sorted(made)}
