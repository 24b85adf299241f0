"""The metrics stage: one partition of lines.

Deltas are put into the table on arrival. An epoch is handled when every source partition has closed it, and in this
order: operator commands, training results, deltas, tick. At full hours and closes the deltas are folded into the
cells; a tick that passes several closes runs them in time order. Folding and closing are loops over many checkpoints
whose place stands in the memo, so a restart goes on where the last checkpoint was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from schemas.clock import TickView
from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.core import active_version, cells_codec, deltas, line_log
from stream_app.core.active_version import ActiveVersion
from stream_app.core.cells import EMPTY as NO_COUNTS
from stream_app.core.cells import Cell, Counts
from stream_app.core.cells import fold as fold_cell
from stream_app.core.days import HOUR_MS, Close, closes_between, day_of, metrics_close
from stream_app.core.deltas import HourCount
from stream_app.core.effects import Drained, Emit, Record, TableReader, dead_letter
from stream_app.core.metrics_stage import memo as memos
from stream_app.core.metrics_stage import publish
from stream_app.core.metrics_stage.config import MetricsConfig
from stream_app.core.metrics_stage.keys import (
    CELL,
    DELTA,
    cell_prefix,
    delta_key,
    line_key,
    split_cell_key,
)
from stream_app.core.metrics_stage.orders import Order, read_command, read_result
from stream_app.core.metrics_stage.pending import Pending, changes, predictions_by_version

STAGE: Final = "metrics"
DELTAS: Final = "model-deltas"
COMMANDS: Final = "operator-commands"
RESULTS: Final = "training-results"
LINE_LOG: Final = "line-log"


class MetricsStage:
    """Cells and active versions of one line partition. Not thread-safe; owned by its lane."""

    #: set by the engine when the lane is at the head of its clock; only open snapshots depend on it
    live = False

    def __init__(self, config: MetricsConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, memo: bytes | None, table: TableReader | None) -> None:
        """Start from the positions record of the last commit, or from nothing."""
        self.memo = memos.decode(memo) if memo is not None else memos.Memo()
        self._table = table
        self._puts: dict[bytes, bytes | None] = {}
        self._emits: list[Emit] = []
        self._pending = Pending()
        self._lines: dict[str, ActiveVersion | None] = {}
        self._changes: list[tuple[bytes, Counts]] | None = None
        self._at = 0
        self._hours: dict[tuple[str, str, int], int] = {}
        if table is not None:
            self._reload(table)
        for item in self.memo.hours:
            self._count_hour(item)
        self._resumed = self.memo.progress.phase > 0
        if not self._resumed:
            self._count_hours(self.memo.last_tick)

    def _reload(self, table: TableReader) -> None:
        after: bytes | None = None
        while batch := table.scan(DELTA, after, 1_000):
            for key, value in batch:
                offset = int.from_bytes(key[3:], "big")
                self._pending.put(offset, deltas.decode(value), 0, self.memo.folded)
            after = batch[-1][0]

    # -- input ---------------------------------------------------------------------------------------------------

    def accept(self, alias: str, batch: Sequence[Record], tick: TickView | None) -> int:
        """Deltas come without a tick and are stored; commands and results come with the tick that covers them."""
        if alias == DELTAS:
            for record in batch:
                self._delta(record)
        elif tick is None:
            raise ValueError(f"{alias} is gated by the clock and came without its covering tick")
        else:
            read = read_command if alias == COMMANDS else read_result
            for record in batch:
                try:
                    self._order(record, read(record.value), tick)
                except (msgspec.DecodeError, ValueError, TypeError) as error:
                    self._emits.append(dead_letter(record, STAGE, "invalid_order", str(error)))
        return len(batch)

    def _delta(self, record: Record) -> None:
        value = record.value or b""
        delta = deltas.decode(value)
        closed = self.memo.closed.get(delta.source, 0)
        self.memo.closed[delta.source] = self._pending.put(record.offset, delta, closed, self.memo.folded)
        self._puts[delta_key(delta.source, record.offset)] = value

    def _order(self, record: Record, order: Order, tick: TickView) -> None:
        if order.line != "*" and partition_for(order.line.encode(), self.config.partitions) != self.partition:
            text = f"line {order.line!r} belongs to another partition; `plumbline dead-letters redrive` re-keys it"
            self._emits.append(dead_letter(record, STAGE, "foreign_partition", text))
            return
        entry: line_log.Entry
        value = record.value or b""
        entry = line_log.CommandEntry(order.line, value) if order.command else line_log.ResultEntry(order.line, value)
        self._log(entry, order.line)
        if order.version is not None and order.line != "*":
            known = self._line(order.line)
            how: active_version.How = "registered" if order.command else "commanded"
            self._activate(order.line, known, active_version.changed(known, order.version, how, tick.at_ms), tick.at_ms)

    def waiting_for(self, tick: TickView) -> str | None:
        """The first source partition that has not closed this epoch."""
        for source in range(self.config.sources):
            if self.memo.closed.get(source, 0) < tick.at_ms:
                return f"labels-{source} to close {rfc3339(tick.at_ms)}"
        return None

    # -- tick ----------------------------------------------------------------------------------------------------

    def advance(self, tick: TickView) -> bool:
        """One bounded step of handling a tick; ``False`` until it is done."""
        progress = self.memo.progress
        now, before = tick.at_ms, self.memo.last_tick
        closes = closes_between(before, now) if before else []
        due = bool(closes) or not before or now // HOUR_MS > before // HOUR_MS
        self._at = now
        if self._resumed:
            self._count_hours(now)
            self._forget_hours(now)
            self._resumed = False
        if progress.phase == 0:
            self._decide(before, now)
            progress.phase = 1 if due else 3
            self._changes = None
        if progress.phase == 1:
            if not self._fold(before, now):
                return False
            progress.phase, progress.close, progress.task, progress.after = 2, 0, 0, None
            if closes:
                return False
        if progress.phase == 2 and not self._close(closes):
            return False
        if not due and self.live:
            self._show_open(before, now)
        self._finish(closes, now, due)
        return True

    def _decide(self, before: int, now: int) -> None:
        """Active versions, by what the epoch brought."""
        fresh: dict[str, dict[str, int]] = {}
        for source, part in self._pending.epochs(before, now):
            if part.closed is not None:
                self.memo.barriers[source] = part.barrier
                if part.dispositions:
                    self.memo.dispositions[source] = part.dispositions
            for item in part.hours:
                self._count_hour(item)
            if any(self._line(cell.line) is None for cell in part.cells):
                for (line, version), count in predictions_by_version(part).items():
                    if self._line(line) is None:
                        by_version = fresh.setdefault(line, {})
                        by_version[version] = by_version.get(version, 0) + count
        hours: dict[int, dict[str, dict[str, int]]] = {}
        for (line, version, hour), count in self._hours.items():
            if (hour + 1) * HOUR_MS <= now:
                hours.setdefault(hour, {}).setdefault(line, {})[version] = count
        for hour in sorted(hours):
            for line in sorted(hours[hour]):
                known = self._line(line)
                if known is not None:
                    self._activate(line, known, active_version.after_hour(known, hour, hours[hour][line], now), now)
        self._forget_hours(now)
        for line in sorted(fresh):
            first = active_version.first_observed(fresh[line], now)
            if first is not None:
                self._activate(line, None, first, now)

    def _fold(self, before: int, now: int) -> bool:
        """Fold deltas into up to ``cells_a_step`` cells; publish what became of days closed before this tick."""
        if self._changes is None:
            parts = (part for _, part in self._pending.epochs(self.memo.folded, now))
            found = changes(parts, day_of(now) - self.config.retention_days)
            self._changes = list(found.items())
        step, self._changes = self._changes[: self.config.cells_a_step], self._changes[self.config.cells_a_step :]
        closed_by = before or now
        for (key, change), stored in zip(step, self._get([key for key, _ in step]), strict=True):
            cell = cells_codec.decode(stored) if stored is not None else Cell(NO_COUNTS)
            if cell.folded_to >= now:
                continue
            cell = fold_cell(cell, change, now)
            line, version, day = split_cell_key(key)
            if metrics_close(day) <= closed_by:
                cell = self._revised(line, version, day, cell, closed_by)
            elif self.live:
                self._emit_snapshot(line, version, day, cell, closed=False)
            self._puts[key] = cells_codec.encode(cell)
        if self._changes:
            return False
        self._changes = None
        return True

    def _close(self, closes: list[Close]) -> bool:
        """Run the closes that the tick passed, a bounded number of cells at a time."""
        progress = self.memo.progress
        budget = self.config.cells_a_step
        while progress.close < len(closes):
            close = closes[progress.close]
            tasks = self._tasks(close)
            while progress.task < len(tasks):
                name, day, days = tasks[progress.task]
                prefix = CELL if name == "expire" else cell_prefix(day)
                batch = self._scan(prefix, progress.after, budget)
                for key, stored in batch:
                    if name == "expire" and split_cell_key(key)[2] >= day:
                        batch = []
                        break
                    value = self._puts.get(key, stored)
                    if value is not None:
                        self._run(name, close, days, key, value)
                    progress.after = key
                budget -= len(batch)
                if budget <= 0:
                    return False
                progress.task, progress.after = progress.task + 1, None
            progress.close, progress.task = progress.close + 1, 0
        return True

    def _tasks(self, close: Close) -> list[tuple[str, int, int]]:
        """Scans a close consists of: (what, day, the rule's number of days)."""
        last = close.day - 1
        if close.kind == "completeness":
            return [("completeness", last - delay, delay) for delay in self.config.label_delays]
        if close.kind == "metrics":
            return [
                ("publish", last, 0),
                *(("assume", last - days, days) for days in self.config.assume_days),
                ("expire", close.day - self.config.retention_days, 0),
            ]
        return []

    def _run(self, name: str, close: Close, days: int, key: bytes, value: bytes) -> None:
        line, version, day = split_cell_key(key)
        if name == "expire":
            self._puts[key] = None
            return
        cell = cells_codec.decode(value)
        if name == "completeness":
            known = self._line(line)
            if known is not None and known.version == version and self.config.rules(line).label_delay_days == days:
                counts = cell.counts
                self._log(
                    line_log.CompletenessEntry(line, version, day, counts.predictions, counts.labelled, close.at_ms),
                    line,
                )
            return
        if name == "publish":
            if cell.revision:
                return
        elif cell.assume_negative or self.config.rules(line).assume_after_days != days:
            return
        self._puts[key] = cells_codec.encode(self._revised(line, version, day, cell, close.at_ms))

    def _revised(self, line: str, version: str, day: int, cell: Cell, closed_by: int) -> Cell:
        """The next revision of a closed day, published and logged."""
        days = self.config.rules(line).assume_after_days
        assume = cell.assume_negative or (days is not None and metrics_close(day + days) <= closed_by)
        cell = Cell(cell.counts, cell.folded_to, cell.revision + 1, assume)
        emit = self._emit_snapshot(line, version, day, cell, closed=True)
        self._log(line_log.SnapshotEntry(line, version, day, cell.revision, emit.value or b""), line)
        return cell

    def _show_open(self, before: int, now: int) -> None:
        """Open snapshots of cells that this epoch changed, between two folds."""
        touched = changes((p for _, p in self._pending.epochs(before, now)), day_of(now) - 1)
        total = changes((p for _, p in self._pending.epochs(self.memo.folded, now)), day_of(now) - 1)
        wanted = [key for key in touched if key in total and metrics_close(split_cell_key(key)[2]) > now]
        for key, stored in zip(wanted, self._get(wanted), strict=True):
            cell = cells_codec.decode(stored) if stored is not None else Cell(NO_COUNTS)
            self._emit_snapshot(*split_cell_key(key), fold_cell(cell, total[key], now), closed=False)

    def _finish(self, closes: list[Close], now: int, due: bool) -> None:
        memo = self.memo
        if due:
            memo.folded = now
            for key in self._pending.forget(now):
                self._puts[key] = None
            memo.hours = [HourCount(*key, count) for key, count in sorted(self._hours.items())]
        inputs: dict[str, dict[int, int]] = {}
        for source in sorted(memo.barriers):
            for topic, offset in memo.barriers[source].items():
                inputs.setdefault(topic, {})[source] = offset
        totals: dict[str, dict[str, int]] = {}
        for by_topic in memo.dispositions.values():
            for topic, counts in by_topic.items():
                total = totals.setdefault(topic, {})
                for name, count in counts.items():
                    total[name] = total.get(name, 0) + count
        self._log(line_log.TickEntry(now, inputs, [(c.kind, c.at_ms) for c in closes], totals), None)
        memo.last_tick = now
        memo.progress = memos.Progress()

    # -- effects -------------------------------------------------------------------------------------------------

    def drain(self) -> Drained:
        """Effects since the last drain; the table holds them before the stage is called again."""
        drained = Drained(self._puts, self._emits, memos.encode(self.memo))
        self._puts, self._emits = {}, []
        return drained

    def _activate(self, line: str, known: ActiveVersion | None, state: ActiveVersion, now: int) -> None:
        if state is known:
            return
        self._lines[line] = state
        self._puts[line_key(line)] = active_version.encode(state)
        self._emits.append(publish.lifecycle(line, state, now, self.partition, self.config.source))
        self._log(line_log.LifecycleEntry(line, state.version, state.previous, state.how, state.since_ms), line)

    def _emit_snapshot(self, line: str, version: str, day: int, cell: Cell, *, closed: bool) -> Emit:
        emit = publish.snapshot(
            line, version, day, cell, closed=closed, at_ms=self._at, partition=self.partition, source=self.config.source
        )
        self._emits.append(emit)
        return emit

    def _log(self, entry: line_log.Entry, line: str | None) -> None:
        key = line.encode() if line is not None else None
        self._emits.append(Emit(LINE_LOG, self.partition, key, line_log.encode(entry), []))

    def _count_hour(self, item: HourCount) -> None:
        key = (item.line, item.version, item.hour)
        self._hours[key] = self._hours.get(key, 0) + item.count

    def _count_hours(self, until: int) -> None:
        """Hours reported since the last fold, after a restart."""
        for _, part in self._pending.epochs(self.memo.folded, until):
            for item in part.hours:
                self._count_hour(item)

    def _forget_hours(self, now: int) -> None:
        self._hours = {key: count for key, count in self._hours.items() if (key[2] + 1) * HOUR_MS > now}

    def _line(self, line: str) -> ActiveVersion | None:
        if line not in self._lines:
            value = self._get([line_key(line)])[0]
            self._lines[line] = active_version.decode(value) if value is not None else None
        return self._lines[line]

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        stored = self._table.get_many(keys) if self._table is not None and keys else [None] * len(keys)
        return [self._puts.get(key, value) for key, value in zip(keys, stored, strict=True)]

    def _scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        return self._table.scan(prefix, after, limit) if self._table is not None else []

    def view(self, line: str) -> list[tuple[str, int, Cell]]:
        """(version, day, cell) of a line, newest first, with what is not folded yet; for people, not for the log."""
        now = max(self.memo.closed.values(), default=0)
        waiting = changes((part for _, part in self._pending.epochs(self.memo.folded, now)), 0)
        found = {key: cells_codec.decode(value) for key, value in self._all_cells() if split_cell_key(key)[0] == line}
        for key, change in waiting.items():
            if split_cell_key(key)[0] == line:
                found[key] = fold_cell(found.get(key, Cell(NO_COUNTS)), change, now)
        return [(*split_cell_key(key)[1:], found[key]) for key in sorted(found, reverse=True)]

    def _all_cells(self) -> Iterator[tuple[bytes, bytes]]:
        after: bytes | None = None
        while batch := self._scan(CELL, after, 1_000):
            yield from batch
            after = batch[-1][0]
