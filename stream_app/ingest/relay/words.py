"""How faults of values are said."""

from __future__ import annotations

from typing import Any


class Fault(ValueError):
    """A value that a function cannot use; the message says why."""


def shown(value: Any) -> str:
    """A value in a message, cut short: it may be large, and it may be personal."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
