"""Closes: what a tick triggers when a daily time has passed. Loops over cells whose place stands in the lane state."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from stream_app.core import model_log
from stream_app.core.counts import cells_codec
from stream_app.core.counts.cells import Cell
from stream_app.core.counts.figures import figures
from stream_app.core.hourly.rules import KEPT_DAYS
from stream_app.core.kit.days import Close, day_of, metrics_close
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import publish
from stream_app.core.metrics_stage.compare import Comparer
from stream_app.core.metrics_stage.config import MetricsConfig, MetricsSettings
from stream_app.core.metrics_stage.hourly import HourlyTier
from stream_app.core.metrics_stage.keys import CELL, HOURS, MODEL, cell_prefix, split_cell_key
from stream_app.core.metrics_stage.known_models import KnownModels
from stream_app.core.metrics_stage.lane_state import TickProgress


class _Task(NamedTuple):
    what: str
    day: int
    #: the rule's number of days
    days: int


#: What a model costs in the cells of a step: a comparison reads some forty, references as many days by hours, looking
#: for its active version some seven.
_MODEL_COSTS = {"compare": 10, "observe": 2, "forget": 1, "references": 10}


class Closer:
    """Publishes closed days, has models compared, forgets old days, and models that have none left."""

    def __init__(
        self,
        settings: MetricsSettings,
        partition: int,
        work: UnitOfWork,
        models: KnownModels,
        comparer: Comparer,
        hourly: HourlyTier,
    ) -> None:
        self._settings = settings
        self._partition = partition
        self._work = work
        self._models = models
        self._comparer = comparer
        self._hourly = hourly

    @property
    def _config(self) -> MetricsConfig:
        return self._settings.config

    def run(self, closes: list[Close], progress: TickProgress, now: int) -> bool:
        """A bounded number of cells and models of the closes the tick passed, in time order; ``False`` until done."""
        budget = self._config.cells_a_step
        while progress.close < len(closes):
            close = closes[progress.close]
            tasks = self._tasks(close)
            while progress.task < len(tasks):
                task = tasks[progress.task]
                prefix, cost = self._place(task)
                limit = max(1, budget // cost)
                batch = self._work.scan(prefix, progress.after, limit)
                budget -= len(batch) * cost
                ended = len(batch) < limit
                self._have_at_hand(task, batch)
                if task.what == "references":
                    self._hourly.close(close, [key[len(MODEL) :].decode() for key, _ in batch])
                for key, value in batch:
                    if task.what in ("expire", "expire_hours") and split_cell_key(key)[2] >= task.day:
                        ended = True
                        break
                    if task.what == "observe":
                        self._models.observe(key[len(MODEL) :].decode(), task.day, now)
                    elif task.what == "compare":
                        self._compare(close, key[len(MODEL) :].decode(), now)
                    elif task.what == "forget":
                        self._forget(close, key[len(MODEL) :].decode(), now)
                    elif task.what != "references":
                        self._do(task, close, key, value, now)
                    progress.after = key
                if ended:
                    progress.task, progress.after = progress.task + 1, None
                if budget <= 0:
                    return False
            progress.close, progress.task = progress.close + 1, 0
        return True

    def _have_at_hand(self, task: _Task, batch: list[tuple[bytes, bytes]]) -> None:
        """Read the rules of a batch's models at once."""
        if task.what in ("compare", "observe", "references"):
            self._settings.read(key[len(MODEL) :].decode() for key, _ in batch)
        elif task.what in ("publish", "assume"):
            self._settings.read(split_cell_key(key)[0] for key, _ in batch)

    def _tasks(self, close: Close) -> list[_Task]:
        """Scans a close consists of."""
        last = close.day - 1
        models = _Task("compare", 0, 0)
        if close.kind != "metrics":
            return [models]
        return [
            _Task("publish", last, 0),
            *(_Task("assume", last - days, days) for days in self._settings.assume_days()),
            _Task("forget", close.day - self._config.retention_days, 0),
            _Task("observe", last, 0),
            models,
            _Task("references", close.day, 0),
            _Task("expire", close.day - self._config.retention_days, 0),
            _Task("expire_hours", close.day - KEPT_DAYS, 0),
        ]

    @staticmethod
    def _place(task: _Task) -> tuple[bytes, int]:
        """Prefix of what a task visits, and what a visit costs."""
        if task.what in _MODEL_COSTS:
            return MODEL, _MODEL_COSTS[task.what]
        everything = {"expire": CELL, "expire_hours": HOURS}
        return everything.get(task.what, cell_prefix(task.day)), 1

    def _compare(self, close: Close, model: str, now: int) -> None:
        """Compare a model; days whose snapshot shows something new go out as their next revision."""
        for key, cell, note in self._comparer.run(close, model, now):
            noted = replace(cell, drift=note)
            if cell.revision:
                _, version, day = split_cell_key(key)
                noted = self.revised(model, version, day, cell, noted, close.at_ms, now)
            self._work.put(key, cells_codec.encode(noted))

    def _forget(self, close: Close, model: str, now: int) -> None:
        """Forget a model whose newest predictions, and whose last change of version, are as old as what expires now."""
        known = self._models.active(model)
        newest = self._comparer.stand(model).newest
        last = max(newest, day_of(known.since_ms)) if known is not None else newest
        if last >= close.day - self._config.retention_days:
            return
        self._comparer.forget(model)
        self._hourly.forget(model)
        self._models.forget(model)
        model_log.append(self._work, model_log.ForgottenEntry(model, self._config.retention_days, close.at_ms))

    def _do(self, task: _Task, close: Close, key: bytes, value: bytes, now: int) -> None:
        model, version, day = split_cell_key(key)
        if task.what in ("expire", "expire_hours"):
            self._work.put(key, None)
            return
        if task.what == "assume" and self._settings.rules_of(model).assume_after_days != task.days:
            return
        cell = cells_codec.decode(value, key)
        if task.what == "publish" and cell.revision:
            return
        revised = self.revised(model, version, day, cell, cell, close.at_ms, now)
        if (revised.revision, revised.assume_negative) != (cell.revision, cell.assume_negative):
            self._work.put(key, cells_codec.encode(revised))

    def revised(self, model: str, version: str, day: int, old: Cell, cell: Cell, closed_by: int, now: int) -> Cell:
        """The cell with its next revision, published and logged, if its snapshot differs from the one published.

        ``old``: the cell as it was published last; ``closed_by`` (epoch ms): the close up to which rules apply.
        """
        days = self._settings.rules_of(model).assume_after_days
        assume = old.assume_negative or (days is not None and metrics_close(day + days) <= closed_by)
        cell = replace(cell, assume_negative=assume)
        if (
            old.revision
            and cell.drift == old.drift
            and figures(cell.counts, assume) == figures(old.counts, old.assume_negative)
        ):
            return cell
        if not old.revision:
            self._comparer.note_closed(model, version, day)
        cell = replace(cell, revision=old.revision + 1)
        source, estimates = self._config.source, self._comparer.estimates.of(model, version, cell.counts)
        self._work.emit(
            publish.snapshot(
                (model, version, day), cell, estimates, closed=True, at_ms=now, partition=self._partition, source=source
            )
        )
        fn, tp = int(cell.counts.vector[3]), int(cell.counts.vector[5])
        entry = model_log.SnapshotEntry(model, version, day, cell.revision, cell.counts.labelled, fn + tp)
        model_log.append(self._work, entry)
        return cell
