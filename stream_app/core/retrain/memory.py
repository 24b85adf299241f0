"""The lines' books in the lane's table: coordinators, histories, and what safeguards may see of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stream_app.core.kit.days import day_of
from stream_app.core.kit.timers import BATCH, Timers, in_batches
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.line_log import SnapshotEntry
from stream_app.core.retrain import barriers, data_range, history, profile, state
from stream_app.core.retrain.barriers import Barriers
from stream_app.core.retrain.config import RetrainSettings
from stream_app.core.retrain.events import Seen
from stream_app.core.retrain.history import History
from stream_app.core.retrain.machine import next_due_ms
from stream_app.core.retrain.state import LineState

MARK = b"T"


class CoordinatorStates:
    """Reads see the lane's own puts; ``states`` are at hand until :meth:`forget`."""

    def __init__(self, settings: RetrainSettings, work: UnitOfWork) -> None:
        self._settings = settings
        self._work = work
        self.states: dict[str, LineState] = {}
        #: of lines whose coordinator is not idle
        self.timers = Timers(work, MARK)
        for names in self.timers.load():
            self._set_timers(names)
            self.forget()

    def changed(self, line: str) -> None:
        """The settings of a line, or of all (``*``), changed: its timers are set anew."""
        one = line.encode()
        for names in in_batches(self.timers.names() if line == "*" else [one] if one in self.timers else []):
            self._set_timers(names)

    def _set_timers(self, names: list[bytes]) -> None:
        self.read(name.decode() for name in names)
        for name in names:
            self.timers.set(name, self._next_due(name.decode()))

    def _next_due(self, line: str) -> int | None:
        return next_due_ms(self._settings.rules_of(line).rules, self.states[line])

    def read(self, lines: Iterable[str]) -> None:
        """Have the coordinators of some lines at hand, and their settings."""
        lines = list(lines)
        self._settings.read(lines)
        wanted = [line for line in lines if line not in self.states]
        for line, value in zip(wanted, self._work.get([state.key(line) for line in wanted]), strict=True):
            self.states[line] = state.decode(value, state.key(line)) if value is not None else LineState()

    def forget(self) -> None:
        """Nothing is at hand any more."""
        self.states.clear()

    def write(self, line: str, after: LineState) -> None:
        """A coordinator's new state; a line nobody serves keeps none: orders and answers about it leave nothing."""
        self.states[line] = after
        if after.active is None and after.state == "idle" and not after.runs:
            return
        self._work.put(state.key(line), state.encode(after))
        if after.state != "idle":
            self.timers.set(line.encode(), self._next_due(line))
        else:
            self.timers.end(line.encode())

    def forget_model(self, model: str) -> None:
        """Keep nothing of a model but the number of its episodes, if it had any: ids of commands are made of it, and a
        trainer passes over an id that it has answered."""
        after = self.states[model]
        self._work.put(state.key(model), state.encode(LineState(episode=after.episode)) if after.episode else None)
        self._work.put(history.key(model), None)
        self._work.put(profile.key(model), None)
        self._clear(history.rows_of(model))
        self.timers.end(model.encode())

    def history(self, line: str) -> History:
        """What is known of a line's data."""
        value = self._work.get([history.key(line)])[0]
        return history.decode(value, history.key(line)) if value is not None else History()

    def keep(self, line: str, known: History) -> None:
        """Store it."""
        self._work.put(history.key(line), history.encode(known))

    def closed(self, entry: SnapshotEntry) -> None:
        """A closed day of a version was published, for the first time or again."""
        known, rows = self.history(entry.line), entry.outcomes
        key = history.rows_key(entry.line, entry.day, entry.version)
        before = history.decode_rows(self._work.get([key])[0])
        self._work.put(key, history.encode_rows(rows))
        for day in known.closed(entry.day, rows, before, self._settings.config.history_days):
            self._clear(history.rows_key(entry.line, day))
        self.keep(entry.line, known)

    def _clear(self, prefix: bytes) -> None:
        after: bytes | None = None
        while batch := self._work.scan(prefix, after, BATCH):
            after = batch[-1][0]
            for key, _ in batch:
                self._work.put(key, None)

    def hours(self, counts: Sequence[tuple[str, int, int]]) -> None:
        """Take hours that have ended into the lines' profiles."""
        lines = list(dict.fromkeys(line for line, _, _ in counts))
        stored = self._work.get([profile.key(line) for line in lines])
        known = {
            line: profile.decode(value, profile.key(line)) if value is not None else [0] * profile.HOURS
            for line, value in zip(lines, stored, strict=True)
        }
        for line, hour, count in counts:
            profile.take(known[line], hour, count)
        for line in lines:
            self._work.put(profile.key(line), profile.encode(known[line]))

    def seen(
        self, line: str, first_day: int, now_ms: int, inputs: Barriers, faults: Sequence[str] | None = None
    ) -> Seen:
        """What safeguards may see at a tick of the range from ``first_day``; ``faults``: an event's own."""
        known = self.history(line)
        first = max(first_day, day_of(now_ms) - self._settings.config.history_days)
        share = self._settings.rules_of(line).rules.holdout_share
        start = barriers.before(self._work, first - 1)
        value = self._work.get([profile.key(line)])[0]
        hours = profile.decode(value, profile.key(line)) if value is not None else ()
        plan = data_range.plan(first, now_ms, share, known.labelled, hours, start, inputs)
        return Seen(plan, known.coverage, tuple(known.faults if faults is None else faults))
