"""More rows than fit in memory, in order: sorted in runs that lie on disk, and merged as they are read."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic, TypeVar

import msgspec

#: Rows sorted in memory at a time: some 50 MB.
RUN: Final = 100_000

Row = TypeVar("Row", bound=tuple[Any, ...])


class Sorted(Generic[Row]):
    """Rows in the order of their fields. Use as a context manager: runs sorted on disk are removed at the end."""

    def __init__(self, kind: type[Row], source: Iterable[Row], run: int = RUN) -> None:
        self._kind = kind
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-sort-")
        self._runs: list[Path] = []
        self._last: list[Row] = []
        self.count = 0
        #: smallest and largest row
        self.first: Row | None = None
        self.last: Row | None = None
        batch: list[Row] = []
        for row in source:
            batch.append(row)
            if len(batch) >= run:
                self._spill(batch)
                batch = []
        self._sort(batch)
        self._last = batch

    def _sort(self, batch: list[Row]) -> None:
        if not batch:
            return
        batch.sort()
        self.first = min(self.first or batch[0], batch[0])
        self.last = max(self.last or batch[-1], batch[-1])
        self.count += len(batch)

    def _spill(self, batch: list[Row]) -> None:
        self._sort(batch)
        path = Path(self._folder.name, f"run-{len(self._runs)}")
        encoder = msgspec.msgpack.Encoder()
        with path.open("wb") as out:
            for row in batch:
                data = encoder.encode(row)
                out.write(len(data).to_bytes(4, "big"))
                out.write(data)
        self._runs.append(path)

    def __iter__(self) -> Iterator[Row]:
        if not self._runs:
            return iter(self._last)
        return heapq.merge(*(self._read(path) for path in self._runs), self._last)

    def _read(self, path: Path) -> Iterator[Row]:
        decoder = msgspec.msgpack.Decoder(self._kind)
        stream: BinaryIO
        with path.open("rb") as stream:
            while head := stream.read(4):
                yield decoder.decode(stream.read(int.from_bytes(head, "big")))

    def __enter__(self) -> Sorted[Row]:
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()
