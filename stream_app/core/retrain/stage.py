"""The retrain stage: one partition of the drift log in; orders, jobs, audit and the decision log out.

A log stage: one input in one order, no clock but the log's ticks. Every entry is forwarded unchanged. What an epoch
brings for the coordinators is stored and handled at its tick, in the log's order, because only the tick knows the time
and the barriers; then come the timers that fell due, and then the tick is forwarded. So every decision stands in the
log after its event and before the epoch's tick, and where checkpoints fall cannot be seen in what is published.

=========================  =========================================================================================
key                        value and growth
=========================  =========================================================================================
``J`` + line               coordinator (:mod:`~stream_app.core.retrain.state`); one a model, and of forgotten ones that
                           were trained the number of their trainings
``H`` + line               history of labels (:mod:`~stream_app.core.retrain.history`); one a model
``P`` + line               hours of a usual day (:mod:`~stream_app.core.retrain.profile`); one a model
``Y`` + line, 0, day, …    labelled rows of a version's day; as long as the history remembers the day
``B`` + day                barriers (:mod:`~stream_app.core.retrain.barriers`); one a day remembered
``E`` + offset (u8)        entry of the epoch in hand (:mod:`~stream_app.core.line_log`), without its published record
``T`` + line               mark: the coordinator is not idle
``V`` + …                  changed settings (:mod:`~stream_app.core.kit.settings_table`)
=========================  =========================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from schemas.clock import TickView
from schemas.drift import DriftKind
from stream_app.core import line_log
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.kit.audit import Said
from stream_app.core.kit.changes import Change
from stream_app.core.kit.days import day_of
from stream_app.core.kit.effects import ConsumedRecord, Drained, Emit, TableReader
from stream_app.core.kit.epoch_log import EpochLog
from stream_app.core.kit.log_stage import LogStage
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.line_log import decoding, entry_of
from stream_app.core.retrain import barriers, reading
from stream_app.core.retrain import memo as memos
from stream_app.core.retrain.config import RetrainConfig, RetrainSettings
from stream_app.core.retrain.effects import COORDINATOR
from stream_app.core.retrain.events import Approve, Event, Forgotten, ProbationLook, Retrain, Seen, TickEvent
from stream_app.core.retrain.machine import step
from stream_app.core.retrain.memory import CoordinatorStates
from stream_app.core.retrain.publish import DECISION_LOG, JOBS, Publisher
from stream_app.core.retrain.state import LineState

STAGE: Final = "retrain"
LOG: Final = "log"

_JUDGED = (DriftKind.STATISTICAL, DriftKind.PERFORMANCE)


class RetrainStage(LogStage):
    """Coordinators of one line partition. Not thread-safe; owned by its lane."""

    def __init__(self, config: RetrainConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, memo: bytes | None, table: TableReader | None) -> None:
        """Start from the last commit; coordinators that are not idle are found by their marks."""
        self.memo = memos.decode(memo) if memo is not None else memos.RetrainLaneState()
        self._work = UnitOfWork(table, self.partition)
        self._epoch = EpochLog(self._work)
        self.settings = RetrainSettings(self.config, self._work)
        self._memory = CoordinatorStates(self.settings, self._work)

    @property
    def last_tick(self) -> int:
        """Last tick handled, epoch ms; 0 before the first."""
        return self.memo.last_tick

    # -- input ---------------------------------------------------------------------------------------------------

    def accept(self, alias: str, batch: Sequence[ConsumedRecord], tick: TickView | None) -> int:
        """Entries in the log's order; stops at a tick whose epoch takes another step."""
        self._epoch.begin_call()
        for number, record in enumerate(batch):
            with decoding(record):
                entry = entry_of(record)
                if isinstance(entry, line_log.TickEntry):
                    if not self._tick(entry):
                        return number
                else:
                    self._entry(record.offset, entry)
            self._work.emit(Emit(DECISION_LOG, self.partition, record.key, record.value, []))
        return len(batch)

    def drain(self) -> Drained:
        """Effects since the last drain; the table holds them before the stage is called again."""
        return self._work.drain(memos.encode(self.memo))

    def _entry(self, offset: int, entry: line_log.Entry) -> None:
        """What is known of the data is noted at once; what a coordinator must answer waits for the tick."""
        if isinstance(entry, line_log.SnapshotEntry):
            self._memory.closed(entry)
        elif isinstance(entry, line_log.CompletenessEntry):
            known = self._memory.history(entry.line)
            if known.completed(entry):
                self._memory.keep(entry.line, known)
        elif isinstance(entry, line_log.HoursEntry):
            self._memory.hours(entry.counts)
        elif isinstance(entry, line_log.EventEntry):
            known = self._memory.history(entry.line)
            found = entry.finding
            if known.judged(found):
                self._memory.keep(entry.line, known)
            if found.kind in _JUDGED and found.check is None:
                self._remember(offset, line_log.EventEntry(replace(found, windows=[])))
        elif isinstance(
            entry,
            line_log.CommandEntry
            | line_log.ResultEntry
            | line_log.LifecycleEntry
            | line_log.ProbationEntry
            | line_log.ForgottenEntry,
        ):
            self._remember(offset, entry)

    def _remember(self, offset: int, entry: line_log.Entry) -> None:
        self._epoch.remember(offset, line_log.encode(entry))

    # -- tick ----------------------------------------------------------------------------------------------------

    def _tick(self, entry: line_log.TickEntry) -> bool:
        """Handle an epoch; ``False`` if the budget ends before it, and the rest waits in the table."""
        memo, now_ms = self.memo, entry.at_ms
        if now_ms <= memo.last_tick:
            return True
        self._now_ms, self._inputs = now_ms, entry.inputs
        self._publisher = Publisher(self.settings, self.partition, now_ms, entry.inputs)
        barriers.remember(self._work, memo.last_tick, memo.inputs, now_ms, self.config.history_days + 2)
        if not self._epoch.handle(self._batch):
            return False
        for names in self._memory.timers.due(now_ms):
            lines = [name.decode() for name in names]
            self._memory.read(lines)
            for line in lines:
                self._step(line, TickEvent())
            self._memory.forget()
        memo.last_tick, memo.inputs = now_ms, entry.inputs
        return True

    def _batch(self, batch: list[tuple[bytes, bytes]]) -> None:
        entries = [line_log.decode(value, key) for key, value in batch]
        self._memory.read({line for entry in entries if (line := getattr(entry, "line", "*")) != "*"})
        for entry in entries:
            self._handle(entry)
        self._memory.forget()

    def _handle(self, entry: line_log.Entry) -> None:
        if isinstance(entry, line_log.EventEntry):
            found = entry.finding
            if not found.drift:
                if found.kind in self._memory.states[entry.line].runs:
                    self._step(entry.line, reading.run_ended(found))
                return
            first = found.run_from if found.run_from is not None else found.day
            self._step(entry.line, reading.drift(found, self._seen(entry.line, first, found.faults)))
        elif isinstance(entry, line_log.ForgottenEntry):
            self._step(entry.line, Forgotten(entry.days, entry.close_ms))
            self._memory.forget_model(entry.line)
            self._work.emit(Emit(JOBS, self.partition, entry.line.encode(), None, []))
        elif isinstance(entry, line_log.LifecycleEntry):
            self._step(entry.line, reading.version_changed(entry))
        elif isinstance(entry, line_log.ProbationEntry):
            windows = tuple(entry.windows)
            seen = self._seen(entry.line, self._days_back(entry.line))
            look = ProbationLook(entry.version, entry.previous, entry.since_ms, windows, seen)
            self._step(entry.line, look, windows)
        elif isinstance(entry, line_log.ResultEntry):
            if entry.unreadable is not None:
                self._unreadable(entry.line, "result", entry.id, entry.unreadable)
            else:
                self._step(entry.line, reading.result(entry))
        elif isinstance(entry, line_log.CommandEntry):
            self._command(entry)

    def _command(self, found: line_log.CommandEntry) -> None:
        """One about all lines is said by partition 0 alone; on each line it is said what it did there."""
        order, line = found.command, found.line
        if found.unreadable is not None:
            self._unreadable(line, "command", found.id, found.unreadable)
            return
        if order == "set":
            self._set(found)
            return
        if order in reading.PASSED_ON:
            return
        if line != "*":
            self._order(line, found)
        elif order not in reading.FOR_ALL:
            self._say(line, found.actor, order, "refused", found.id, f"line_needed: {order} needs a line, not *")
        else:
            self._say(line, found.actor, order, "ordered", found.id, found.reason)
            for each in (name.decode() for name in self._memory.timers.names()):
                self._memory.read([each])
                if _concerns(order, self._memory.states[each]):
                    self._order(each, found)

    def _set(self, found: line_log.CommandEntry) -> None:
        """Change settings, and say what became of it for all the stages that met the same command."""
        line, values = found.line, found.values or {}
        try:
            if found.unusable is not None:
                raise ValueError(found.unusable)
            self.settings.change(Change(line, values))
        except ValueError as error:
            self._say(line, found.actor, "set", "refused", found.id, f"unusable_setting: {error}")
            return
        self._memory.changed(line)
        shown = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        self._say(line, found.actor, "set", "applied", found.id, f"{shown}: {found.reason}")

    def _order(self, line: str, found: line_log.CommandEntry) -> None:
        event: Event
        if found.command == "retrain":
            event = Retrain(found.id, found.actor, found.reason, self._seen(line, self._days_back(line)))
        elif found.command == "approve":
            job = self._memory.states[line].job
            first = job.cause.first_day if job is not None else self._days_back(line)
            event = Approve(found.id, found.actor, found.reason, self._seen(line, first), found.subject)
        else:
            event = reading.by_hand(found)
        self._step(line, event)

    # -- one line --------------------------------------------------------------------------------------------------

    def _step(self, line: str, event: Event, windows: Sequence[LabelWindow] = ()) -> None:
        before = self._memory.states[line]
        config = self.settings.of(line)
        after, effects = step(config, before, event, now_ms=self._now_ms)
        for effect in effects:
            for emit in self._publisher.effect(line, effect, windows):
                self._work.emit(emit)
        if after != before:
            self._memory.write(line, after)

    def _seen(self, line: str, first_day: int, faults: Sequence[str] | None = None) -> Seen:
        return self._memory.seen(line, first_day, self._now_ms, self._inputs, faults)

    def _days_back(self, line: str) -> int:
        return day_of(self._now_ms) - self.settings.rules_of(line).rules.retrain_range_days

    # -- words ---------------------------------------------------------------------------------------------------

    def _say(self, line: str, actor: str, action: str, decision: str, id: str, reason: str) -> None:
        if line != "*" or self.partition == 0:
            self._work.emit(self._publisher.audit(Said(line, actor, action, decision, id, (id,), reason)))

    def _unreadable(self, line: str, what: str, id: str, why: str) -> None:
        self._say(line, COORDINATOR, f"read_{what}", "refused", id, f"unreadable_{what}: {why}")


def _concerns(order: str, known: LineState) -> bool:
    """Whether an order about all lines means this one."""
    if order == "reset_circuit":
        return known.circuit_open
    if order == "dismiss":
        return known.failure is not None and known.state != "halted"
    return known.job is not None and known.job.asked is not None
