"""What the stages behind metrics share: one log as their only input, with its ticks inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from schemas.clock import TickView
from schemas.unreadable import Unreadable
from stream_app.core import line_log
from stream_app.core.effects import Record
from stream_app.errors import Broken, Parked, UnknownFormat

#: What a call of ``accept`` handles of the epochs whose ticks it meets, in whole batches: entries of at most some 20 kB
#: and .3 ms as a rule. More: a checkpoint is larger, and other lanes wait longer. It never changes a result.
A_STEP: Final = 256


class LogStage:
    """Base of a stage that reads one log in order. It waits for nothing: ticks stand in the log.

    An epoch may be large (a settings file can speak of 100,000 models in one second), so its tick is handled in steps:
    what is done is gone from the table, and the tick is handed in again after a checkpoint until nothing is left.
    """

    live = False

    def waiting_for(self, tick: TickView) -> str | None:
        """Nothing: the log is its only input."""
        return None

    def advance(self, tick: TickView) -> bool:
        """Ticks stand in the log."""
        return True


def entry_of(record: Record) -> line_log.Entry:
    """The entry that a log's record holds. ``Broken`` and ``UnknownFormat`` say where the record stands."""
    try:
        return line_log.decode(record.value or b"")
    except UnknownFormat as error:
        raise UnknownFormat(f"{_place(record)}: {error}") from error
    except Broken as error:
        raise Broken(f"{_place(record)} is not an entry of the log: {error}; please report it") from error


@contextmanager
def decoding(record: Record) -> Iterator[None]:
    """Whatever of a log's record cannot be decoded, also inside an entry, is a fault of ours: ``Broken``.

    ``Parked`` for one whose bytes could not be read at all.
    """
    if isinstance(record.value, Unreadable):
        raise Parked("unreadable_log", record.value.parks(record.topic, record.partition))
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken(f"{_place(record)} is not an entry of the log: {error}; please report it") from error


def _place(record: Record) -> str:
    return f"{record.topic}[{record.partition}] offset {record.offset}"
