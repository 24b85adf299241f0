"""What the stages share that gather an epoch's entries of the log and handle them at its tick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from schemas.clock import TickView
from stream_app.core import model_log
from stream_app.core.kit.effects import ConsumedRecord
from stream_app.core.kit.epoch_log import EpochLog
from stream_app.core.kit.log_stage import LogStage


class EpochStage(LogStage, ABC):
    """Base of a stage that remembers what an epoch brings in :attr:`_epoch`, until the epoch's tick."""

    _epoch: EpochLog

    def accept(self, alias: str, batch: Sequence[ConsumedRecord], tick: TickView | None) -> int:
        """Entries in the log's order; stops at a tick whose epoch takes another step."""
        self._epoch.begin_call()
        for number, record in enumerate(batch):
            with model_log.decoding(record):
                entry = model_log.entry_of(record)
                if isinstance(entry, model_log.TickEntry):
                    if not self._tick(entry):
                        return number
                else:
                    self._entry(record.offset, entry)
            self._pass_on(record)
        return len(batch)

    @abstractmethod
    def _tick(self, entry: model_log.TickEntry) -> bool:
        """Handle an epoch; ``False`` if the budget ends before it, and the rest waits in the table."""

    @abstractmethod
    def _entry(self, offset: int, entry: model_log.Entry) -> None:
        """Take an entry that is no tick."""

    def _pass_on(self, record: ConsumedRecord) -> None:
        """Hand a record that was taken to the next log; the last stage has none."""
