"""How faults of values are said, which words mean that nothing is there, and JSON with every digit of its integers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

#: Texts in which other systems write that an id or a name is missing, in lower case; a tenant may be called NA.
NO_NAME: Final = frozenset({"", "nan", "-nan", "null", "none", "<na>", "n/a", "#n/a", "nat", "\\n", "undefined"})
#: The same of labels.
MISSING: Final = NO_NAME | {"na", "nil"}
#: The same of cells of labels, numbers and times.
_NO_CELL: Final = MISSING | {"-", "?", "."}

#: ``ValueError`` for what is no JSON, ``RecursionError`` for what is nested too deeply
decode: Final = msgspec.json.Decoder().decode


class Fault(ValueError):
    """A value that a function cannot use; the message says why."""


def shown(value: Any) -> str:
    """A value in a message, cut short: it may be large, and it may be personal."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "…"


def of_field(name: str, value: Any, fault: Fault) -> str:
    """What is wrong with a field, as a sentence: faults of values begin with the value, of which the rest speaks."""
    text, spoken = str(fault), shown(value)
    if not text.startswith(spoken):
        return f"{name} {text}"
    rest = text[len(spoken) :]
    return f"{name} is {spoken}{rest if rest.startswith((',', ' ms ')) else f', which{rest}'}"


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


#: No such word is as long; most texts are told apart by their length.
_LONGEST: Final = 12


def is_no_name(value: Any) -> bool:
    """Whether an id, a name or a text says that there is none: empty, NaN, or a word for it."""
    if isinstance(value, str):
        return (len(value) < _LONGEST or value.isspace()) and value.strip().lower() in NO_NAME
    return value is None or value != value


def is_missing(value: Any) -> bool:
    """The same of labels, numbers and times in cells, of which more words say so."""
    if isinstance(value, str):
        return (len(value) < _LONGEST or value.isspace()) and value.strip().lower() in _NO_CELL
    if isinstance(value, bytes):
        return is_missing(value[:_LONGEST].decode(errors="replace"))
    return value is None or value != value


def decoded(value: bytes) -> str:
    """Text of bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Fault("these bytes are no text in UTF-8") from error


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError as error:
        raise Fault(f"{shown(value)} is too long for an id") from error


def identifier(value: Any) -> str | None:
    """An id or a name as text, of text and whole numbers alone; ``None`` for what says that there is none.

    A fraction is refused although it may be whole: 12.0 here and 12 there are one number and two ids.
    """
    if value.__class__ is str and len(value) >= _LONGEST and not value.isspace():
        text: str = value  # nearly all there are
        return text
    if value.__class__ is int:
        return _digits(value)
    if isinstance(value, bytes):
        value = decoded(value)
        if not value.isprintable():
            raise Fault(f"{shown(value)} is no text: write it in hex or base64")
    if is_no_name(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, UUID) or (isinstance(value, Decimal) and value.as_tuple().exponent == 0):
        return str(value)
    raise Fault(f"{shown(value)} is neither text nor a whole number, and ids are made of nothing else")
