"""What a column of a file looks like: how its values are written, and how many there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from schemas.common import flag
from stream_app.errors import Incompatible
from stream_app.ingest.faults import FileFault
from stream_app.ingest.files import Reading, of_folders, parts, table
from stream_app.ingest.relay import cells
from stream_app.ingest.relay.words import Fault, is_missing

#: Rows that are looked at: the first of the file.
LOOKED_AT: Final = 5_000
#: Ways in which times are written, tried in this order: as a replay reads them by itself, then units and patterns.
_FORMS: Final = (
    "", "s", "ms", "us", "ns", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M", "%d/%m/%Y", "%Y%m%d",
)  # fmt: skip
_FIRST_MS: Final = 946_684_800_000  # 2000-01-01
_LAST_MS: Final = 2_524_608_000_000  # 2050-01-01
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)? ?%?")
#: Distinct values that are counted.
_KINDS: Final = 200


@dataclass(slots=True)
class FileColumn:
    """A column by the rows that were looked at. ``values`` are those that are there, with the number of their row."""

    name: str
    rows: int = 0
    values: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def first(self) -> str:
        """A value, for people."""
        return str(self.values[0][1])[:40] if self.values else ""

    def kinds(self) -> Counter[str] | None:
        """How often each value stands there; ``None`` where there are too many to be classes."""
        found = Counter(str(value).strip() for _, value in self.values)
        return found if len(found) <= _KINDS else None

    def distinct(self) -> bool:
        """Whether every row has a value of its own."""
        return len(self.values) == self.rows and len({str(value) for _, value in self.values}) == self.rows

    def numbers(self) -> list[tuple[int, float]] | None:
        """Its values as numbers, by row; ``None`` if one is none."""
        found = []
        for row, value in self.values:
            if isinstance(value, bool):
                return None
            if not isinstance(value, int | float):
                text = str(value).strip()
                if not _NUMBER.fullmatch(text):
                    return None
                value = float(text.rstrip("% ").replace(",", "."))
            try:
                found.append((row, float(value)))
            except OverflowError:
                return None
        return found or None

    def percents(self) -> bool:
        """Whether its values carry the sign."""
        return any(str(value).strip().endswith("%") for _, value in self.values)

    def flags(self) -> bool:
        """Whether all of it reads as true or false by itself."""
        kinds = self.kinds()
        return bool(kinds) and all(flag(value) is not None for value in kinds or ())

    def time(self) -> tuple[str, bool] | None:
        """How its times are written, and whether they need a zone; ``None`` if they are no times."""
        sample = [value for _, value in self.values[:: max(1, len(self.values) // 200)]]
        for form in _FORMS if sample else ():
            try:
                moments = [cells.moment(value, form, "UTC") for value in sample]
            except (Fault, ValueError, OverflowError):
                continue
            if all(_FIRST_MS <= at <= _LAST_MS for at in moments):
                return form, _naive(sample[0], form)
        return None

    def years(self) -> bool:
        """Whether it holds years and nothing finer."""
        numbers = self.numbers()
        return numbers is not None and all(1970 <= n <= 2050 and n.is_integer() for _, n in numbers)


def _naive(value: Any, form: str) -> bool:
    if form in ("s", "ms", "us", "ns"):
        return False
    try:
        cells.moment(value, form, "")
    except (Fault, ValueError):
        return True
    return False


def look_at(paths: Iterable[Path], reading: Reading) -> list[FileColumn]:
    """The columns of the first file's first rows. ``Incompatible`` says why it cannot be read."""
    try:
        first = next(iter(paths))
        path = parts(first)[0]
        beside = of_folders(first, path)
        with table(path, reading) as found:
            wanted = found.columns or ()
            doubled = sorted({name for name in wanted if wanted.count(name) > 1})
            if doubled:
                raise FileFault(f"{path}: the name {doubled[0]!r} stands twice in its header")
            columns = {name: FileColumn(name) for name in (*wanted, *beside)}
            count, fault = 0, ""
            for number, row in islice(found.rows(wanted, None), LOOKED_AT):
                if isinstance(row, str):
                    fault = fault or f"row {number}: {row}"
                    continue
                count += 1
                for name, value in {**beside, **row}.items():
                    column = columns.setdefault(name, FileColumn(name))
                    text = _text(value)
                    if not is_missing(text):
                        column.values.append((number, text))
    except FileFault as error:
        raise Incompatible(str(error)) from error
    for column in columns.values():
        column.rows = count
    if not count:
        why = f"none of its first rows can be read: {fault}" if fault else "it has a header and no row"
        raise Incompatible(f"{path}: {why}")
    return list(columns.values())


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float | bool | datetime) or value is None else str(value)
