"""How faults of values are said, which words mean that nothing is there, and JSON with every digit of its integers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

#: Texts in which other systems write that a value is missing, in lower case.
MISSING: Final = frozenset({"", "null", "none", "nan", "nat", "na", "n/a", "<na>", "nil", "undefined"})
#: The same of an id, as it is written: there a short word may be a name.
_NO_ID: Final = frozenset({"", "null", "Null", "NULL", "none", "None", "NONE", "nan", "NaN", "NAN", "undefined"})

#: ``ValueError`` for what is no JSON, ``RecursionError`` for what is nested too deeply
decode: Final = msgspec.json.Decoder().decode


class Fault(ValueError):
    """A value that a function cannot use; the message says why."""


def shown(value: Any) -> str:
    """A value in a message, cut short: it may be large, and it may be personal."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def decode_json(raw: bytes | str) -> Any:
    """JSON, with integers of any length. ``ValueError`` for what is none."""
    try:
        return decode(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def fractions(values: list[Any]) -> list[Any]:
    """A list with its whole numbers made fractions: some write 1.0 as 1."""
    try:
        return [float(value) if value.__class__ is int else value for value in values]
    except OverflowError as error:
        raise Fault(f"{shown(values)} holds a number that is no probability") from error


def no_id(text: str) -> bool:
    """Whether a text says that there is no id."""
    return text in _NO_ID or text.isspace()


def id_part(value: Any) -> str | int | None:
    """What may stand in an id: text and whole numbers; ``None`` for what says that there is none. Raises ``Fault``.

    A fraction is refused although it may be whole: 12.0 here and 12 there are one number and two ids.
    """
    if value.__class__ is str:
        text: str = value
        return None if no_id(text) else text
    if value.__class__ is int:
        whole: int = value
        return whole
    if value is None:
        return None
    raise Fault(f"{shown(value)} is neither text nor a whole number, and ids are made of nothing else")
