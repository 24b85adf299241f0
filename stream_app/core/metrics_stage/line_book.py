"""What a lane knows of each line beside its cells: the active version, and how many predictions were ever labelled.

Both are stored as of the last fold (full hours and closes); the epochs since then are counted again from the pending
deltas after a restart, so between full hours only the delta log grows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from schemas import bounds
from stream_app.core import active_version, deltas, line_log
from stream_app.core.active_version import ActiveVersion
from stream_app.core.days import HOUR_MS
from stream_app.core.deltas import HourCount, Part
from stream_app.core.live_settings import AT_HAND
from stream_app.core.metrics_stage import publish, watch
from stream_app.core.metrics_stage.config import MetricsSettings
from stream_app.core.metrics_stage.keys import HOUR, LINE, hour_key, labelled_key, line_key, split_hour_key, watch_key
from stream_app.core.metrics_stage.outbox import Outbox
from stream_app.core.metrics_stage.watch import Watch
from stream_app.errors import Broken
from stream_app.stored import at_key, body

_LABELLED_FORMAT = 1
_HOUR_FORMAT = 1
#: Hours that are read at once when a lane is opened.
_RELOAD = 1_000


class LineBook:
    """Active versions and labelled counts of a lane's lines."""

    def __init__(self, settings: MetricsSettings, partition: int, outbox: Outbox) -> None:
        self._settings = settings
        self._outbox = outbox
        self._partition = partition
        self._source = settings.config.source
        self._lines: dict[str, ActiveVersion | None] = {}
        #: (line, version, hour) → predictions, of hours that have not ended
        self._hours: dict[tuple[str, str, int], int] = {}
        #: the same as of the last fold, by key of the table
        self._carried: dict[bytes, int] = {}
        #: (line, version) → labelled predictions since the last fold
        self._labelled: dict[tuple[str, str], int] = {}

    def recount(self, parts: Iterable[Part], now: int) -> None:
        """After a restart: the hours carried over at the last fold, and the epochs handled since, up to ``now``."""
        after: bytes | None = None
        while batch := self._outbox.scan(HOUR, after, _RELOAD):
            after = batch[-1][0]
            for key, value in batch:
                count = int.from_bytes(body(value, _HOUR_FORMAT, at_key("count of an hour", key)), "little")
                self._carried[key] = count
                self._count_hour(HourCount(*split_hour_key(key), count))
        for part in parts:
            self._count(part)
        self._forget_hours(now)

    def decide(self, parts: Iterable[Part], now: int) -> None:
        """Active versions by what the epoch brought: first versions, then each hour that has ended."""
        fresh: dict[str, dict[str, int]] = {}
        for part in parts:
            self._count(part)
            if any(self.active(cell.line) is None for cell in part.cells):
                for (line, version), count in by_version(part, labels=False).items():
                    if self.active(line) is None:
                        versions = fresh.setdefault(line, {})
                        versions[version] = versions.get(version, 0) + count
        ended: dict[int, dict[str, dict[str, int]]] = {}
        for (line, version, hour), count in self._hours.items():
            if (hour + 1) * HOUR_MS <= now:
                ended.setdefault(hour, {}).setdefault(line, {})[version] = count
        self._log_hours(ended)
        for hour in sorted(ended):
            lines = sorted(ended[hour])
            for number, line in enumerate(lines):
                if not number % AT_HAND:
                    self._settings.read(lines[number : number + AT_HAND])
                known = self.active(line)
                if known is not None:
                    rules = self._settings.rules_of(line)
                    found = active_version.after_hour(
                        known, hour, ended[hour][line], now, rules.observed_min_predictions, rules.observed_share
                    )
                    self.activate(line, found, now)
        self._forget_hours(now)
        for line in sorted(fresh):
            first = active_version.first_observed(fresh[line], now)
            if first is not None:
                self.activate(line, first, now)

    def activate(self, line: str, state: ActiveVersion, now: int) -> None:
        """Publish and log a change; nothing if there is none."""
        if state == self.active(line):
            return
        self._lines[line] = state
        self._outbox.put(line_key(line), active_version.encode(state))
        if state.previous is not None:
            change = Watch(state.version, state.previous, state.since_ms)
            self._outbox.put(watch_key(line), watch.encode(change))
        self._outbox.emit(publish.lifecycle(line, state, now, self._partition, self._source))
        self._outbox.log(line_log.LifecycleEntry(line, state.version, state.previous, state.how, state.since_ms), line)

    def forget(self, model: str) -> None:
        """Keep nothing of a model; readers of the compacted topic are told that it is gone."""
        for key, _ in self._outbox.scan(labelled_key(model, ""), None, 1 << 30):
            self._outbox.put(key, None)
        for key in (line_key(model), watch_key(model)):
            self._outbox.put(key, None)
        self._lines.pop(model, None)
        self._labelled = {key: count for key, count in self._labelled.items() if key[0] != model}
        self._outbox.emit(publish.gone(model, self._partition))

    def active(self, line: str) -> ActiveVersion | None:
        """The line's active version."""
        if line not in self._lines:
            value = self._outbox.get([line_key(line)])[0]
            self._lines[line] = active_version.decode(value, line_key(line)) if value is not None else None
        return self._lines[line]

    def known(self) -> list[str]:
        """Every line of this partition that has an active version."""
        out: list[str] = []
        after: bytes | None = None
        while batch := self._outbox.scan(LINE, after, 1_000):
            after = batch[-1][0]
            out += [key[len(LINE) :].decode() for key, _ in batch]
        return out

    def log_labelled(self, parts: Iterable[Part]) -> None:
        """Log the cumulative labelled counts that the epoch changed."""
        change: dict[tuple[str, str], int] = {}
        for part in parts:
            for key, count in by_version(part, labels=True).items():
                change[key] = change.get(key, 0) + count
        touched = sorted(key for key, count in change.items() if count)
        totals = [(*key, total) for key, total in zip(touched, self._totals(touched), strict=True)]
        for run in bounds.pieces(totals, line_log.LIST_BYTES):
            self._outbox.log(line_log.LabelledEntry(run), None)

    def _log_hours(self, ended: dict[int, dict[str, dict[str, int]]]) -> None:
        """How a line's predictions lie over the day: the coordinator cuts its hold-outs by it."""
        counts = [
            (line, hour, sum(ended[hour][line].values())) for hour in sorted(ended) for line in sorted(ended[hour])
        ]
        for run in bounds.pieces(counts, line_log.LIST_BYTES):
            self._outbox.log(line_log.HoursEntry(run), None)

    def folded(self) -> None:
        """At a fold: store the labelled counts and the hours that have not ended, to carry them over."""
        # labels of days that are no longer kept may still come for a model that was forgotten
        keys = sorted(key for key, count in self._labelled.items() if count and self.active(key[0]) is not None)
        for key, total in zip(keys, self._totals(keys), strict=True):
            self._outbox.put(labelled_key(*key), bytes((_LABELLED_FORMAT,)) + total.to_bytes(8, "little"))
        self._labelled.clear()
        carried = {hour_key(*key): count for key, count in sorted(self._hours.items())}
        for gone in sorted(self._carried.keys() - carried.keys()):
            self._outbox.put(gone, None)
        for stored, count in carried.items():
            if self._carried.get(stored) != count:
                self._outbox.put(stored, bytes((_HOUR_FORMAT,)) + count.to_bytes(8, "little"))
        self._carried = carried

    def _totals(self, keys: list[tuple[str, str]]) -> list[int]:
        stored = self._outbox.get([labelled_key(*key) for key in keys])
        return [_labelled(value, key) + self._labelled.get(key, 0) for key, value in zip(keys, stored, strict=True)]

    def _count(self, part: Part) -> None:
        for item in part.hours:
            self._count_hour(item)
        for key, count in by_version(part, labels=True).items():
            self._labelled[key] = self._labelled.get(key, 0) + count

    def _count_hour(self, item: HourCount) -> None:
        key = (item.line, item.version, item.hour)
        self._hours[key] = self._hours.get(key, 0) + item.count

    def _forget_hours(self, now: int) -> None:
        self._hours = {key: count for key, count in self._hours.items() if (key[2] + 1) * HOUR_MS > now}


def by_version(part: Part, *, labels: bool) -> dict[tuple[str, str], int]:
    """Labels, or predictions, of a part by (line, version); corrections cancel out."""
    rows = part.rows()
    wanted = (rows.kinds >= deltas.LABEL_TN) == labels
    # float64 weights: exact below 2**53
    by_cell = np.bincount(rows.cells[wanted], weights=rows.counts[wanted], minlength=len(part.cells))
    sums: dict[tuple[str, str], int] = {}
    for cell, count in zip(part.cells, by_cell.tolist(), strict=True):
        if count:
            key = (cell.line, cell.version)
            sums[key] = sums.get(key, 0) + int(count)
    return sums


def _labelled(value: bytes | None, of: tuple[str, str]) -> int:
    if value is None:
        return 0
    what = at_key("labelled count", labelled_key(*of))
    stored = body(value, _LABELLED_FORMAT, what)
    if len(stored) != 8:
        raise Broken(f"{what} cannot be read: it has {len(stored)} bytes, not 8")
    return int.from_bytes(stored, "little")
