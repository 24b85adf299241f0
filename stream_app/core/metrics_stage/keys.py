"""Keys of the metrics table. Cells are day-major, so that a close scans its day and retention the oldest ones.

``C`` + day (u4, big-endian) + line + ``\\0`` + version → cell; ``L`` + line → active version;
``D`` + source (u2) + offset (u8) → a delta record that is not folded everywhere yet.
"""

from __future__ import annotations

CELL, LINE, DELTA = b"C", b"L", b"D"


def cell_key(line: str, version: str, day: int) -> bytes:
    """Key of a cell."""
    return cell_prefix(day) + line.encode() + b"\0" + version.encode()


def cell_prefix(day: int) -> bytes:
    """Prefix of a day's cells."""
    return CELL + day.to_bytes(4, "big")


def split_cell_key(key: bytes) -> tuple[str, str, int]:
    """(line, version, day) of a cell's key."""
    line, _, version = key[5:].partition(b"\0")
    return line.decode(), version.decode(), int.from_bytes(key[1:5], "big")


def line_key(line: str) -> bytes:
    """Key of a line's active version."""
    return LINE + line.encode()


def delta_key(source: int, offset: int) -> bytes:
    """Key of a stored delta record."""
    return DELTA + source.to_bytes(2, "big") + offset.to_bytes(8, "big")
