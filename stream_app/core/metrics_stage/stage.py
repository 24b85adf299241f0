"""The metrics stage: one partition of models.

Deltas are put into the table on arrival. An epoch is handled when every source partition has closed it, and in this
order: operator commands, training results, deltas, tick. At full hours and closes the deltas are folded into the cells;
a tick that passes several closes runs them in time order. Applying commands, folding and closing are loops over many
checkpoints whose place stands in the lane state, so a restart goes on where the last checkpoint was; neither where
checkpoints fall nor in which order records of different inputs arrive can be seen in what is published. Open snapshots
are the exception: a live view, outside those promises.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from schemas.clock import TickView
from schemas.common import rfc3339
from schemas.unreadable import Unreadable
from stream_app.core import model_log
from stream_app.core.counts import cells_codec, deltas
from stream_app.core.counts.cells import EMPTY as NO_COUNTS
from stream_app.core.counts.cells import Cell
from stream_app.core.counts.cells import fold as fold_cell
from stream_app.core.hourly.rules import KEPT_DAYS
from stream_app.core.kit.audit import Auditor, Said
from stream_app.core.kit.changes import Change
from stream_app.core.kit.days import HOUR_MS, Close, closes_between, date_of, day_of, metrics_close
from stream_app.core.kit.effects import ConsumedRecord, Drained, Emit, TableReader
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage import active_version, border, publish
from stream_app.core.metrics_stage import lane_state as lane_states
from stream_app.core.metrics_stage.closing import Closer
from stream_app.core.metrics_stage.compare import Comparer
from stream_app.core.metrics_stage.config import MetricsConfig, MetricsSettings
from stream_app.core.metrics_stage.hourly import HourlyTier
from stream_app.core.metrics_stage.keys import CELL, DELTA, ORDER, cell_key, delta_key, order_key, split_cell_key
from stream_app.core.metrics_stage.known_models import KnownModels
from stream_app.core.metrics_stage.pending import Changes, Pending
from stream_app.core.metrics_stage.probation import Prober
from stream_app.core.metrics_stage.view import Taken
from stream_app.core.model_log import CommandEntry, ResultEntry
from stream_app.errors import Broken, Parked, UnknownFormat

STAGE: Final = "metrics"
DELTAS: Final = "model-deltas"
COMMANDS: Final = "operator-commands"
RESULTS: Final = "training-results"

#: Open snapshots go out at most once in each minute of tick time.
OPEN_EVERY_MS: Final = 60_000

#: Delta records read at once when a lane is opened: at most 26 MB at their largest.
RELOAD_RECORDS: Final = 32

#: Days after the last tick's that cells may have: predictions may be some minutes ahead of it.
_DAYS_AHEAD: Final = 2
#: Closes that a tick's entry names, the newest: those of eight months.
MOST_CLOSES: Final = 1_000

_ORDERS, _FOLD, _CLOSES, _PROBATIONS, _HOURLY = 0, 1, 2, 3, 4


class MetricsStage:
    """Cells and active versions of one model partition. Not thread-safe; owned by its lane."""

    #: set by the engine when the lane is at the head of its clock; only open snapshots depend on it
    live = False

    def __init__(self, config: MetricsConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        #: closes finished by this object, by kind; for figures alone
        self.closes_run: Counter[str] = Counter()
        self.load(None, None)

    def load(self, lane_state: bytes | None, table: TableReader | None) -> None:
        """Start from the positions record of the last commit, or from nothing."""
        self.lane_state = lane_states.decode(lane_state) if lane_state is not None else lane_states.MetricsLaneState()
        self._work = UnitOfWork(table, self.partition)
        self._pending = Pending()
        self.settings = MetricsSettings(self.config, self._work)
        self.models = KnownModels(self.settings, self.partition, self._work)
        self._comparer = Comparer(self.settings, self._work, self.models)
        self._hourly = HourlyTier(self.settings, self._work, self.models, self._comparer)
        self._closer = Closer(self.settings, self.partition, self._work, self.models, self._comparer, self._hourly)
        self._prober = Prober(self.settings, self._work, self._comparer)
        self._changes: Changes | None = None
        #: open cells that the fold in hand shows
        self._to_show: set[bytes] = set()
        #: tick of the last open snapshots, and the minute they went out in
        self._shown, self._shown_minute = self.lane_state.folded, -1
        #: end of the epoch whose counts the model book holds; in the middle of a tick only that tick knows it
        self._counted: int | None = None
        self._reload()
        if self.lane_state.progress.phase == _ORDERS:
            self._recount(self.lane_state.last_tick)

    def _reload(self) -> None:
        after: bytes | None = None
        while batch := self._work.scan(DELTA, after, RELOAD_RECORDS):
            for key, value in batch:
                self._pending.restore(int.from_bytes(key[3:], "big"), deltas.decode(value, key))
            after = batch[-1][0]
        self._pending.forget(self.lane_state.folded)

    def _recount(self, until: int) -> None:
        self.models.recount(self._pending.parts(self.lane_state.folded, until))
        self._counted = until

    # -- input ---------------------------------------------------------------------------------------------------

    def accept(self, alias: str, batch: Sequence[ConsumedRecord], tick: TickView | None) -> int:
        """Deltas come without a tick; commands and results with the tick that covers them. Both are stored first."""
        if alias == DELTAS:
            for record in batch:
                self._delta(record)
        elif tick is None:
            raise Broken(f"{alias} is gated by the clock and came without its covering tick")
        else:
            for record in batch:
                self._order(record, alias == COMMANDS)
        return len(batch)

    def _delta(self, record: ConsumedRecord) -> None:
        where = f"{record.topic}[{record.partition}] offset {record.offset}"
        if isinstance(record.value, Unreadable):
            raise Parked("unreadable_log", record.value.parks(record.topic, record.partition))
        try:
            delta = deltas.decode(record.value or b"")
        except Broken as error:
            raise Broken(f"{where} is not a delta record: {error}") from error
        except UnknownFormat as error:
            raise UnknownFormat(f"{where}: {error}") from error
        if not 0 <= delta.source < self.config.sources:
            raise Broken(f"{where} comes from source {delta.source}, and there are {self.config.sources}")
        closed, kept = self._pending.put(record.offset, delta, self.lane_state.closed.get(delta.source, 0))
        self.lane_state.closed[delta.source] = closed
        if kept is not None:
            value = record.value if kept is delta else deltas.encode(kept)
            self._work.put(delta_key(delta.source, record.offset), value)

    def _order(self, record: ConsumedRecord, command: bool) -> None:
        entry = border.taken(record, command, self.partition, self.config.partitions, STAGE)
        if isinstance(entry, Emit):
            self._work.emit(entry)
        else:
            self._work.put(order_key(command, record.offset), model_log.encode(entry))

    def waiting_for(self, tick: TickView) -> str | None:
        """The first source partition that has not closed this epoch."""
        for source in range(self.config.sources):
            if self.lane_state.closed.get(source, 0) < tick.at_ms:
                return f"labels-{source} to close {rfc3339(tick.at_ms)}"
        return None

    # -- tick ----------------------------------------------------------------------------------------------------

    def advance(self, tick: TickView) -> bool:
        """One bounded step of handling a tick; ``False`` until it is done."""
        progress = self.lane_state.progress
        now, before = tick.at_ms, self.lane_state.last_tick
        if now <= before:
            return True
        closes = closes_between(before, now) if before else []
        due = bool(closes) or not before or now // HOUR_MS > before // HOUR_MS
        if self._counted is None:
            self._recount(now)
        if progress.phase == _ORDERS:
            if not self._apply_commands(now):
                return False
            self._decide(before, now)
            if not due:
                self._show_open(now)
                self._finish(closes, now, due)
                return True
            progress.phase, progress.after = _FOLD, None
        if progress.phase == _FOLD:
            if not self._fold(before, now):
                return False
            progress.phase, progress.close, progress.task, progress.after = _CLOSES, 0, 0, None
            if closes:
                return False
        if progress.phase == _CLOSES:
            if not self._closer.run(closes, progress, now):
                return False
            progress.phase, progress.after = _PROBATIONS, None
        if progress.phase == _PROBATIONS:
            if not self._prober.run(progress, now):
                return False
            progress.phase, progress.after = _HOURLY, None
        if not self._hourly.run(progress, self._pending.parts(self.lane_state.folded, now), now):
            return False
        self._finish(closes, now, due)
        return True

    def _apply_commands(self, now: int) -> bool:
        """Forward the epoch's commands, then its results; those that name a version make it the active one."""
        batch = self._work.scan(ORDER, None, self.config.cells_a_step)
        for key, value in batch:
            entry = model_log.decode(value, key)
            if isinstance(entry, CommandEntry):
                entry = replace(entry, at_ms=now)
                model_log.append(self._work, entry)
                self._command(entry, now)
            elif isinstance(entry, ResultEntry):
                model_log.append(self._work, replace(entry, at_ms=now))
                if entry.serves is not None and entry.model != "*":
                    known = self.models.active(entry.model)
                    active = active_version.changed(known, entry.serves, "commanded", now)
                    self.models.activate(entry.model, active, now)
            self._work.remove_once_written(key)
        return len(batch) < self.config.cells_a_step

    def _command(self, found: CommandEntry, now: int) -> None:
        """Carry out what is metrics' own."""
        if found.unreadable is not None:
            return
        if found.command == "register":
            self._register(found, now)
        elif found.command == "rebaseline":
            self._rebaseline(found, now)
        elif found.values is not None:
            self._set(found, Change(found.model, found.values), now)

    def _register(self, found: CommandEntry, now: int) -> None:
        """Make a version the active one and say so, or why not."""
        model, known = found.model, self.models.active(found.model) if found.model != "*" else None
        if model == "*":
            self._say(found, "refused", "model_needed: register needs a model, not *", now)
        elif known is not None and known.version == found.version:
            text = f"{known.version} was active already, since {rfc3339(known.since_ms)}: {found.reason}"
            self._say(found, "applied", text, now)
        else:
            state = active_version.changed(known, found.version or "", "registered", now)
            self.models.activate(model, state, now)
            before = f" after {state.previous}" if state.previous is not None else ""
            self._say(found, "applied", f"{state.version} is active{before}: {found.reason}", now)

    def _rebaseline(self, found: CommandEntry, now: int) -> None:
        """Begin the baseline of a model, or of all, again and say so, or why not."""
        model, known = found.model, self.models.active(found.model) if found.model != "*" else None
        if model != "*" and known is None:
            self._say(found, "refused", "no_active_version: no version of this model is active", now)
            return
        day = day_of(now)
        for name in [model] if model != "*" else self.models.known():
            self._comparer.rebaseline(name, day)
            self._hourly.rebaseline(name, now)
        whose = known.version if known is not None else "every model's active version"
        self._say(found, "applied", f"the baseline of {whose} begins again on {date_of(day)}: {found.reason}", now)

    def _say(self, found: CommandEntry, decision: str, reason: str, now: int) -> None:
        """What became of a person's command; of one about all models partition 0 alone tells the audit."""
        model_log.append(self._work, model_log.effect(found, STAGE, decision != "refused", reason))
        if (model := found.model) != "*" or self.partition == 0:
            said = Said(model, found.actor, found.command, decision, found.id, (found.id,), reason)
            auditor = Auditor(STAGE, self.partition, self.config.source)
            self.settings.read([model] if model != "*" else [])
            # before the epoch's counts are taken in: what had been read is what the last epoch ended with
            self._work.emit(auditor.record(said, now, self.lane_state.inputs(), self.settings.hash_of(model)))

    def _set(self, found: CommandEntry, change: Change, now: int) -> None:
        """Change settings and tell readers; of what cannot be, the coordinator tells people."""
        try:
            self.settings.change(change)
        except ValueError:
            return
        if found.model != "*" or self.partition == 0:
            for emit in publish.settings(change, found, self.partition, self.config.source):
                self._work.emit(emit)

    def _decide(self, before: int, now: int) -> None:
        for source, part in self._pending.epochs(before, now):
            if part.closed is not None:
                self.lane_state.note(source, part)
        self.models.decide(self._pending.parts(before, now), before, now)
        self._counted = now

    def _fold(self, before: int, now: int) -> bool:
        """Fold deltas into up to ``cells_a_step`` cells; publish what became of days closed before this tick."""
        progress = self.lane_state.progress
        if self._changes is None:
            parts = self._pending.parts(self.lane_state.folded, now)
            self._changes = Changes(parts, day_of(now) - self.config.retention_days)
            self._to_show = self._newly_changed(now) if self.live else set()
        keys = self._changes.keys
        start = 0
        if progress.after is not None:
            start = bisect_right(keys, progress.after)
        stop = min(start + self.config.cells_a_step, len(keys))
        step = keys[start:stop]
        self._hourly.fold(step, self._changes.hours(start, stop), oldest=day_of(now) - KEPT_DAYS)
        closed_by = before or now
        if self.settings.of_models():
            self.settings.read(model for model, _, day in map(split_cell_key, step) if metrics_close(day) <= closed_by)
        for key, change, stored in zip(step, self._changes.take(start, stop), self._work.get(step), strict=True):
            progress.after = key
            if not change.vector.any():
                continue  # a label taken back and given again within the stretch is no change
            old = cells_codec.decode(stored, key) if stored is not None else Cell(NO_COUNTS)
            model, version, day = split_cell_key(key)
            if old.folded_to >= now:
                raise Broken(f"{model} {version} day {day}: folded to {old.folded_to} already, would be counted twice")
            cell = fold_cell(old, change, now)
            if metrics_close(day) <= closed_by:
                cell = self._closer.revised(model, version, day, old, cell, closed_by, now)
            elif key in self._to_show:
                self._emit_open((model, version, day), cell, now)
            self._work.put(key, cells_codec.encode(cell))
        if stop < len(keys):
            return False
        self._changes = None
        if self.live:
            self._shown, self._shown_minute = now, now // OPEN_EVERY_MS
        return True

    def _finish(self, closes: list[Close], now: int, due: bool) -> None:
        lane_state = self.lane_state
        self.models.log_labelled(self._pending.parts(lane_state.last_tick, now))
        if due:
            self.models.fold(now)
            lane_state.folded = now
            for key in self._pending.forget(now):
                self._work.remove_once_written(key)
        passed: list[tuple[str, int]] = [(c.kind, c.at_ms) for c in closes[-MOST_CLOSES:]]
        model_log.append(self._work, model_log.TickEntry(now, lane_state.inputs(), passed, lane_state.totals()))
        self.closes_run.update(c.kind for c in closes)
        lane_state.last_tick = now
        lane_state.progress = lane_states.TickProgress()

    # -- the live view -------------------------------------------------------------------------------------------

    def _newly_changed(self, now: int) -> set[bytes]:
        """Cells of days that are open at ``now`` and changed since they were shown; none twice in a minute."""
        if now // OPEN_EVERY_MS <= self._shown_minute:
            return set()
        return {
            cell_key(cell.model, cell.version, cell.day)
            for part in self._pending.parts(max(self._shown, self.lane_state.folded), now)
            for cell in part.cells
            if metrics_close(cell.day) > now
        }

    def _show_open(self, now: int) -> None:
        """Open snapshots between two folds: the stored cell and what is pending on top."""
        if not self.live or now // OPEN_EVERY_MS <= self._shown_minute:
            return
        wanted = self._newly_changed(now)
        found = Changes(self._pending.parts(self.lane_state.folded, now), 0, wanted)
        taken = found.take(0, len(found.keys))
        for key, change, stored in zip(found.keys, taken, self._work.get(found.keys), strict=True):
            cell = cells_codec.decode(stored, key) if stored is not None else Cell(NO_COUNTS)
            self._emit_open(split_cell_key(key), fold_cell(cell, change, now), now)
        self._shown, self._shown_minute = now, now // OPEN_EVERY_MS

    def _emit_open(self, of: tuple[str, str, int], cell: Cell, now: int) -> None:
        model, version, _ = of
        source, estimates = self.config.source, self._comparer.estimates.of(model, version, cell.counts)
        self._work.emit(
            publish.snapshot(of, cell, estimates, closed=False, at_ms=now, partition=self.partition, source=source)
        )

    # -- effects -------------------------------------------------------------------------------------------------

    def drain(self) -> Drained:
        """Effects since the last drain; the table holds them before the stage is called again."""
        return self._work.drain(lane_states.encode(self.lane_state))

    # -- for people, not for the log (:mod:`.view`) --------------------------------------------------------------

    @property
    def hourly_allowed(self) -> float:
        """False hourly alerts that budgets allow in 30 days, for the models at the last 02:00 close of this object."""
        return self._hourly.allowed

    def cell_days(self) -> tuple[int, int]:
        """The oldest and the newest day that may have stored cells; (1, 0) if there are none."""
        oldest = self._work.scan(CELL, None, 1)
        if not oldest:
            return 1, 0
        first = split_cell_key(oldest[0][0])[2]
        return first, max(first, day_of(max(self.lane_state.last_tick, self.lane_state.folded)) + _DAYS_AHEAD)

    def scan_cells(self, prefix: bytes, after: bytes | None, limit: int) -> list[bytes]:
        """Keys of stored cells under ``prefix`` above ``after``."""
        return [key for key, _ in self._work.scan(prefix, after, limit)]

    def take(self, keys: list[bytes]) -> Taken:
        """Stored cells by key and what is pending, as of now."""
        until = max(self.lane_state.closed.values(), default=0)
        stored = dict(zip(keys, self._work.get(keys), strict=True))
        return Taken(stored, list(self._pending.parts(self.lane_state.folded, until)), self.lane_state.folded, until)
