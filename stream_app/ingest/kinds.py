"""Of what kind the columns are that travel as features: judged over the whole column, before the first row is sent.

CSV has only text. A column is of numbers if every cell that is there is one, of true and false if every cell is such a
word, and otherwise stays text to the last cell: a column that changed its kind at some row would be another feature
from there on. Codes with leading zeros are text. NDJSON and Parquet say kinds themselves; where one column holds
several, numbers and numbers in text are numbers, and everything else is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from stream_app.ingest.decimal_signs import FIGURE, DecimalSigns, plain
from stream_app.ingest.relay.words import is_missing, is_no_name

_NUMBER: Final = r"^[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_FLAG: Final = r"^(?:true|false|True|False|TRUE|FALSE)$"
_ABSENT: Final = r"(?i)^(?:|nan|-nan|null|none|na|n/a|<na>|#n/a|nat|nil|\\n|-|\?|\.)$"
_number, _flag = re.compile(_NUMBER), re.compile(_FLAG)
_EXACT: Final = 2**63

NUMBER, FLAG, TEXT = "number", "flag", "text"
#: Kinds of cells beside those of columns: CSV's, which says nothing of its kind, and lists and objects.
_CELL, _NESTED = "cell", "nested"


class Kinds:
    """What the cells of some columns have been so far."""

    def __init__(self, columns: Iterable[str], decimal: str | None = None) -> None:
        self.columns = tuple(columns)
        #: what their numbers, and those of ``shares``, say of the decimal sign
        self.signs = DecimalSigns(decimal)
        #: columns that fields of numbers are read from, and whether such a field is the column as it stands
        self.shares: dict[str, bool] = {}
        #: kinds that a column may still be of, of NUMBER and FLAG; text it may always be
        self._text: dict[str, set[str]] = {name: {NUMBER, FLAG} for name in self.columns}
        #: kinds that typed cells were of
        self._typed: dict[str, set[str]] = {name: set() for name in self.columns}

    def look_at_text(self, name: str, column: Any, decimal_comma: bool, where: Callable[[int], str]) -> None:
        """A CSV's cells: an Arrow column of text; ``where`` says where a row of it stands."""
        import pyarrow.compute as pc

        column = pc.utf8_trim_whitespace(column)
        if decimal_comma:
            self.signs.look_at(name, column, where)
        if name not in self._typed:
            return
        there = column.filter(pc.invert(pc.match_substring_regex(column, _ABSENT)))
        if not len(there):
            return
        self._typed[name].add(_CELL)
        for kind, pattern in ((NUMBER, FIGURE if decimal_comma else _NUMBER), (FLAG, _FLAG)):
            if kind in self._text[name] and not pc.all(pc.match_substring_regex(there, pattern)).as_py():
                self._text[name].discard(kind)

    def look_at(self, row: dict[str, Any]) -> None:
        """A row whose cells have kinds of their own."""
        for name in self.columns:
            value = row.get(name)
            if value is None or is_missing(value):
                continue
            if isinstance(value, bool):
                kind = FLAG
            elif isinstance(value, int | float | Decimal):
                kind = NUMBER
            elif isinstance(value, str):
                kind = TEXT
                self._narrow(name, value.strip())
            else:
                kind = _NESTED
            self._typed[name].add(kind)

    def _narrow(self, name: str, text: str) -> None:
        left = self._text[name]
        if NUMBER in left and not _number.match(text):
            left.discard(NUMBER)
        if FLAG in left and not _flag.match(text):
            left.discard(FLAG)

    def kind(self, name: str) -> str | None:
        """Of what kind the column is; ``None`` if its cells keep what they are, because all are of one kind."""
        typed = self._typed[name]
        if len(typed) < 2 and _CELL not in typed:
            return None
        for kind in (NUMBER, FLAG):
            if kind in self._text[name] and typed <= {_CELL, TEXT, kind}:
                return kind
        return TEXT

    def numbers(self) -> list[str]:
        """Columns of numbers."""
        return [*self.shares, *(name for name in self.columns if self.kind(name) == NUMBER)]

    def of_all(self) -> dict[str, str | None]:
        """The kinds of all columns."""
        return {name: self.kind(name) for name in self.columns}


def as_kind(value: Any, kind: str | None, sign: str | None = None) -> Any:
    """A cell as its column's kind; ``sign``: the decimal one, where text may have either. ``ValueError`` for a number
    that JSON cannot carry."""
    if value is None or (kind != TEXT and is_missing(value)):
        return None
    if kind == TEXT:
        return None if value == "" or is_no_name(value) else _text(value)
    if isinstance(value, str):
        text = value.strip()
        if kind == FLAG:
            return text.lower() == "true"
        if kind == NUMBER:
            return _as_number(plain(text, sign))
        return value
    if isinstance(value, Decimal):
        return _as_number(str(value))
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _as_number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?\d+", text):
        whole = int(text)
        if -_EXACT <= whole < _EXACT:
            return whole
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text} cannot be written as JSON")
    return found
