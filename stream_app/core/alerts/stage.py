"""The alerts stage: one partition of the drift log in, alerts out.

Deterministic by construction: one input in one order, a line's memory in the table, no clock but the log's ticks. A
coordinator's decision stands in the log before the event it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from schemas.alerts import AutoRetrain, Safeguard
from schemas.clock import TickView
from schemas.common import ce_headers, encode, parse_ms
from stream_app.core import line_log
from stream_app.core.alerts import state
from stream_app.core.alerts.lifecycle import Lifecycle
from stream_app.core.alerts.rules import AlertsConfig
from stream_app.core.alerts.state import LineState
from stream_app.core.effects import Drained, Emit, Record, TableReader
from stream_app.core.metrics_stage.outbox import Outbox
from stream_app.errors import Incompatible

ALERTS: Final = "alerts"
MEMO_FORMAT: Final = 1


class Memo(msgspec.Struct):
    """What the lane knows beside its table: the last tick (epoch ms), and decisions whose event is still to come."""

    tick_ms: int = 0
    decisions: dict[str, AutoRetrain] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memo)


class AlertsStage:
    """Alerts of one line partition. Not thread-safe; owned by its lane."""

    live = False

    def __init__(self, config: AlertsConfig, partition: int) -> None:
        self.config = config
        self.partition = partition
        self.load(None, None)

    def load(self, memo: bytes | None, table: TableReader | None) -> None:
        """Start from the last commit; lines with an open alert are known by their marks."""
        self.memo = _memo(memo)
        self._outbox = Outbox(table, self.partition)
        self._open: set[str] = set()
        after: bytes | None = None
        while batch := self._outbox.scan(state.OPEN, after, 1_000):
            self._open.update(key[len(state.OPEN) :].decode() for key, _ in batch)
            after = batch[-1][0]

    def accept(self, alias: str, batch: Sequence[Record], tick: TickView | None) -> int:
        """Entries in the log's order."""
        for record in batch:
            self._entry(line_log.decode(record.value or b""))
        return len(batch)

    def waiting_for(self, tick: TickView) -> str | None:
        """Nothing: the log is its only input."""
        return None

    def advance(self, tick: TickView) -> bool:
        """Ticks stand in the log."""
        return True

    def drain(self) -> Drained:
        """Effects since the last drain."""
        return self._outbox.drain(bytes((MEMO_FORMAT,)) + _encoder.encode(self.memo))

    # -- entries -------------------------------------------------------------------------------------------------

    def _entry(self, entry: line_log.Entry) -> None:
        if isinstance(entry, line_log.EventEntry):
            found = orjson.loads(entry.record)
            now = parse_ms(found["at"])
            life = self._life(entry.line)
            life.event(entry, found, self.memo.decisions.pop(entry.id, None), now)
            self._keep(life, now)
        elif isinstance(entry, line_log.DecisionEntry):
            guards = [Safeguard(*answer) for answer in entry.safeguards]
            self.memo.decisions[entry.event_id] = AutoRetrain(entry.eligible, guards)
        elif isinstance(entry, line_log.TickEntry):
            for line in sorted(self._open):
                life = self._life(line)
                life.tick(entry.at_ms)
                if life.out:
                    self._keep(life, entry.at_ms)
            self.memo.tick_ms = entry.at_ms
            self.memo.decisions.clear()
        elif isinstance(entry, line_log.CommandEntry):
            self._command(entry)
        elif isinstance(entry, line_log.KeptEntry):
            life = self._life(entry.line)
            life.kept(entry.since_ms, entry.at_ms)
            self._keep(life, entry.at_ms)

    def _command(self, entry: line_log.CommandEntry) -> None:
        """Commands that concern open alerts; metrics has checked their form."""
        row = orjson.loads(entry.record)
        if row["command"] not in ("acknowledge", "rebaseline"):
            return
        arguments: dict[str, Any] = row.get("arguments") or {}
        for line in sorted(self._open) if entry.line == "*" else [entry.line]:
            if line not in self._open:
                continue
            life = self._life(line)
            if row["command"] == "acknowledge":
                life.acknowledge(str(row.get("actor") or "unknown")[:256], arguments.get("alert_id"), entry.at_ms)
            else:
                life.accept(entry.at_ms)
            self._keep(life, entry.at_ms)

    # -- memory and effects --------------------------------------------------------------------------------------

    def _life(self, line: str) -> Lifecycle:
        value = self._outbox.get([state.LINE + line.encode()])[0]
        return Lifecycle(self.config, line, state.decode(value) if value is not None else LineState())

    def _keep(self, life: Lifecycle, now_ms: int) -> None:
        line = life.line
        self._outbox.put(state.LINE + line.encode(), state.encode(life.state))
        opened = any(known.open is not None for known in life.state.alerts.values())
        if opened != (line in self._open):
            self._outbox.put(state.OPEN + line.encode(), b"\x01" if opened else None)
            (self._open.add if opened else self._open.discard)(line)
        for record in life.out:
            headers = ce_headers("alert", record.id, line, now_ms, self.config.source)
            self._outbox.emit(Emit(ALERTS, self.partition, record.id.encode(), encode(record), headers))


def _memo(value: bytes | None) -> Memo:
    if value is None:
        return Memo()
    if value[:1] != bytes((MEMO_FORMAT,)):
        raise Incompatible(
            f"the alerts' positions record has format {value[:1]!r}, this release reads {MEMO_FORMAT}: run the release "
            "that wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    return _decoder.decode(memoryview(value)[1:])
