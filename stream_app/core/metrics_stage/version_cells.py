"""Cells of one version of a model, each read once and unpacked as far as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.counts import cells_codec
from stream_app.core.counts.cells import EMPTY, Cell, Counts, DriftNote
from stream_app.core.counts.figures import assume
from stream_app.core.counts.summing import total
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.keys import cell_key


class VersionCells:
    """Cells of one version, each read once and unpacked as far as it is asked for."""

    def __init__(self, work: UnitOfWork, model: str, version: str) -> None:
        self._work, self.model, self.version = work, model, version
        self._raw: dict[int, bytes | None] = {}
        self._light: dict[int, Cell] = {}

    def _read(self, days: Iterable[int]) -> list[bytes]:
        """Stored cells of those days that have one."""
        wanted = list(days)
        new = [day for day in wanted if day not in self._raw]
        keys = [cell_key(self.model, self.version, day) for day in new]
        self._raw.update(zip(new, self._work.get(keys), strict=True))
        return [value for value in map(self._raw.get, wanted) if value is not None]

    def closed(self, days: range) -> list[int]:
        """Those of the days that hold counts."""
        self._read(days)
        return [day for day in days if self._raw[day] is not None]

    def light(self, days: Iterable[int]) -> list[Cell]:
        """Cells of those days that have one, without their scores."""
        return [cell for _, cell in self.dated(days)]

    def dated(self, days: Iterable[int]) -> list[tuple[int, Cell]]:
        """The same, with their days."""
        wanted = list(days)
        self._read(wanted)
        out = []
        for day in wanted:
            value = self._raw[day]
            if value is not None:
                if day not in self._light:
                    self._light[day] = cells_codec.decode(value, cell_key(self.model, self.version, day), scores=False)
                out.append((day, self._light[day]))
        return out

    def sum(self, days: Iterable[int], ordered: bool = True) -> Counts:
        """Counts of the days together."""
        found = self._read(days)
        return cells_codec.add_up(found, ordered) if found else EMPTY

    def sum_labels(self, days: Sequence[int], ordered: bool) -> Counts:
        """The same; what has no outcome is a negative in the days that assume so by now."""
        if not any(cell.assume_negative for cell in self.light(days)):
            return self.sum(days, ordered)
        cells = [cells_codec.decode(value) for value in self._read(days)]
        return total([assume(c.counts)[0] if c.assume_negative else c.counts for c in cells], ordered)

    def changed_since(self, tick: int, days: Iterable[int]) -> bool:
        """Whether counts of any of the days were folded later than ``tick``."""
        return any(cells_codec.folded_to(value) > tick for value in self._read(days))

    def noted(self, day: int, note: Callable[[DriftNote], DriftNote]) -> list[tuple[bytes, Cell, DriftNote]]:
        """The day's cell and what its snapshot shows from now on, if the cell exists."""
        key = cell_key(self.model, self.version, day)
        found = [cells_codec.decode(value, key) for value in self._read([day])]
        return [(key, cell, note(cell.drift or DriftNote())) for cell in found]


def judged_days(mine: VersionCells, days: Iterable[int], limits: ComparisonRules) -> tuple[list[int], list[Counts]]:
    """The days with enough labels, and their counts without scores; what assumes negatives by now has all labels."""
    judged, counts = [], []
    for day, cell in mine.dated(days):
        found = assume(cell.counts)[0] if cell.assume_negative else cell.counts
        if found.predictions and found.labelled >= limits.min_coverage * found.predictions:
            judged.append(day)
            counts.append(found)
    return judged, counts
