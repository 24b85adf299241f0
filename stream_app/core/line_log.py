"""The line log: the one order of everything downstream of metrics. One format byte, then MessagePack of an entry."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.errors import Incompatible

FORMAT: Final = 1


class TickEntry(msgspec.Struct, frozen=True, tag="tick"):
    """An epoch is complete: everything before this entry belongs to it."""

    at_ms: int
    #: read barriers of the inputs: topic → partition → offset
    inputs: dict[str, dict[int, int]]
    #: kinds of the closes the tick passed, with their nominal times (epoch ms)
    closes: list[tuple[str, int]]
    #: running totals by topic over all source partitions, only in partition 0's log
    dispositions: dict[str, dict[str, int]]


class SnapshotEntry(msgspec.Struct, frozen=True, tag="snapshot"):
    """A closed snapshot, byte for byte as published."""

    line: str
    version: str
    day: int
    revision: int
    record: bytes


class LifecycleEntry(msgspec.Struct, frozen=True, tag="lifecycle"):
    """The active version of a line changed."""

    line: str
    version: str
    previous: str | None
    how: str
    since_ms: int


class CompletenessEntry(msgspec.Struct, frozen=True, tag="completeness"):
    """How much of a line's last mature day is labelled at the 01:00 close."""

    line: str
    version: str
    day: int
    predictions: int
    labelled: int
    close_ms: int


class LabelledEntry(msgspec.Struct, frozen=True, tag="labelled"):
    """Where the epoch changed them: labelled predictions since the beginning, as (line, version, count).

    In order of line and version; a large epoch has several entries.
    """

    counts: list[tuple[str, str, int]]


class CommandEntry(msgspec.Struct, frozen=True, tag="command"):
    """An operator's command, byte for byte."""

    line: str
    record: bytes


class ResultEntry(msgspec.Struct, frozen=True, tag="result"):
    """A trainer's or deployer's answer, byte for byte."""

    line: str
    record: bytes


Entry = TickEntry | SnapshotEntry | LifecycleEntry | CompletenessEntry | LabelledEntry | CommandEntry | ResultEntry

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """Format byte and MessagePack."""
    return bytes((FORMAT,)) + _encoder.encode(entry)


def decode(value: bytes) -> Entry:
    """Inverse of :func:`encode`; ``Incompatible`` for an unknown format."""
    if not value or value[0] != FORMAT:
        raise Incompatible(
            f"line log entry has format {value[0] if value else 'none'}, this release reads {FORMAT}: run the "
            "release that wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    entry: Entry = _decoder.decode(memoryview(value)[1:])
    return entry
