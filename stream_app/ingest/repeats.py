"""Ids that come again in the files of one command, in bounded memory, whatever their number.

Of each row Python's hashes of its id and of what it says are kept, and its number: 24 bytes in a file that nobody
sees, parted by the first bits of the id's hash; one part after the other is looked through at the end. Hashes have 64
bits: among ten million ids, two that meet without being one are one in 300,000. What comes of it is a sentence, or
with --strict a refusal; a hash that is the same in every process would cost a tenth of the reading.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from stream_app.ingest.faults import FIRST

#: Records that are kept in memory before they are written: 3 MB.
_HELD: Final = 1 << 17
#: Parts by the first bits of hashes; a part of a hundred million records is 20 MB.
_PARTS: Final = 128
_COLUMNS: Final = 3
#: A row as one number: what it holds, its file, its number in the file.
_OUTCOME: Final = 1 << 62
_FILE: Final = 40


@dataclass(slots=True)
class RepeatedRows:
    """Rows that come again: how many, and of the first of them the row and the one before."""

    count: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)

    def note(self, rows: Any, earlier: Any) -> None:
        """Count more of them; rows as numbers, in any order."""
        self.count += len(rows)
        order = rows.argsort()[:FIRST]
        self.first = sorted([*self.first, *zip(rows[order].tolist(), earlier[order].tolist(), strict=True)])[:FIRST]


class Repeats:
    """Collects the records of a pass. ``look`` counts; the object is not used again."""

    def __init__(self) -> None:
        #: rows of predictions that say the same as the first of their id, and that say something else
        self.equal, self.differing = RepeatedRows(), RepeatedRows()
        #: rows of outcomes alone whose id came before: corrections
        self.corrections = 0
        #: the same whose prediction is in none of the files, where some hold predictions
        self.strangers = RepeatedRows()
        self.outcomes = 0
        #: names of files, and what their rows are called
        self._files: list[tuple[str, str]] = []
        self._predictions = False
        self._held = array("q")
        self._spilled: Any = None
        #: of each time that records were written: where it began, and the end of each part
        self._ends: list[tuple[int, Any]] = []
        self._file = 0

    def begin(self, name: str, where: str, outcomes: bool) -> None:
        """The next records are of this file; ``where``: what its rows are called."""
        self._file = len(self._files) << _FILE | (_OUTCOME if outcomes else 0)
        self._files.append((name, where))
        self._predictions |= not outcomes

    def add(self, number: int, key: bytes, content: Hashable) -> None:
        """Note a row's id and what it says."""
        held = self._held
        append = held.append
        append(hash(key))
        append(hash(content))
        append(self._file | number)
        if len(held) >= _HELD * _COLUMNS:
            self._spill()

    def _parted(self) -> tuple[Any, Any]:
        """What is held, by part and in order, and the end of each part."""
        import numpy as np

        rows = np.frombuffer(self._held, dtype=np.uint64).reshape(-1, _COLUMNS)
        part = (rows[:, 0] >> np.uint64(64 - (_PARTS - 1).bit_length())).astype(np.uint8)
        order = part.argsort(kind="stable")
        return rows[order], part[order].searchsorted(np.arange(_PARTS), side="right")

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = tempfile.TemporaryFile(prefix="plumbline-ids-")  # noqa: SIM115 - closed by look
        rows, ends = self._parted()
        self._ends.append((self._spilled.tell(), ends))
        self._spilled.write(rows.data)
        self._held = array("q")

    def look(self) -> None:
        """Find what comes again."""
        import numpy as np

        if not self._files:
            return
        held, ends = self._parted()
        for part in range(_PARTS):
            pieces = [self._piece(begin, at, part) for begin, at in self._ends]
            pieces.append(held[ends[part - 1] if part else 0 : ends[part]])
            self._look_at(np.concatenate(pieces) if len(pieces) > 1 else pieces[0])
        self._held = array("q")
        if self._spilled is not None:
            self._spilled.close()

    def _piece(self, begin: int, ends: Any, part: int) -> Any:
        import numpy as np

        first, last = (int(ends[part - 1]) if part else 0), int(ends[part])
        width = 8 * _COLUMNS
        self._spilled.seek(begin + first * width)
        return np.frombuffer(self._spilled.read((last - first) * width), dtype=np.uint64).reshape(-1, _COLUMNS)

    def _look_at(self, rows: Any) -> None:
        import numpy as np

        is_outcome = rows[:, 2] >= np.uint64(_OUTCOME)
        predictions, outcomes = rows[~is_outcome], rows[is_outcome]
        at, first = _again(predictions)
        if len(at):
            differ = predictions[at, 1] != predictions[first, 1]
            for kind, which in ((self.equal, ~differ), (self.differing, differ)):
                kind.note(predictions[at[which], 2], predictions[first[which], 2])
        if len(outcomes):
            self.outcomes += len(outcomes)
            self.corrections += len(_again(outcomes)[0])
            alone = outcomes[~np.isin(outcomes[:, 0], predictions[:, 0]), 2]
            if self._predictions:
                self.strangers.note(alone, alone)

    @property
    def of_predictions(self) -> int:
        """Rows of predictions whose id an earlier row has."""
        return self.equal.count + self.differing.count

    def sentences(self) -> list[str]:
        """What people should know of it."""
        found = []
        if self.equal.count:
            rows = (
                "row repeats an earlier one and counts"
                if self.equal.count == 1
                else "rows repeat earlier ones and count"
            )
            found.append(f"{self.equal.count:,} {rows} once: {self._named(self.equal)}")
        if self.differing.count:
            rows = "row has" if self.differing.count == 1 else "rows have"
            found.append(
                f"Warning: {self.differing.count:,} {rows} the id of an earlier row and other content; of each id the "
                f"prediction of the earliest time counts, and the latest outcome: {self._named(self.differing)}"
            )
        if self.corrections:
            rows = "outcome comes" if self.corrections == 1 else "outcomes come"
            found.append(f"{self.corrections:,} {rows} again for an id: of each the latest counts, as a correction")
        if self.strangers.count:
            belong, count = ("belongs", "counts") if self.strangers.count == 1 else ("belong", "count")
            named = ", ".join(self._name(row) for row, _ in self.strangers.first)
            found.append(
                f"{self.strangers.count:,} of {self.outcomes:,} outcomes {belong} to no prediction of these files and "
                f"{count} only where that was sent before: {named}"
            )
        return found

    def _named(self, repeated: RepeatedRows) -> str:
        more = ", …" if repeated.count > len(repeated.first) else ""
        return ", ".join(f"{self._name(row)} (as {self._name(earlier)})" for row, earlier in repeated.first) + more

    def _name(self, row: int) -> str:
        name, where = self._files[(row & ~_OUTCOME) >> _FILE]
        return f"{name}, {where} {row & ((1 << _FILE) - 1)}"


def _again(rows: Any) -> tuple[Any, Any]:
    """Places of rows whose hash an earlier row has, and of the first row that has it."""
    import numpy as np

    order = rows[:, 0].argsort(kind="stable")
    hashes = rows[order, 0]
    again = np.zeros(len(rows), dtype=bool)
    np.equal(hashes[1:], hashes[:-1], out=again[1:])
    first = np.where(again, 0, np.arange(len(rows)))
    np.maximum.accumulate(first, out=first)
    return order[again], order[first[again]]
