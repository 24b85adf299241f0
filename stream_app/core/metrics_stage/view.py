"""A model's cells for people, a page at a time: what is stored, with what is not folded yet on top.

Whoever shows a page shares a thread with the lane, so :func:`page` is a generator: it yields ``None`` after each small
piece of work, and the caller lets others run whenever it likes. Between two pieces the lane may go on, so the rows of a
page are taken together (:meth:`Source.take`), and everything after that looks at what was taken.

Order: newest day first, versions by name. Cost: a scan by prefix for each day, and a look at the pending cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from stream_app.core.counts import cells_codec
from stream_app.core.counts.cells import EMPTY as NO_COUNTS
from stream_app.core.counts.cells import Cell
from stream_app.core.counts.cells import fold as fold_cell
from stream_app.core.counts.deltas import Part
from stream_app.core.metrics_stage.keys import cell_key, cell_prefix, split_cell_key
from stream_app.core.metrics_stage.pending import Changes

#: Stored cells read, or decoded, in one piece of work: some five milliseconds.
_AT_ONCE = 50
#: Pending cells looked at in one piece of work.
_LOOKED_AT = 20_000


class CellRow(NamedTuple):
    """A cell and whose it is."""

    version: str
    day: int
    cell: Cell


class Taken(NamedTuple):
    """Stored values by key, parts not folded into all of them, and the ticks (epoch ms) these lie between."""

    stored: dict[bytes, bytes | None]
    parts: list[Part]
    folded: int
    until: int


class CellSource(Protocol):
    """What a page is made of."""

    def cell_days(self) -> tuple[int, int]: ...
    def scan_cells(self, prefix: bytes, after: bytes | None, limit: int) -> list[bytes]: ...
    def take(self, keys: list[bytes]) -> Taken: ...


def page(source: CellSource, model: str, after: tuple[int, str] | None, limit: int) -> Iterator[CellRow | None]:
    """Up to ``limit`` rows behind ``after`` (day, version); ``None`` between pieces of work."""
    pending: dict[int, set[bytes]] = {}
    for found in _pending_keys(source.take([]).parts, model):
        for key in found:
            pending.setdefault(split_cell_key(key)[2], set()).add(key)
        yield None
    oldest, newest = source.cell_days()
    keys: list[bytes] = []
    days = {*range(oldest, newest + 1), *pending}
    for day in sorted(days, reverse=True):
        if after is not None and day > after[0]:
            continue
        start = cell_key(model, after[1], day) if after is not None and day == after[0] else None
        fresh = {key for key in pending.get(day, ()) if start is None or key > start}
        for stored in _stored(source, cell_prefix(day) + model.encode() + b"\0", start, limit - len(keys)):
            fresh |= stored
            yield None
        keys += sorted(fresh)[: limit - len(keys)]
        if len(keys) >= limit:
            break
        yield None
    if keys:
        yield from _rows(source.take(keys), keys, model)


def _stored(source: CellSource, prefix: bytes, after: bytes | None, limit: int) -> Iterator[set[bytes]]:
    while limit > 0:
        found = source.scan_cells(prefix, after, min(limit, _AT_ONCE))
        yield set(found)
        if len(found) < min(limit, _AT_ONCE):
            return
        after, limit = found[-1], limit - len(found)


def _pending_keys(parts: list[Part], model: str) -> Iterator[list[bytes]]:
    looked = 0
    found: list[bytes] = []
    for part in parts:
        found += [cell_key(cell.model, cell.version, cell.day) for cell in part.cells if cell.model == model]
        looked += len(part.cells)
        if looked >= _LOOKED_AT:
            yield found
            looked, found = 0, []
    yield found


def _rows(taken: Taken, keys: list[bytes], model: str) -> Iterator[CellRow | None]:
    cells: dict[bytes, Cell] = {}
    for number, key in enumerate(keys, 1):
        value = taken.stored[key]
        cells[key] = cells_codec.decode(value, key) if value is not None else Cell(NO_COUNTS)
        if number % _AT_ONCE == 0:
            yield None
    # in the middle of a fold some cells hold a part of what is pending already
    waiting = {key for key, cell in cells.items() if cell.folded_to <= taken.folded}
    for part in taken.parts:
        if any(cell.model == model for cell in part.cells):
            ahead = Changes([part], 0, waiting)
            for start in range(0, len(ahead.keys), _AT_ONCE):
                changes = ahead.take(start, start + _AT_ONCE)
                for key, change in zip(ahead.keys[start : start + _AT_ONCE], changes, strict=True):
                    cells[key] = fold_cell(cells[key], change, taken.until)
                yield None
        yield None
    for key in keys:
        _, version, day = split_cell_key(key)
        if cells[key].folded_to or taken.stored[key] is not None:  # else it expired since its key was read
            yield CellRow(version, day, cells[key])
