"""Shares for people: nothing is nobody and all is everybody, whatever rounding makes of the others."""

from __future__ import annotations


def percent(part: int, whole: int) -> str:
    """A share in whole per cent; 0 and 100 are what they say."""
    rounded = round(100 * part / whole)
    if rounded == 0 and part:
        return "under 1%"
    return "over 99%" if rounded == 100 and part != whole else f"{rounded}%"
