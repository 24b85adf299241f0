"""All records of a replay in the order of their times, sorted on disk when they do not fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stream_app.ingest.faults import Faults
from stream_app.ingest.inputs import Inputs, Survey, records
from stream_app.ingest.sorting import RUN, Sorted


class TimelineEvent(NamedTuple):
    """One record to send. Order: time, predictions before outcomes, then as in the files."""

    at_ms: int
    kind: int
    number: int
    key: str
    value: bytes


PREDICTION, OUTCOME = 0, 1


def events(inputs: Inputs, known: Survey, faults: Faults) -> Iterator[TimelineEvent]:
    """Events of the files in file order; draws are a function of seed and row number alone."""
    for number, made in enumerate(records(inputs, known, faults), 1):
        for row in made:
            kind = PREDICTION if row.kind == "predictions" else OUTCOME
            # a copy of its own length: what orjson returns keeps the kilobyte that it was written into
            yield TimelineEvent(row.at_ms, kind, number, row.key.decode(), bytes(memoryview(row.value)))


class Timeline(Sorted[TimelineEvent]):
    """Events in order of time."""

    def __init__(self, source: Iterable[TimelineEvent], run: int = RUN) -> None:
        super().__init__(TimelineEvent, source, run)

    @property
    def first_ms(self) -> int:
        """Time of the first event, 0 if there is none."""
        return self.first.at_ms if self.first is not None else 0

    @property
    def last_ms(self) -> int:
        """Time of the last event, 0 if there is none."""
        return self.last.at_ms if self.last is not None else 0
