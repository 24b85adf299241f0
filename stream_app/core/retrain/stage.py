"""The retrain stage: one partition of the drift log in; commands, jobs, audit and the decision log out.

A log stage: one input in one order, no clock but the log's ticks. Every entry is forwarded unchanged. What an epoch
brings for the coordinators is stored and handled at its tick, in the log's order, because only the tick knows the time
and the end offsets; then come the timers that fell due, and then the tick is forwarded. So every decision stands in the
log after its event and before the epoch's tick, and where checkpoints fall cannot be seen in what is published.

=========================  =========================================================================================
key                        value and growth
=========================  =========================================================================================
``J`` + model               coordinator (:mod:`~stream_app.core.retrain.state`); one a model, and of forgotten ones that
                           were trained the number of their trainings
``H`` + model               history of labels (:mod:`~stream_app.core.retrain.history`); one a model
``P`` + model               hours of a usual day (:mod:`~stream_app.core.retrain.profile`); one a model
``Y`` + model, 0, day, …    labelled rows of a version's day; as long as the history remembers the day
``B`` + day                end offsets (:mod:`~stream_app.core.retrain.day_offsets`); one a day remembered
``E`` + offset (u8)        entry of the epoch in hand (:mod:`~stream_app.core.model_log`), without its published record
``Q`` + ms (u8) + model     passed a policy's check at that time and waits for its turn
``T`` + model               mark: the coordinator is not idle
``V`` + …                  changed settings (:mod:`~stream_app.core.kit.settings_table`)
=========================  =========================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from schemas.drift import DriftKind
from stream_app.core import model_log
from stream_app.core.comparisons.finding import HOURLY
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.epoch_stage import EpochStage
from stream_app.core.kit.audit import Said
from stream_app.core.kit.changes import Change
from stream_app.core.kit.effects import ConsumedRecord, Drained, Emit, TableReader
from stream_app.core.kit.epoch_log import EpochLog
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.retrain import day_offsets, reading
from stream_app.core.retrain import lane_state as lane_states
from stream_app.core.retrain.config import RetrainConfig, RetrainSettings
from stream_app.core.retrain.data_range import Asked
from stream_app.core.retrain.effects import COORDINATOR, Audit, CommandRefused, Effect, Wait
from stream_app.core.retrain.events import (
    Approve,
    Event,
    Forgotten,
    PolicyCheck,
    ProbationWindows,
    Retrain,
    Seen,
    TickEvent,
)
from stream_app.core.retrain.machine import step
from stream_app.core.retrain.memory import CoordinatorStates
from stream_app.core.retrain.policies import under_way
from stream_app.core.retrain.publish import DECISION_LOG, JOBS, Publisher
from stream_app.core.retrain.state import ModelState

STAGE: Final = "retrain"
#: models that wait for a turn of their policy's training
WAITING: Final = b"Q"

_JUDGED = (DriftKind.STATISTICAL, DriftKind.PERFORMANCE)


class RetrainStage(EpochStage):
    """Coordinators of one model partition. Not thread-safe; owned by its lane."""

    def __init__(self, config: RetrainConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, lane_state: bytes | None, table: TableReader | None) -> None:
        """Start from the last commit; coordinators that are not idle are found by their marks."""
        self.lane_state = lane_states.decode(lane_state) if lane_state is not None else lane_states.RetrainLaneState()
        self._work = UnitOfWork(table, self.partition)
        self._epoch = EpochLog(self._work)
        self.settings = RetrainSettings(self.config, self._work)
        self._memory = CoordinatorStates(self.settings, self._work)

    @property
    def last_tick(self) -> int:
        """Last tick handled, epoch ms; 0 before the first."""
        return self.lane_state.last_tick

    # -- input ---------------------------------------------------------------------------------------------------

    def _pass_on(self, record: ConsumedRecord) -> None:
        self._work.emit(Emit(DECISION_LOG, self.partition, record.key, record.value, []))

    def drain(self) -> Drained:
        """Effects since the last drain; the table holds them before the stage is called again."""
        return self._work.drain(lane_states.encode(self.lane_state))

    def _entry(self, offset: int, entry: model_log.Entry) -> None:
        """What is known of the data is noted at once; what a coordinator must answer waits for the tick."""
        if isinstance(entry, model_log.SnapshotEntry):
            self._memory.closed(entry)
        elif isinstance(entry, model_log.CompletenessEntry):
            known = self._memory.history(entry.model)
            if known.completed(entry):
                self._memory.keep(entry.model, known)
        elif isinstance(entry, model_log.HoursEntry):
            self._memory.hours(entry.counts)
        elif isinstance(entry, model_log.EventEntry):
            known = self._memory.history(entry.model)
            found = entry.finding
            if known.judged(found, entry.bounds):
                self._memory.keep(entry.model, known)
            if found.kind in _JUDGED and (found.check is None or (found.check == HOURLY and found.drift)):
                self._remember(offset, model_log.EventEntry(replace(found, windows=[]), entry.repair))
        elif isinstance(
            entry,
            model_log.CommandEntry
            | model_log.ResultEntry
            | model_log.LifecycleEntry
            | model_log.ProbationEntry
            | model_log.ForgottenEntry,
        ):
            self._remember(offset, entry)

    def _remember(self, offset: int, entry: model_log.Entry) -> None:
        self._epoch.remember(offset, model_log.encode(entry))

    # -- tick ----------------------------------------------------------------------------------------------------

    def _tick(self, entry: model_log.TickEntry) -> bool:
        """Handle an epoch; ``False`` if the budget ends before it, and the rest waits in the table."""
        lane_state, now_ms = self.lane_state, entry.at_ms
        if now_ms <= lane_state.last_tick:
            return True
        self._now_ms, self._inputs = now_ms, entry.inputs
        self._publisher = Publisher(self.settings, self.partition, now_ms, entry.inputs)
        day_offsets.remember(self._work, lane_state.last_tick, lane_state.inputs, now_ms, self.config.history_days + 2)
        if not self._epoch.handle(self._batch):
            return False
        for names in self._memory.timers.due(now_ms):
            models = [name.decode() for name in names]
            self._memory.read(models)
            for model in models:
                self._step(model, TickEvent(self._of_repair(model)))
            self._memory.forget()
        self._take_turns()
        lane_state.last_tick, lane_state.inputs = now_ms, entry.inputs
        return True

    def _take_turns(self) -> None:
        """Let policies' trainings begin that waited, the oldest first, as long as there is room for one."""
        after: bytes | None = None
        while self.lane_state.waiting and (found := self._work.scan(WAITING, after, 1)):
            after = found[0][0]
            model = after[len(WAITING) + 8 :].decode()
            self._memory.read([model])
            if not self._free(model):
                break
            self._work.put(after, None)
            self.lane_state.waiting -= 1
            self._policies(model, int.from_bytes(after[len(WAITING) : len(WAITING) + 8], "big"), self._now_ms)
        self._memory.forget()

    def _free(self, model: str) -> bool:
        return self.lane_state.trainings < self.settings.rules_of(model).rules.retrain_at_once

    def _policies(self, model: str, close_ms: int, again_ms: int = 0) -> None:
        """Ask the policies of a model that has any beside drift."""
        if all(policy == "drift" for policy in self.settings.rules_of(model).rules.retrain_policies):
            return
        labelled = self._memory.history(model).labelled
        free = self._free(model) and (bool(again_ms) or not self.lane_state.waiting)
        self._step(model, PolicyCheck(close_ms, self._seen(model, Asked()), labelled, free, again_ms))

    def _batch(self, batch: list[tuple[bytes, bytes]]) -> None:
        entries = [model_log.decode(value, key) for key, value in batch]
        self._memory.read({model for entry in entries if (model := getattr(entry, "model", "*")) != "*"})
        for entry in entries:
            self._handle(entry)
        self._memory.forget()

    def _handle(self, entry: model_log.Entry) -> None:
        if isinstance(entry, model_log.EventEntry):
            found = entry.finding
            if found.drift:
                onset = found.run_from if found.run_from is not None else found.day
                seen = self._seen(entry.model, Asked(onset), found.faults if found.check is None else None)
                self._step(entry.model, reading.drift(found, seen, entry.repair))
            elif found.check != HOURLY and found.kind in self._memory.states[entry.model].runs:
                self._step(entry.model, reading.run_ended(found))
            if found.kind == DriftKind.PERFORMANCE and found.check is None and found.revises is None:
                self._policies(entry.model, found.close_ms)
        elif isinstance(entry, model_log.ForgottenEntry):
            self._step(entry.model, Forgotten(entry.days, entry.close_ms))
            self._memory.forget_model(entry.model)
            self._work.emit(Emit(JOBS, self.partition, entry.model.encode(), None, []))
        elif isinstance(entry, model_log.LifecycleEntry):
            self._step(entry.model, reading.version_changed(entry, self._of_repair(entry.model)))
        elif isinstance(entry, model_log.ProbationEntry):
            windows = tuple(entry.windows)
            seen = self._seen(entry.model, Asked())
            look = ProbationWindows(entry.version, entry.previous, entry.since_ms, windows, seen)
            self._step(entry.model, look, windows)
        elif isinstance(entry, model_log.ResultEntry):
            if entry.unreadable is not None:
                self._unreadable(entry.model, "result", entry.id, entry.unreadable)
            else:
                self._step(entry.model, reading.result(entry, self._of_repair(entry.model)))
        elif isinstance(entry, model_log.CommandEntry):
            self._command(entry)

    def _command(self, found: model_log.CommandEntry) -> None:
        """One about all models is said by partition 0 alone; on each model it is said what it did there."""
        command, model = found.command, found.model
        if found.unreadable is not None:
            self._unreadable(model, "command", found.id, found.unreadable)
            return
        if command == "set":
            self._set(found)
            return
        if command in reading.PASSED_ON:
            return
        if model != "*":
            self._order(model, found)
        elif command not in reading.FOR_ALL:
            self._answer(found, "refused", f"model_needed: {command} needs a model, not *")
        else:
            self._say(model, found.actor, command, "ordered", found.id, found.reason)
            concerned = 0
            for each in (name.decode() for name in self._memory.timers.names()):
                self._memory.read([each])
                if _concerns(command, self._memory.states[each]):
                    concerned += 1
                    self._order(each, found)
            self._report(found, True, f"asked of {concerned} models that it concerns")

    def _set(self, found: model_log.CommandEntry) -> None:
        """Change settings, and say what became of it for all the stages that met the same command."""
        model, values = found.model, found.values or {}
        try:
            if found.unusable is not None:
                raise ValueError(found.unusable)
            self.settings.change(Change(model, values))
        except ValueError as error:
            self._answer(found, "refused", f"unusable_setting: {error}")
            return
        self._memory.changed(model)
        shown = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        self._answer(found, "applied", f"{shown}: {found.reason}")

    def _order(self, model: str, found: model_log.CommandEntry) -> None:
        event: Event
        if found.command == "retrain":
            asked = Asked(None, found.ranges)
            event = Retrain(found.id, found.actor, found.reason, self._seen(model, asked))
        elif found.command == "approve":
            job = self._memory.states[model].job
            drift = job is not None and job.cause.kind in _JUDGED
            asked = Asked(job.cause.first_day if job is not None and drift else None)
            event = Approve(found.id, found.actor, found.reason, self._seen(model, asked), found.subject)
        else:
            event = reading.manual(found)
        effects = self._step(model, event)
        if found.model != "*":
            self._report(found, *_became(effects, found))

    # -- one model --------------------------------------------------------------------------------------------------

    def _step(self, model: str, event: Event, windows: Sequence[LabelWindow] = ()) -> list[Effect]:
        before = self._memory.states[model]
        config = self.settings.of(model)
        after, effects = step(config, before, event, now_ms=self._now_ms)
        self.lane_state.trainings += under_way(after) - under_way(before)
        for effect in effects:
            if isinstance(effect, Wait):
                self._work.put(WAITING + effect.close_ms.to_bytes(8, "big") + model.encode(), b"\1")
                self.lane_state.waiting += 1
            for emit in self._publisher.effect(model, effect, windows):
                self._work.emit(emit)
        if after != before:
            self._memory.write(model, after)
        return effects

    def _seen(self, model: str, asked: Asked, faults: Sequence[str] | None = None) -> Seen:
        return self._memory.seen(model, asked, self._now_ms, self._inputs, faults)

    def _of_repair(self, model: str) -> Seen | None:
        """Of a model whose repair is under way or taken back: what a training in its place would learn from."""
        known = self._memory.states[model]
        if known.job is None or known.job.repair is None or known.state not in ("repairing", "rolling_back"):
            return None
        return self._seen(model, Asked(known.job.cause.first_day))

    # -- words ---------------------------------------------------------------------------------------------------

    def _say(self, model: str, actor: str, action: str, decision: str, id: str, reason: str) -> None:
        if model != "*" or self.partition == 0:
            self._work.emit(self._publisher.audit(Said(model, actor, action, decision, id, (id,), reason)))

    def _answer(self, found: model_log.CommandEntry, decision: str, reason: str) -> None:
        """What became of a command that no coordinator has to be asked about."""
        self._say(found.model, found.actor, found.command, decision, found.id, reason)
        self._report(found, decision != "refused", reason)

    def _report(self, found: model_log.CommandEntry, done: bool, text: str) -> None:
        entry = model_log.effect(found, STAGE, done, text)
        self._work.emit(Emit(DECISION_LOG, self.partition, found.model.encode(), model_log.encode(entry), []))

    def _unreadable(self, model: str, what: str, id: str, why: str) -> None:
        self._say(model, COORDINATOR, f"read_{what}", "refused", id, f"unreadable_{what}: {why}")


def _became(effects: Sequence[Effect], found: model_log.CommandEntry) -> tuple[bool, str]:
    """Whether a coordinator did what a command says, and what it did, or why not."""
    for effect in effects:
        if isinstance(effect, CommandRefused):
            return False, f"{effect.name}: {effect.reason}"
    said = [f"{effect.action}: {effect.reason}" for effect in effects if isinstance(effect, Audit)]
    return True, "; ".join(said) or f"{found.command} changed nothing: it came before"


def _concerns(command: str, known: ModelState) -> bool:
    """Whether a command about all models means this one."""
    if command == "reset_circuit":
        return known.circuit_open
    if command == "dismiss":
        return known.failure is not None and known.state != "halted"
    return known.job is not None and known.job.asked is not None
