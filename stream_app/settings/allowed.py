"""What a setting can be, in words, and a value that it can be: read from the model, so that both agree."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

_NOUNS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a folder"}


def allowed(field: Any) -> str:
    """The values of a field, in words."""
    return _of(field.annotation, field.metadata)


def example(field: Any) -> str:
    """A value as it is written in a variable or a command: the default, where that shows how."""
    annotation, default = field.annotation, field.get_default(call_default_factory=True)
    if default is PydanticUndefined or default in ("", (), {}) or isinstance(default, SecretStr):
        return _made_up(annotation, field.metadata)
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, tuple | dict):
        return json.dumps(default)
    if isinstance(default, float):
        short = f"{default:g}"
        return short if float(short) == default else repr(default)
    return str(default)


def _of(annotation: Any, metadata: Iterable[Any]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(inner[0], inner[1:])
    if origin is Literal:
        return ", ".join(str(value) for value in inner)
    if origin is tuple:
        return f"a list of: {_of(inner[0], ())}{_bounds(metadata, ' of them')}"
    if origin is dict:
        return f"a table of names, each with {_of(inner[1], ())}" if inner[1] is not Any else "a table"
    if annotation is SecretStr:
        return "text, from the environment only"
    if type(None) in inner:
        return " or none, ".join(_of(part, metadata) for part in inner if part is not type(None)) + " or none"
    return _NOUNS.get(annotation, "text") + _bounds(metadata, "")


def _bounds(metadata: Iterable[Any], what: str) -> str:
    said = []
    for rule in metadata:
        for name, word in (
            ("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"),
            ("min_length", "at least"), ("max_length", "at most"),
        ):  # fmt: skip
            value = getattr(rule, name, None)
            if value is not None:
                length = " characters" if name.endswith("length") and not what else what
                said.append(f"{word} {value:,}{length}" if isinstance(value, int) else f"{word} {value:g}{length}")
    return f", {' and '.join(said)}" if said else ""


def _made_up(annotation: Any, metadata: Iterable[Any]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        item = get_args(inner[0])[0] if get_origin(inner[0]) is Literal else "acme"
        return json.dumps([item])
    if origin is dict:
        return json.dumps({"churn": True} if inner[1] is bool else {"accuracy": 0.7})
    return "VALUE"
