"""Bytes that a stranger might send: good records, spoiled in every way that is easily thought of, and plain noise."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

#: What stands where something else belongs: JSON texts, so that what no Python value gives (NaN, 1e999) is among them.
ODD_VALUES: Final = (
    b"null", b"true", b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"Infinity", b"9223372036854775808", b"1" * 400,
    b"0.1e-400", b'""', b'"."', b'".."', b'"*"', b'"a:b"', b'"\\ud800"', b'"\\u0000"', b'"\xff\xfe"',
    b'"' + b"x" * 70_000 + b'"',
    b'"2026-03-02T02:00:00"', b'"2026-03-02T02:00:00+99:99"', b'"9999-12-31T23:59:59Z"', b'"0001-01-01T00:00:00Z"',
    b"[]", b"{}", b'[{"a":[null]}]', b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 2_000 + b"1" + b"}" * 2_000, b"",
)  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """One of the JSON ``seeds`` as it is, with odd fields, or with damaged bytes; sometimes noise."""
    kind = draw(st.sampled_from(("field", "field", "bytes", "cut", "noise", "as it is")))
    if kind == "noise":
        return draw(st.binary(max_size=300))
    value = draw(st.sampled_from(seeds))
    if kind == "field":
        return _with_odd_field(draw, value)
    return (
        damaged(draw, value)
        if kind == "bytes"
        else value[: draw(st.integers(0, len(value)))]
        if kind == "cut"
        else value
    )


def damaged(draw: st.DrawFn, value: bytes) -> bytes:
    """Some bytes flipped, taken out or put in."""
    out = bytearray(value)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        match draw(st.sampled_from(("flip", "drop", "put", "repeat"))):
            case "flip" if out:
                out[at] ^= draw(st.integers(1, 255))
            case "drop":
                del out[at : at + draw(st.integers(1, 9))]
            case "put":
                out[at:at] = draw(st.binary(min_size=1, max_size=9))
            case _:
                out[at:at] = out[at : at + draw(st.integers(1, 40))]
    return bytes(out)


def _with_odd_field(draw: st.DrawFn, value: bytes) -> bytes:
    """Replace a value somewhere in the tree, or add a field that repeats another."""
    tree = json.loads(value)
    paths = list(_paths(tree))
    if not paths:
        return draw(st.sampled_from(ODD_VALUES))
    where = draw(st.sampled_from(paths))
    mark = "\x01odd\x01"
    holder: Any = tree
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = mark
    text = json.dumps(tree).encode()
    return text.replace(json.dumps(mark).encode(), draw(st.sampled_from(ODD_VALUES)))


def _paths(tree: Any, above: tuple[Any, ...] = ()) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        yield (*above, key)
        yield from _paths(item, (*above, key))
