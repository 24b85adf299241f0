"""All records of a replay in the order of their times, sorted on disk when they do not fit in memory."""

from __future__ import annotations

import heapq
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import orjson

from stream_app.ingest.files import rows
from stream_app.ingest.mapping import BadRow, Mapping, outcome, prediction

#: Events sorted in memory at a time: some 100 MB.
RUN = 300_000


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


class Timeline:
    """Events in order of time. Use as a context manager: runs sorted on disk are removed at the end."""

    def __init__(
        self, source: Iterable[TimelineEvent], run: int = RUN, progress: Callable[[int], Any] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-sort-")
        self._runs: list[Path] = []
        self._last: list[TimelineEvent] = []
        self.count = 0
        self.first_ms = self.last_ms = 0
        batch: list[TimelineEvent] = []
        for event in source:
            batch.append(event)
            if len(batch) >= run:
                self._spill(batch)
                batch = []
                if progress is not None:
                    progress(self.count)
        batch.sort()
        self._note(batch)
        self._last = batch

    def _note(self, batch: list[TimelineEvent]) -> None:
        if not batch:
            return
        self.first_ms = min(self.first_ms, batch[0].at_ms) if self.count else batch[0].at_ms
        self.last_ms = max(self.last_ms, batch[-1].at_ms)
        self.count += len(batch)

    def _spill(self, batch: list[TimelineEvent]) -> None:
        batch.sort()
        self._note(batch)
        path = Path(self._folder.name, f"run-{len(self._runs)}")
        encoder = msgspec.msgpack.Encoder()
        with path.open("wb") as out:
            for event in batch:
                data = encoder.encode(event)
                out.write(len(data).to_bytes(4, "big"))
                out.write(data)
        self._runs.append(path)

    def __iter__(self) -> Iterator[TimelineEvent]:
        if not self._runs:
            return iter(self._last)
        return heapq.merge(*(_read(path) for path in self._runs), self._last)

    def __enter__(self) -> Timeline:
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()


def _read(path: Path) -> Iterator[TimelineEvent]:
    decoder = msgspec.msgpack.Decoder(TimelineEvent)
    stream: BinaryIO
    with path.open("rb") as stream:
        while head := stream.read(4):
            yield decoder.decode(stream.read(int.from_bytes(head, "big")))
