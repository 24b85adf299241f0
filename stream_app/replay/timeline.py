"""All records of a replay in the order of their times, sorted on disk when they do not fit in memory."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from stream_app.ingest.files import rows
from stream_app.ingest.mapping import BadRow, Mapping, outcome, prediction
from stream_app.ingest.sorting import RUN, Sorted


class TimelineEvent(NamedTuple):
    """One record to send. Order: time, predictions before outcomes, then as in the files."""

    at_ms: int
    kind: int
    number: int
    key: str
    value: bytes


PREDICTION, OUTCOME = 0, 1


@dataclass(slots=True)
class TimelineFaults:
    """Rows that made no record."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one; keep the first twenty for the report."""
        self.count += 1
        if len(self.first) < 20:
            self.first.append(text)


def events(
    files: list[Path], outcomes: list[Path], mapping: Mapping, limit: int | None, faults: TimelineFaults
) -> Iterator[TimelineEvent]:
    """Events of the files in file order; draws are a function of seed and row number alone."""
    number = 0
    for path in files:
        for row in rows(path):
            if limit is not None and number >= limit:
                break
            number += 1
            draw = random.Random(f"{mapping.seed}:{number}")
            try:
                at, name, record = prediction(mapping, row, number, draw)
                late = None if outcomes else outcome(mapping, row, number, at, draw)
            except BadRow as error:
                faults.add(f"{path.name}, row {number}: {error}")
                continue
            yield TimelineEvent(at, PREDICTION, number, name, orjson.dumps(record))
            if late is not None:
                yield TimelineEvent(late[0], OUTCOME, number, late[1], orjson.dumps(late[2]))
    for path in outcomes:
        for row in rows(path):
            number += 1
            try:
                found = outcome(mapping, row, number, None, random.Random(f"{mapping.seed}:{number}"))
            except BadRow as error:
                faults.add(f"{path.name}, row {number}: {error}")
                continue
            if found is not None:
                yield TimelineEvent(found[0], OUTCOME, number, found[1], orjson.dumps(found[2]))


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
