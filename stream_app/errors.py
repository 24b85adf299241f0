"""Errors people see. Every kind under one root; every message says what to do."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class PlumblineError(Exception):
    """Root of every expected error."""


class Unavailable(PlumblineError):
    """The world is not there: a broker, a topic, a disk."""


class Incompatible(PlumblineError):
    """Stored state, topics or settings do not fit this release or each other."""


class UnknownFormat(Incompatible):
    """Stored or internal bytes begin with a format byte that this release does not read."""


class Parked(PlumblineError):
    """One lane cannot go on and the others can: it stays assigned, closed, and says why (CONTRACT section 9).

    ``reason`` is one word of a fixed list, for metrics; the message is a sentence that says what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Broken(Parked):
    """An invariant of ours does not hold; please report it."""

    def __init__(self, message: str) -> None:
        super().__init__("broken_invariant", message)


def present(value: T | None, what: str) -> T:
    """``value``, which an invariant says is there; ``Broken`` names ``what`` if it is not."""
    if value is None:
        raise Broken(f"{what} is missing; please report it")
    return value
