"""What code that runs in production must not contain, by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCTION = ("stream_app", "agents", "schemas")


def _trees() -> Iterator[tuple[str, ast.AST]]:
    for package in PRODUCTION:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def _raised(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return None
    called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return called.id if isinstance(called, ast.Name) else None


def test_no_assertion_is_a_check() -> None:
    """``python -O`` drops them, and an ``AssertionError`` says neither what broke nor what to do: raise ``Broken``."""
    found = [
        f"{name}:{getattr(node, 'lineno', 0)}"
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) or _raised(node) == "AssertionError"
    ]
    assert found == []


#: Who may read MessagePack or MessagePack's kin without a codec, and why.
_OWN_DECODERS = {
    "stream_app/core/kit/codec.py": "the codec itself",
    "stream_app/ingest/sorting.py": "sorts in a temporary file of its own, which no other process ever reads",
}


def test_stored_bytes_are_read_by_codecs_alone() -> None:
    """So that a foreign format and a damaged body are the same two errors everywhere."""
    found = {
        name
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("msgspec.msgpack.Decoder", "msgspec.msgpack.decode")
    }
    assert found == set(_OWN_DECODERS)
