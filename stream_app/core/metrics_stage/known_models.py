"""What a lane knows of each model beside its cells: the active version, and how many predictions were ever labelled.

Both are stored as of the last fold (full hours and closes); the epochs since then are counted again from the pending
deltas after a restart, so between full hours only the delta log grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from schemas import bounds
from stream_app.core import model_log
from stream_app.core.counts import cells_codec, deltas
from stream_app.core.counts.deltas import Part
from stream_app.core.kit.codec import at_key, body
from stream_app.core.kit.days import day_of
from stream_app.core.kit.live_settings import AT_HAND
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import active_version, publish, watch
from stream_app.core.metrics_stage.active_version import ActiveVersion
from stream_app.core.metrics_stage.config import MetricsSettings
from stream_app.core.metrics_stage.keys import (
    MODEL,
    cell_prefix,
    labelled_key,
    model_key,
    split_cell_key,
    traffic_key,
    watch_key,
)
from stream_app.core.metrics_stage.traffic import Traffic
from stream_app.core.metrics_stage.watch import VersionChange
from stream_app.errors import Broken

_LABELLED_FORMAT = 1
#: Versions of a model that are looked at in one day, far more than any that could lead it.
MOST_VERSIONS = 1_000


class KnownModels:
    """Active versions and labelled counts of a lane's models."""

    def __init__(self, settings: MetricsSettings, partition: int, work: UnitOfWork) -> None:
        self._settings = settings
        self._work = work
        self._partition = partition
        self._source = settings.config.source
        self._models: dict[str, ActiveVersion | None] = {}
        self._traffic = Traffic(work)
        #: (model, version) → labelled predictions since the last fold
        self._labelled: dict[tuple[str, str], int] = {}

    def recount(self, parts: Iterable[Part]) -> None:
        """After a restart: the epochs handled since the last fold."""
        for part in parts:
            self._count(part)

    def decide(self, parts: Iterable[Part], before: int, now: int) -> None:
        """Active versions by what the epoch in (before, now] brought: each hour that has ended, then first versions."""
        fresh: dict[str, dict[str, int]] = {}
        for part in parts:
            self._count(part)
            if any(self.active(cell.model) is None for cell in part.cells):
                for (model, version), count in by_version(part, labels=False).items():
                    if self.active(model) is None:
                        versions = fresh.setdefault(model, {})
                        versions[version] = versions.get(version, 0) + count
        ended: list[tuple[str, int, int]] = []
        for hour, models in self._traffic.ended(before, now).items():
            for number, model in enumerate(models):
                if not number % AT_HAND:
                    self._settings.read(models[number : number + AT_HAND])
                made = self._traffic.hour(model, (hour, hour - 1))
                ended.append((model, hour, sum(made[0].values())))
                known = self.active(model)
                if known is not None:
                    rules = self._settings.rules_of(model).observed
                    self.activate(model, active_version.after_hour(known, hour, made, at_ms=now, rules=rules), now)
        self._log_hours(ended)
        for model in sorted(fresh):
            first = active_version.first_observed(fresh[model], now)
            if first is not None:
                self.activate(model, first, now)

    def observe(self, model: str, day: int, now: int) -> None:
        """At the 02:00 close after ``day``: who is active by the closed days, where hours are too small to speak."""
        known = self.active(model)
        if known is not None:
            rules = self._settings.rules_of(model).observed
            days = self._made(model, known, day)
            self.activate(model, active_version.after_close(known, days, at_ms=now, rules=rules), now)

    def _made(self, model: str, state: ActiveVersion, day: int) -> Iterator[dict[str, int]]:
        """Predictions by version of the day and those before it, newest first, made since ``state`` began."""
        changed = day_of(state.counted_from_ms)
        while day > changed:
            prefix = cell_prefix(day) + model.encode() + b"\0"
            yield {
                split_cell_key(key)[1]: cells_codec.decode(value, key, scores=False).counts.predictions
                for key, value in self._work.scan(prefix, None, MOST_VERSIONS)
            }
            day -= 1
        if day == changed:
            yield self._traffic.since(model, state)

    def activate(self, model: str, state: ActiveVersion, now: int) -> None:
        """Publish and log a change; nothing if there is none."""
        if state == self.active(model):
            return
        self._models[model] = state
        self._work.put(model_key(model), active_version.encode(state))
        if state.previous is not None:
            change = VersionChange(state.version, state.previous, state.since_ms)
            self._work.put(watch_key(model), watch.encode(change))
        self._work.emit(publish.lifecycle(model, state, now, self._partition, self._source))
        model_log.append(
            self._work, model_log.LifecycleEntry(model, state.version, state.previous, state.how, state.since_ms)
        )

    def forget(self, model: str) -> None:
        """Keep nothing of a model; readers of the compacted topic are told that it is gone."""
        for key, _ in self._work.scan(labelled_key(model, ""), None, 1 << 30):
            self._work.put(key, None)
        for key in (model_key(model), watch_key(model), traffic_key(model)):
            self._work.put(key, None)
        self._models.pop(model, None)
        self._labelled = {key: count for key, count in self._labelled.items() if key[0] != model}
        self._work.emit(publish.gone(model, self._partition))

    def active(self, model: str) -> ActiveVersion | None:
        """The model's active version."""
        if model not in self._models:
            value = self._work.get([model_key(model)])[0]
            self._models[model] = active_version.decode(value, model_key(model)) if value is not None else None
        return self._models[model]

    def known(self) -> list[str]:
        """Every model of this partition that has an active version."""
        out: list[str] = []
        after: bytes | None = None
        while batch := self._work.scan(MODEL, after, 1_000):
            after = batch[-1][0]
            out += [key[len(MODEL) :].decode() for key, _ in batch]
        return out

    def log_labelled(self, parts: Iterable[Part]) -> None:
        """Log the cumulative labelled counts that the epoch changed."""
        change: dict[tuple[str, str], int] = {}
        for part in parts:
            for key, count in by_version(part, labels=True).items():
                change[key] = change.get(key, 0) + count
        touched = sorted(key for key, count in change.items() if count)
        totals = [(*key, total) for key, total in zip(touched, self._totals(touched), strict=True)]
        for run in bounds.pieces(totals, model_log.LIST_BYTES):
            model_log.append(self._work, model_log.LabelledEntry(run))

    def _log_hours(self, counts: list[tuple[str, int, int]]) -> None:
        """How a model's predictions lie over the day: the coordinator cuts its hold-outs by it."""
        for run in bounds.pieces(counts, model_log.LIST_BYTES):
            model_log.append(self._work, model_log.HoursEntry(run))

    def fold(self, now: int) -> None:
        """Store what was counted since the last fold."""
        # labels of days that are no longer kept may still come for a model that was forgotten
        keys = sorted(key for key, count in self._labelled.items() if count and self.active(key[0]) is not None)
        for key, total in zip(keys, self._totals(keys), strict=True):
            self._work.put(labelled_key(*key), bytes((_LABELLED_FORMAT,)) + total.to_bytes(8, "little"))
        self._labelled.clear()
        self._traffic.fold({model: self.active(model) for model in self._traffic.models()}, now)

    def _totals(self, keys: list[tuple[str, str]]) -> list[int]:
        stored = self._work.get([labelled_key(*key) for key in keys])
        return [_labelled(value, key) + self._labelled.get(key, 0) for key, value in zip(keys, stored, strict=True)]

    def _count(self, part: Part) -> None:
        self._traffic.count(part.hours)
        for key, count in by_version(part, labels=True).items():
            self._labelled[key] = self._labelled.get(key, 0) + count


def by_version(part: Part, *, labels: bool) -> dict[tuple[str, str], int]:
    """Labels, or predictions, of a part by (model, version); corrections cancel out."""
    rows = part.rows()
    wanted = (rows.kinds >= deltas.LABEL_TN) == labels
    # float64 weights: exact below 2**53
    by_cell = np.bincount(rows.cells[wanted], weights=rows.counts[wanted], minlength=len(part.cells))
    sums: dict[tuple[str, str], int] = {}
    for cell, count in zip(part.cells, by_cell.tolist(), strict=True):
        if count:
            key = (cell.model, cell.version)
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
