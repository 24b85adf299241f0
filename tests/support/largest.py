"""The largest value of a type: every field at its limit, found from the type itself.

Limits of text and lists stand in the types' annotations where they have them. What is a plain ``str``, ``list``,
``dict`` or ``bytes`` has its limit from a rule of the contract, given by the field's name; :class:`Unbounded` names a
field for which nobody gave one, so a new field fails until somebody says what bounds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect as types

#: A control character has six bytes in JSON, as many as any.
WIDE = "\x01"
NAME = "n" * 128
MODEL = f"{NAME}:{NAME}"
BIG = 2**63 - 1

#: Texts that a pattern restricts: the first that fits is as long as any.
PATTERNED = ("onset", 
    MODEL, NAME, "2026-03-02T02:00:00.000Z", "2026-03-02", "12345678-1234-1234-1234-123456789012", "f" * 64, "t" * 64,
)  # fmt: skip


class Unbounded(AssertionError):
    """A field whose largest value nobody has said."""


#: ``Struct.field`` → how many items, or bytes of text; a value stands for itself. ``.item``, ``.key``, ``.value`` after
#: it speak of what a collection holds; a field's name alone speaks of it wherever it is.
Limits = Mapping[str, Any]


def largest(of: Any, limits: Limits) -> Any:
    """Largest value of a type."""
    return _largest(types.type_info(of), limits, "")


def size(value: Any) -> int:
    """Bytes in MessagePack."""
    return len(msgspec.msgpack.encode(value))


def _limit(limits: Limits, where: str) -> Any:
    return limits.get(where, limits.get(where.partition(".")[2]))


def _largest(info: Any, limits: Limits, where: str) -> Any:
    known = _limit(limits, where)
    if isinstance(info, types.Metadata):
        return _largest(info.type, limits, where)
    if known is not None and not isinstance(known, int):
        return known
    if isinstance(info, types.StructType):
        name = info.cls.__name__
        return info.cls(**{f.name: _largest(f.type, limits, f"{name}.{f.name}") for f in info.fields})
    if isinstance(info, types.UnionType):
        found = [_largest(kind, limits, where) for kind in info.types]
        return max((value for value in found if value is not msgspec.UNSET), key=size)
    if isinstance(info, types.EnumType):
        return max(info.cls, key=len)
    if isinstance(info, types.LiteralType):
        return max(info.values, key=size)
    if isinstance(info, types.StrType):
        return _text(info, where, known)
    if isinstance(info, types.BytesType) and known is not None:
        return b"b" * known
    if isinstance(info, types.IntType):
        if known is not None and not where.endswith(".item"):  # of a tuple the limit is its texts'
            return known
        return BIG if info.le is None else info.le
    if isinstance(info, types.FloatType):
        lowest = -1 if info.ge is None else int(min(max(info.ge, -1), 1))
        return {-1: -1.2345678901234567e-300, 0: 0.12345678901234567, 1: 1.2345678901234567e17}[lowest]
    if isinstance(info, types.BoolType | types.NoneType | types.CustomType):
        return {types.BoolType: False, types.NoneType: None, types.CustomType: msgspec.UNSET}[type(info)]
    return _many(info, limits, where, known)


def _text(info: Any, where: str, known: int | None) -> str:
    if known is not None:
        return WIDE * known
    if info.pattern is not None:
        return next(text for text in PATTERNED if re.search(info.pattern, text))
    if info.max_length is None:
        raise Unbounded(f"{where}: a text")
    return WIDE * info.max_length


def _many(info: Any, limits: Limits, where: str, known: int | None) -> Any:
    if isinstance(info, types.TupleType):
        return tuple(_largest(kind, limits, f"{where}.item") for kind in info.item_types)
    count = known if known is not None else getattr(info, "max_length", None)
    if count is None:
        raise Unbounded(f"{where}: {type(info).__name__}")
    if isinstance(info, types.DictType):
        value = _largest(info.value_type, limits, f"{where}.value")
        if isinstance(info.key_type, types.IntType):
            most = _largest(info.key_type, limits, f"{where}.key")
            return {most - i: value for i in range(count)}
        length = _limit(limits, f"{where}.key")
        if length is None:
            raise Unbounded(f"{where}.key: a text")
        return {f"{i:03d}".ljust(length, "k"): value for i in range(count)}
    item = _largest(info.item_type, limits, f"{where}.item")
    return [item] * count if isinstance(info, types.ListType) else (item,) * count
