"""The models' books in the lane's table: coordinators, histories, and what safeguards may see of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from stream_app.core.kit.days import day_of
from stream_app.core.kit.timers import BATCH, Timers, in_batches
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.model_log import SnapshotEntry
from stream_app.core.retrain import data_range, day_offsets, history, profile, state
from stream_app.core.retrain.config import RetrainRules, RetrainSettings
from stream_app.core.retrain.data_range import Asked
from stream_app.core.retrain.day_offsets import EndOffsets
from stream_app.core.retrain.events import Seen
from stream_app.core.retrain.history import History
from stream_app.core.retrain.machine import next_due_ms
from stream_app.core.retrain.state import ModelState

MARK = b"T"


class CoordinatorStates:
    """Reads see the lane's own puts; ``states`` are at hand until :meth:`forget`."""

    def __init__(self, settings: RetrainSettings, work: UnitOfWork) -> None:
        self._settings = settings
        self._work = work
        self.states: dict[str, ModelState] = {}
        #: of models whose coordinator is not idle
        self.timers = Timers(work, MARK)
        for names in self.timers.load():
            self._set_timers(names)
            self.forget()

    def changed(self, model: str) -> None:
        """The settings of a model, or of all (``*``), changed: its timers are set anew."""
        one = model.encode()
        for names in in_batches(self.timers.names() if model == "*" else [one] if one in self.timers else []):
            self._set_timers(names)

    def _set_timers(self, names: list[bytes]) -> None:
        self.read(name.decode() for name in names)
        for name in names:
            self.timers.set(name, self._next_due(name.decode()))

    def _next_due(self, model: str) -> int | None:
        return next_due_ms(self._settings.rules_of(model).rules, self.states[model])

    def read(self, models: Iterable[str]) -> None:
        """Have the coordinators of some models at hand, and their settings."""
        models = list(models)
        self._settings.read(models)
        wanted = [model for model in models if model not in self.states]
        for model, value in zip(wanted, self._work.get([state.key(model) for model in wanted]), strict=True):
            self.states[model] = state.decode(value, state.key(model)) if value is not None else ModelState()

    def forget(self) -> None:
        """Nothing is at hand any more."""
        self.states.clear()

    def write(self, model: str, after: ModelState) -> None:
        """A coordinator's new state; without an active version it keeps none: commands and answers leave nothing."""
        self.states[model] = after
        if after.active is None and after.state == "idle" and not after.runs:
            return
        self._work.put(state.key(model), state.encode(after))
        if after.state != "idle":
            self.timers.set(model.encode(), self._next_due(model))
        else:
            self.timers.end(model.encode())

    def forget_model(self, model: str) -> None:
        """Keep nothing of a model but the number of its episodes, if it had any: ids of commands are made of it, and a
        trainer passes over an id that it has answered."""
        after = self.states[model]
        self._work.put(state.key(model), state.encode(ModelState(episode=after.episode)) if after.episode else None)
        self._work.put(history.key(model), None)
        self._work.put(profile.key(model), None)
        self._clear(history.rows_of(model))
        self.timers.end(model.encode())

    def history(self, model: str) -> History:
        """What is known of a model's data."""
        value = self._work.get([history.key(model)])[0]
        return history.decode(value, history.key(model)) if value is not None else History()

    def keep(self, model: str, known: History) -> None:
        """Store it."""
        self._work.put(history.key(model), history.encode(known))

    def closed(self, entry: SnapshotEntry) -> None:
        """A closed day of a version was published, for the first time or again."""
        known, rows = self.history(entry.model), (entry.outcomes, entry.positives)
        key = history.rows_key(entry.model, entry.day, entry.version)
        before = history.decode_rows(self._work.get([key])[0])
        self._work.put(key, history.encode_rows(*rows))
        for day in known.closed(entry.day, rows, before, self._settings.config.history_days):
            self._clear(history.rows_key(entry.model, day))
        self.keep(entry.model, known)

    def _clear(self, prefix: bytes) -> None:
        after: bytes | None = None
        while batch := self._work.scan(prefix, after, BATCH):
            after = batch[-1][0]
            for key, _ in batch:
                self._work.put(key, None)

    def hours(self, counts: Sequence[tuple[str, int, int]]) -> None:
        """Take hours that have ended into the models' profiles."""
        models = list(dict.fromkeys(model for model, _, _ in counts))
        stored = self._work.get([profile.key(model) for model in models])
        known = {
            model: profile.decode(value, profile.key(model)) if value is not None else [0] * profile.HOURS
            for model, value in zip(models, stored, strict=True)
        }
        for model, hour, count in counts:
            profile.take(known[model], hour, count)
        for model in models:
            self._work.put(profile.key(model), profile.encode(known[model]))

    def seen(
        self, model: str, asked: Asked, now_ms: int, inputs: EndOffsets, faults: Sequence[str] | None = None
    ) -> Seen:
        """What safeguards may see at a tick of what is ``asked``; ``faults``: an event's own."""
        known, rules = self.history(model), self._settings.rules_of(model).rules
        value = self._work.get([profile.key(model)])[0]
        hours = profile.decode(value, profile.key(model)) if value is not None else ()
        rows = data_range.LabelledRows(known.by_day, hours, _mature(known, rules, now_ms))
        plan = data_range.plan(asked, rows, rules, partial(day_offsets.before, self._work), inputs)
        return Seen(plan, known.coverage, tuple(known.faults if faults is None else faults), known.heard)


def _mature(known: History, rules: RetrainRules, now_ms: int) -> int:
    """The day after the last one whose outcomes can be expected; where silence counts as negative, long enough ago."""
    today = day_of(now_ms)
    end = known.coverage.day + 1 if known.coverage is not None else today - rules.label_delay_days
    return min(end, today - rules.unlabelled_after_days) if rules.unlabelled_as == "negative" else end
