"""What is wrong with files and their rows: said in sentences, all kinds at once, each with its count and first rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from stream_app.errors import Incompatible

#: Rows that are named of one kind of fault.
FIRST: Final = 3
#: Kinds that are told apart; a file can have as many as it has rows.
_KINDS: Final = 200
_OTHERS: Final = "other faults"
#: What differs from row to row.
_VALUES: Final = re.compile(
    r"'[^']*'|\"[^\"]*\"|(?<=\bis )-?[\w.+-]*\d[\w.+:-]*|(?<=\bhas )\d+|(?<=\bis )(?:None|nan|inf)\b"
)


class FileFault(Incompatible):
    """A file that cannot be read as it is asked to be; the message names it."""


class BadRow(ValueError):
    """A row that makes no record; each of ``sentences`` says one thing that is wrong."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences


@dataclass(slots=True)
class FaultKind:
    """Rows with one kind of fault: how many, and the first of them in full."""

    count: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Faults:
    """Files that cannot be read, and rows that make no record by kind of fault. ``count`` counts rows."""

    count: int = 0
    kinds: dict[str, FaultKind] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def add(self, where: str, *sentences: str) -> None:
        """Count a row. What differs from row to row is left out of the kind."""
        self.count += 1
        for text in sentences:
            reason = _VALUES.sub("…", text)
            if reason not in self.kinds and len(self.kinds) >= _KINDS:
                reason = _OTHERS
            kind = self.kinds.setdefault(reason, FaultKind())
            kind.count += 1
            if len(kind.first) < FIRST:
                kind.first.append(f"{where}: {text}")

    @property
    def by_reason(self) -> dict[str, int]:
        """Rows of each kind; a row may have several."""
        return {reason: kind.count for reason, kind in self.kinds.items()}

    @property
    def first(self) -> list[str]:
        """The first rows of each kind, the most frequent kinds first."""
        ordered = sorted(self.kinds.values(), key=lambda kind: -kind.count)
        return [text for kind in ordered for text in kind.first]

    def lines(self) -> list[str]:
        """All of it for people: files first, then each kind with its count and first rows."""
        found = list(self.files)
        for reason, kind in sorted(self.kinds.items(), key=lambda item: -item[1].count):
            if kind.count == 1:
                found += kind.first
            else:
                found.append(f"{kind.count:,} rows: {reason}")
                found += [f"  {text}" for text in kind.first]
        return found
