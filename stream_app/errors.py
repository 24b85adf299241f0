"""Errors people see. Three kinds under one root; every message says what to do."""

from __future__ import annotations


class PlumblineError(Exception):
    """Root of every expected error."""


class Unavailable(PlumblineError):
    """The world is not there: a broker, a topic, a disk."""


class Incompatible(PlumblineError):
    """Stored state, topics or settings do not fit this release or each other."""


class Broken(PlumblineError):
    """An invariant of ours does not hold; please report it."""
