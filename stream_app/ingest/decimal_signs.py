"""Which sign parts whole from fraction, in CSV files whose columns are not parted by commas.

There 0,5 and 1.234,5 say that it is the comma, 0.5 and 1,234.5 that it is the point, and 1,234 says neither: it is
1.234 or 1234. What the other numbers of the files say decides; where they say nothing, or both, such a number is
refused rather than read wrong by a thousand. A point without any comma in the files is a decimal point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

COMMA, POINT = ",", "."
#: A number with either sign, thousands in groups of three or not.
FIGURE: Final = (
    r"^[+-]?(?:(?:0|[1-9][0-9]*)(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?"
    r"|[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?|[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?)$"
)


def _either(sign: str) -> str:
    return rf"^[+-]?[1-9][0-9]{{0,2}}[{sign}][0-9]{{3}}$"


def _says(sign: str, other: str) -> str:
    """Numbers that can be read only with ``sign`` before the fraction."""
    return (
        rf"^[+-]?(?:(?:0|[1-9][0-9]{{3,}})[{sign}][0-9]+|[1-9][0-9]{{0,2}}[{sign}](?:[0-9]{{1,2}}|[0-9]{{4,}})"
        rf"|[0-9]+[{sign}][0-9]+[eE][+-]?[0-9]+"
        rf"|[1-9][0-9]{{0,2}}(?:[{other}][0-9]{{3}})+[{sign}][0-9]+|[1-9][0-9]{{0,2}}(?:[{other}][0-9]{{3}}){{2,}})$"
    )


_EITHER: Final = {COMMA: _either(COMMA), POINT: _either(POINT)}
_SAYS: Final = {COMMA: _says(COMMA, POINT), POINT: _says(POINT, COMMA)}
_either_comma, _either_point = re.compile(_EITHER[COMMA]), re.compile(_EITHER[POINT])


@dataclass(slots=True)
class _Column:
    """What the cells of a column say."""

    says: set[str] = field(default_factory=set)
    #: by the sign in it, where the first number stands that can be read either way
    either: dict[str, str] = field(default_factory=dict)


class DecimalSigns:
    """What the numbers of some columns have said so far. ``given``: the sign that somebody named, which then counts."""

    def __init__(self, given: str | None = None) -> None:
        self._given = given
        self._columns: dict[str, _Column] = {}

    def look_at(self, name: str, column: Any, where: Callable[[int], str]) -> None:
        """An Arrow column of text without blanks around it; ``where`` says where a row of it stands."""
        import pyarrow.compute as pc

        known = self._columns.setdefault(name, _Column())
        for sign in (COMMA, POINT):
            if sign not in known.says and pc.any(pc.match_substring_regex(column, _SAYS[sign])).as_py():
                known.says.add(sign)
            if sign not in known.either:
                found = pc.match_substring_regex(column, _EITHER[sign])
                if pc.any(found).as_py():
                    at = pc.index(found, True).as_py()
                    known.either[sign] = f"{where(at)}: {name!r} is {column[at].as_py()!r}"

    def decided(self, numbers: Iterable[str]) -> str | None:
        """The sign before the fraction, by the columns of numbers; ``None`` where they say nothing, or both."""
        said = {sign for name in numbers for sign in self._of(name).says}
        return self._given or (said.pop() if len(said) == 1 else None)

    def unclear(self, numbers: Iterable[str], bounded: Iterable[str]) -> str | None:
        """What to say of the first number that can be read either way while nothing decides; ``bounded``: columns of
        numbers whose bounds leave one way."""
        named, bounded = tuple(numbers), set(bounded)
        if self.decided(named) is not None:
            return None
        both = any(self._of(name).says for name in named)
        for name in named:
            for sign in (COMMA, POINT) if both else (COMMA,):
                if name not in bounded and sign in self._of(name).either:
                    return (
                        f"{self._of(name).either[sign]}, with thousands or with a fraction, and the other numbers say "
                        f"{'both' if both else 'nothing'} of it: say --decimal comma or --decimal point"
                    )
        return None

    def misread(self, numbers: Iterable[str], named: Iterable[str]) -> bool:
        """Whether some of the ``named`` columns hold a number that :func:`plain` reads otherwise once it is decided."""
        sign = self.decided(numbers)
        return any(found != sign for name in named for found in self._of(name).either) and sign is not None

    def _of(self, name: str) -> _Column:
        return self._columns.get(name, _Column())


def plain(text: str, sign: str | None) -> str:
    """A number of :data:`FIGURE` with a decimal point and without groups. ``sign``: which one the files decided for."""
    commas, points = text.count(COMMA), text.count(POINT)
    if not commas and not points:
        return text
    if commas and points:
        group = COMMA if text.rfind(POINT) > text.rfind(COMMA) else POINT
    elif commas > 1 or (commas and sign == POINT and _either_comma.match(text)):
        group = COMMA
    elif points > 1 or (points and sign == COMMA and _either_point.match(text)):
        group = POINT
    else:
        return text.replace(COMMA, POINT)
    return text.replace(group, "").replace(COMMA, POINT)
