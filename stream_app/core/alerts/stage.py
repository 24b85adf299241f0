"""The alerts stage: one partition of a log in, alerts out.

Deterministic by construction: one input in one order, memory in the table, no clock but the log's ticks. What an epoch
brings is stored and handled at its tick, in the log's order, then the timers that fell due; so a coordinator's decision
may stand before or after its event, and a restart between two checkpoints cannot be seen in what is published.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from schemas import bounds
from schemas.partitioning import partition_for
from stream_app.core import model_log
from stream_app.core.alerts import commanded, facts, incidents, state
from stream_app.core.alerts import lane_state as lane_states
from stream_app.core.alerts.closed import ClosedAlerts
from stream_app.core.alerts.facts import Fact
from stream_app.core.alerts.lifecycle import AlertChange, Notify, Step, remarked, types_of
from stream_app.core.alerts.mutes import Mutes
from stream_app.core.alerts.muting import muted_until, next_due_ms, step
from stream_app.core.alerts.outcomes import CommandOutcomes
from stream_app.core.alerts.publish import alert_record
from stream_app.core.alerts.rules import AlertsConfig
from stream_app.core.alerts.state import AlertHistory, ClosedAlert, OpenAlert
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.core.epoch_stage import EpochStage
from stream_app.core.kit.audit import Auditor, Said
from stream_app.core.kit.changes import Change
from stream_app.core.kit.days import day_of
from stream_app.core.kit.effects import Drained, TableReader
from stream_app.core.kit.epoch_log import EpochLog
from stream_app.core.kit.live_settings import LiveSettings
from stream_app.core.kit.timers import BATCH, Timers, in_batches
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.log_terms import JobEntry
from stream_app.errors import Broken

STAGE: Final = "alerts"

#: Alert types; a model has one open alert of each at most.
TYPES: Final = (state.DRIFT, state.INCOMPLETE, *incidents.TYPES)

Command = facts.Acknowledged | facts.Accepted | facts.Muted | facts.Remarked

#: What is kept of what the coordinator says: safeguards, and bytes of each one's reason.
SAFEGUARDS, REASON = 32, 1_000


class AlertsStage(EpochStage):
    """Alerts of one model partition. Not thread-safe; owned by its lane."""

    def __init__(self, config: AlertsConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, lane_state: bytes | None, table: TableReader | None) -> None:
        """Start from the last commit; open alerts are found by their marks."""
        self.lane_state = lane_states.decode(lane_state) if lane_state is not None else lane_states.AlertsLaneState()
        self._work = UnitOfWork(table, self.partition)
        self._epoch = EpochLog(self._work)
        self.settings = LiveSettings(self.config, self.config.rules, self._work)
        self._mutes = Mutes(self._work)
        self._closed = ClosedAlerts(self._work)
        self._outcomes = CommandOutcomes(self.config, self.partition, self._work)
        self._histories: dict[bytes, AlertHistory] = {}
        #: of open alerts, by (model, type) as in the key of their history
        self.timers = Timers(self._work, state.OPEN)
        for names in self.timers.load():
            self._set_timers([state.HISTORY + name for name in names])

    @property
    def last_tick(self) -> int:
        """Last tick handled, epoch ms; 0 before the first."""
        return self.lane_state.last_tick

    # -- input ---------------------------------------------------------------------------------------------------

    def drain(self) -> Drained:
        """Effects since the last drain; the table holds them before the stage is called again."""
        return self._work.drain(lane_states.encode(self.lane_state))

    def _entry(self, offset: int, entry: model_log.Entry) -> None:
        if isinstance(entry, model_log.EventEntry):
            self._own(entry.model)
            self._remember(offset, facts.EventPublished(entry.finding))
        elif isinstance(entry, model_log.DecisionEntry):
            answers = [(name, passed, bounds.cut(why, REASON)) for name, passed, why in entry.safeguards[:SAFEGUARDS]]
            decided = facts.Decided(entry.event_id, state.Decision(entry.eligible, answers))
            self._work.put(state.decision_key(entry.event_id), facts.encode(decided))
        elif isinstance(entry, model_log.CommandEntry):
            fact = commanded.fact(entry)
            # settings are changed by all stages alike, however often a command comes
            wanted = entry.unreadable is None and (self._outcomes.begin(entry) or entry.values is not None)
            if wanted and fact is not None:
                self._remember(offset, fact)
        elif isinstance(entry, model_log.EffectEntry):
            self._outcomes.report(entry.command_id, entry.stage, entry.done, entry.text)
        elif isinstance(entry, model_log.ReplacedEntry):
            self._own(entry.model)
            by = state.Replacement(entry.version, entry.previous, entry.since_ms, entry.how, entry.command_id)
            self._remember(offset, facts.VersionReplaced(entry.model, by))
        elif isinstance(entry, model_log.KeptEntry):
            self._own(entry.model)
            self._remember(offset, facts.VersionKept(entry.model, entry.since_ms))
        elif isinstance(entry, HourlyEntry):
            self._own(entry.model)
            # as the daily check of an acquitted run counts as one without drift, its episode holds no alert open
            if entry.what == "ended" or entry.acquitted:
                self._remember(offset, facts.EpisodeEnded(entry.model, entry.kind))
        elif isinstance(entry, model_log.ForgottenEntry):
            self._own(entry.model)
            self._remember(offset, facts.ModelForgotten(entry.model))
        elif isinstance(entry, JobEntry):
            self._own(entry.model)
            self._remember(offset, facts.JobChanged(entry.model, entry))

    def _remember(self, offset: int, fact: Fact) -> None:
        self._epoch.remember(offset, facts.encode(fact))

    def _own(self, model: str) -> None:
        # One partition owns every model: nothing to compare, and the hash costs as much as the rest of this.
        count = self.config.model_partitions
        if count > 1 and partition_for(model.encode(), count) != self.partition:
            raise Broken(f"model {model!r} came in the log of partition {self.partition} of {count}; please report it")

    # -- tick ----------------------------------------------------------------------------------------------------

    def _tick(self, entry: model_log.TickEntry) -> bool:
        """Handle an epoch; ``False`` if the budget ends before it, and the rest waits in the table."""
        now_ms = entry.at_ms
        if now_ms <= self.lane_state.last_tick:
            return True
        self._inputs = entry.inputs
        if not self._epoch.handle(lambda batch: self._facts([facts.decode(v, k) for k, v in batch], now_ms)):
            return False
        while batch := self._work.scan(state.DECISION, None, BATCH):
            for key, _ in batch:
                self._work.put(key, None)
        self._outcomes.publish(now_ms, self._mutes.windows)
        for names in self.timers.due(now_ms):
            keys = [state.HISTORY + name for name in names]
            self._read(keys)
            for key in keys:
                self._step(key, facts.TimePassed(), now_ms)
            self._histories.clear()
        self._settle(list(self._closed.due(now_ms)), now_ms)
        if day_of(now_ms) != day_of(self.lane_state.last_tick):
            self._closed.expire(now_ms)
        self.lane_state.last_tick = now_ms
        return True

    def _facts(self, epoch: list[Fact], now_ms: int) -> None:
        """Some facts of the epoch in the log's order."""
        events = [fact.finding for fact in epoch if isinstance(fact, facts.EventPublished)]
        keys = [state.decision_key(finding.id) for finding in events]
        answers = self._work.get(keys)
        decisions: dict[str, state.Decision] = {}
        for finding, key, value in zip(events, keys, answers, strict=True):
            decided = facts.decode(value, key) if value is not None else None
            if isinstance(decided, facts.Decided):
                decisions[finding.id] = decided.decision
        self._read(list(dict.fromkeys(state.history_key(f.model, type) for f in events for type in types_of(f))))
        for fact in epoch:
            if isinstance(fact, facts.EventPublished):
                fact = facts.EventPublished(fact.finding, decisions.get(fact.finding.id))
                for type in types_of(fact.finding):
                    self._step(state.history_key(fact.finding.model, type), fact, now_ms)
            elif isinstance(fact, facts.Changed):
                self._change(fact)
            elif isinstance(fact, facts.ModelForgotten):
                self._forget(fact, now_ms)
            elif isinstance(fact, facts.Acknowledged):
                self._acknowledge(fact, now_ms)
            elif isinstance(fact, facts.Accepted):
                self._accept(fact, now_ms)
            elif isinstance(fact, facts.Muted):
                self._mute(fact, now_ms)
            elif isinstance(fact, facts.Remarked):
                self._remark(fact, now_ms)
            elif isinstance(fact, facts.JobChanged):
                for type in incidents.TYPES:
                    self._step(state.history_key(fact.model, type), fact, now_ms)
            elif not isinstance(fact, facts.Decided):
                if isinstance(fact, facts.VersionReplaced):
                    self._step(state.history_key(fact.model, state.ROLLED_BACK), fact, now_ms)
                for key in self._open_of(fact.model):
                    self._step(key, fact, now_ms)
        self._histories.clear()

    def _forget(self, fact: facts.ModelForgotten, now_ms: int) -> None:
        """Resolve what is open of a model, and keep nothing of it."""
        for type in TYPES:
            key = state.history_key(fact.model, type)
            self._step(key, fact, now_ms)
            self._work.put(key, None)
            del self._histories[key]

    def _acknowledge(self, fact: facts.Acknowledged, now_ms: int) -> None:
        """Mark what somebody took, or gave back, and say so for each model, or why nothing was."""
        action = "unacknowledge" if fact.back else "acknowledge"
        taken: dict[str, list[str]] = {}
        already: list[str] = []
        for key in self._open_of(fact.model) if fact.unusable is None else []:
            model = state.split_key(key)[0]
            before = self._history(key).alert
            if before is None or fact.alert_id not in (None, before.id):
                continue
            if before.acknowledged_by == (None if fact.back else fact.actor):
                already.append(before.id)
                continue
            self._step(key, fact, now_ms)
            taken.setdefault(model, []).append(before.id)
        for model, ids in sorted(taken.items()):
            self._say(model, fact, action, "applied", ids, f"{', '.join(ids)}: {fact.reason}", now_ms)
        if fact.model == "*":
            self._say("*", fact, action, "ordered", [], fact.reason, now_ms)
        elif not taken and already:
            by = "nobody" if fact.back else f"{fact.actor} already"
            text = f"{', '.join(already)} was taken by {by}: {fact.reason}"
            self._say(fact.model, fact, action, "applied", already, text, now_ms)
        elif not taken:
            named = f"{fact.alert_id} is not open" if fact.alert_id is not None else "this model has no open alert"
            why = fact.unusable or f"not_open: {named}"
            self._say(fact.model, fact, action, "refused", [], why, now_ms)

    def _accept(self, fact: facts.Accepted, now_ms: int) -> None:
        """End what is open about drift; metrics says what became of the baseline."""
        for key in self._open_of(fact.model):
            model, before = state.split_key(key)[0], self._history(key).alert
            self._step(key, fact, now_ms)
            if before is not None and self._history(key).alert is None:
                text = f"alert {before.id} is over, accepted as normal: {fact.reason}"
                self._say(model, fact, "rebaseline", "resolved", [before.id], text, now_ms)

    def _mute(self, fact: facts.Muted, now_ms: int) -> None:
        """Mute a model or a type, or lift that; what is open says so at once, and so does what is owed."""
        try:
            text = self._mutes.change(fact, now_ms)
        except ValueError as error:
            self._say(fact.model, fact, fact.command, "refused", [], str(error), now_ms)
            return
        about = f"type {fact.model_type}: " if fact.model_type is not None else ""
        self._say(fact.model, fact, fact.command, "applied", [], f"{about}{text}", now_ms)
        for key in self._open_of(fact.model):
            model = state.split_key(key)[0]
            if fact.model_type in (None, model.partition(":")[0]):
                self._step(key, facts.TimePassed(), now_ms)
                alert = self._history(key).alert
                if alert is not None:
                    self._time_of(key, alert, now_ms)
        self._settle(self._closed.owed(), now_ms)

    def _remark(self, fact: facts.Remarked, now_ms: int) -> None:
        """Put a verdict or a note on an alert, open or over."""
        id = fact.alert_id
        key = next((key for key in self._open_of(fact.model) if self._is(key, id)), None)
        closed = self._closed.get(id) if id is not None and key is None else None
        if fact.unusable is not None or (key is None and (closed is None or closed.alert.model != fact.model)):
            unknown = f"unknown_alert: {id} is no alert of this model that is open, or ended in the last 90 days"
            self._say(fact.model, fact, fact.command, "refused", [], fact.unusable or unknown, now_ms)
            return
        if key is not None:
            self._step(key, fact, now_ms)
        elif closed is not None:
            alert = replace(remarked(closed.alert, fact, now_ms), muted_until_ms=closed.owed_until_ms)
            closed = replace(closed, alert=alert)
            self._closed.put(closed)
            self._revise(closed, None, now_ms)
        said = f"{fact.verdict}: {fact.note or fact.reason}" if fact.verdict is not None else f"{fact.note}"
        self._say(fact.model, fact, fact.command, "applied", [id or ""], said, now_ms)

    def _is(self, key: bytes, id: str | None) -> bool:
        alert = self._history(key).alert
        return alert is not None and alert.id == id

    def _settle(self, ids: list[str], now_ms: int) -> None:
        """Tell people that an alert is over that ended under a mute, once nothing mutes it any more."""
        for id in ids:
            known = self._closed.get(id)
            if known is None or known.owed_until_ms is None:
                continue
            until = muted_until(self._mutes.of(known.alert.model), known.alert, now_ms)
            if until is None:
                alert = replace(known.alert, revision=known.alert.revision + 1, muted_until_ms=None)
                known = replace(known, alert=alert, owed_until_ms=None)
                self._revise(known, "resolved", now_ms)
            else:
                known = replace(known, owed_until_ms=until)
            self._closed.put(known)

    def _revise(self, known: ClosedAlert, notify: Notify | None, now_ms: int) -> None:
        """A further revision of an alert that is over, with the findings that it was about."""
        alert = known.alert
        history = AlertHistory(alert.type, latest=alert.found)
        self._publish(AlertChange(alert, notify, known.resolution, history), now_ms)  # type: ignore[arg-type]

    def _say(
        self, model: str, fact: Command, action: str, decision: str, alerts: list[str], reason: str, now_ms: int,
    ) -> None:  # fmt: skip
        """What became of a person's command; of one about all models partition 0 alone tells the audit."""
        self._outcomes.report(fact.command_id, STAGE, decision != "refused", reason)
        if model == "*" and self.partition != 0:
            return
        said = Said(model, fact.actor, action, decision, fact.command_id, (fact.command_id, *alerts), reason)
        auditor = Auditor(STAGE, self.partition, self.config.source)
        self.settings.read([model] if model != "*" else [])
        self._work.emit(auditor.record(said, now_ms, self._inputs, self.settings.hash_of(model)))

    def _change(self, fact: facts.Changed) -> None:
        """Change settings; the timers of open alerts are set anew. The coordinator tells people what became of it."""
        try:
            self.settings.change(Change(fact.model, fact.values))
        except ValueError:
            return
        for keys in in_batches(self._open_of(fact.model)):
            self._set_timers(keys)

    def _set_timers(self, keys: list[bytes]) -> None:
        """When the next timers of some open alerts fall due, by the settings that hold now."""
        self._have_at_hand(keys)
        for key, value in zip(keys, self._work.get(keys), strict=True):
            alert = state.decode(value, key).alert if value is not None else None
            if alert is None:
                raise Broken(f"{' '.join(state.split_key(key))} is marked open in the alerts table and is not")
            self._time_of(key, alert, self.lane_state.last_tick)

    def _open_of(self, model: str) -> list[bytes]:
        if model == "*":
            return [state.HISTORY + name for name in self.timers.names()]
        keys = [state.history_key(model, type) for type in TYPES]
        return [key for key in keys if key[1:] in self.timers]

    def _read(self, keys: list[bytes]) -> None:
        """Have the histories of a batch at hand, and their models' settings; the histories go when it is done."""
        self._have_at_hand(keys)
        for key, value in zip(keys, self._work.get(keys), strict=True):
            self._histories[key] = (
                state.decode(value, key) if value is not None else AlertHistory(state.split_key(key)[1])
            )

    def _have_at_hand(self, keys: list[bytes]) -> None:
        self.settings.read(state.split_key(key)[0] for key in keys)

    def _history(self, key: bytes) -> AlertHistory:
        if key not in self._histories:
            self._read([key])
        return self._histories[key]

    def _step(self, key: bytes, fact: Step | facts.JobChanged, now_ms: int) -> None:
        before = self._history(key)
        model = state.split_key(key)[0]
        rules = self.settings.rules_of(model)
        history, news = step(rules, before, fact, now_ms, self._mutes.of(model))
        for change in news:
            self._publish(change, now_ms)
            if change.resolution is not None:
                alert = change.alert
                owed = alert.muted_until_ms if alert.delivered else None
                self._closed.close(ClosedAlert(alert, change.resolution, now_ms, owed))
        if history == before:
            return
        self._histories[key] = history
        self._work.put(key, state.encode(history) if history != AlertHistory(history.type) else None)
        if history.alert is not None:
            self._time_of(key, history.alert, now_ms)
        else:
            self.timers.end(key[1:])

    def _time_of(self, key: bytes, alert: OpenAlert, now_ms: int) -> None:
        """Set when the next timer of an open alert falls due."""
        rules = self.settings.rules_of(alert.model)
        self.timers.set(key[1:], next_due_ms(rules, alert, now_ms, self._mutes.of(alert.model)))

    def _publish(self, change: AlertChange, now_ms: int) -> None:
        model = change.alert.model
        rules, hash = self.settings.rules_of(model), self.settings.hash_of(model)
        self._work.emit(alert_record(self.config, self.partition, change, now_ms, rules=rules, settings_hash=hash))
