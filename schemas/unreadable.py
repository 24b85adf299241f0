"""What stands in a consumed record's place when its bytes could not be read (CONTRACT section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class CutShort(NamedTuple):
    """What the dead-lettered record of one that is too large keeps."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    #: bytes of all of it, and how many headers it had
    size: int
    header_count: int
    #: part → how many bytes it had and their digest, of each part of which not all is kept
    lost: dict[str, Any]


class Unreadable(bytes):
    """Value of a record that the batch reader made: a batch, or a record in a sound batch, that cannot be read.

    Its bytes are what the dead-lettered record keeps. No decoder of ours takes them for a message, so a stage looks at
    the class only where decoding failed, and the per-event path does not change.
    """

    #: ``unreadable_batch``, ``unreadable_record``, or ``oversized`` with what is kept of it
    reason: str
    #: one sentence: what is wrong with the bytes
    error: str
    #: first and last offset that are accounted for by this; equal for one record
    offset: int
    last_offset: int
    #: records that count as dead-lettered
    records: int
    #: hex digest of all of it; of one that is oversized it stands with the part
    sha256: str
    cut: CutShort | None = None

    def parks(self, topic: str, partition: int) -> str:
        """Why a lane that needs these records of its own log cannot go on, and the way out."""
        return (
            f"{topic}[{partition}] cannot be read at offsets {self.offset} to {self.last_offset} ({self.error}), and "
            "the state is made of it. Restore the topic from a replica, or start afresh with a new PLUMBLINE_APP_ID "
            "and PLUMBLINE_OUTPUT_PREFIX, which rebuilds everything from the input topics."
        )

    @classmethod
    def of(
        cls, kept: bytes, *, reason: str, error: str, span: tuple[int, int], records: int, sha256: str
    ) -> Unreadable:
        """``kept``: first KiB of the raw bytes; ``span``: first and last offset."""
        made = cls(kept)
        made.reason, made.error, made.records, made.sha256 = reason, error, records, sha256
        made.offset, made.last_offset = span
        return made
