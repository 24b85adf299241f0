"""In which order Faust passes on what was fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from stream_app.engine.chunks import Chunk


class ChunkScheduler(DefaultSchedulingStrategy):
    """A Faust ``ConsumerScheduler``: chunks pass as they are, what is not ours (Faust's own topics) as ever."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Yield (partition, chunk or record)."""
        plain: dict[TP, list[Any]] = {}
        for tp, batch in records.items():
            if batch and isinstance(batch[0], Chunk):
                yield from ((tp, chunk) for chunk in batch)
            else:
                plain[tp] = batch
        if plain:
            yield from super().iterate(plain)
