"""How a setting is declared: a default, its bounds, and a sentence with unit, reason and consequence."""

from __future__ import annotations

from typing import Any

from pydantic import Field

#: marks: fixed for the life of the input prefix, not to be set per type or model, read when a worker starts and never
#: again
STATIC, EVERYWHERE, AT_START = "static", "everywhere", "at start"


def setting(default: Any, text: str, *marks: str, **bounds: Any) -> Any:
    """A field of a settings model. Collections are given as tuples, or as a function that makes them."""
    extra: dict[str, Any] | None = dict.fromkeys(marks, True) or None
    if callable(default):
        return Field(default_factory=default, description=text, json_schema_extra=extra, **bounds)
    return Field(default, description=text, json_schema_extra=extra, **bounds)


def marked(field: Any, mark: str) -> bool:
    """Whether a field carries a mark."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(mark))
