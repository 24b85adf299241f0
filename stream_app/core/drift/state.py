"""What the drift stage remembers of a model: its runs of drift, its last events, what is broken in its data.

Stored under ``R`` + model: one format byte, then MessagePack. At most a few hundred bytes a model, whatever its age.
The table also holds changed settings, under ``V`` (:mod:`~stream_app.core.kit.settings_table`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.kit.codec import Codec

FORMAT: Final = 1
PREFIX: Final = b"R"


class Run(msgspec.Struct):
    """Where the events of one kind stand."""

    #: id and nominal close (epoch ms) of the last event
    event_id: str = ""
    close_ms: int = 0
    #: newest cohort day of the first event of the unbroken run of ``drift`` that stands; ``None``: none stands
    since: int | None = None
    #: ``since`` before the last event, for when that is replaced
    before: int | None = None


class DriftState(msgspec.Struct):
    """Memory of a model."""

    #: ``statistical`` and ``performance``
    runs: dict[str, Run] = {}
    #: first mature day whose outcomes were missing, while they are
    incomplete_since: int | None = None
    #: day of the close that ``faults`` belongs to
    faults_day: int = 0
    #: what is broken in the data at that close date, in words, by check
    faults: dict[str, str] = {}


_codec: Final = Codec[DriftState](DriftState, FORMAT, "a model's drift memory")
encode, decode = _codec.encode, _codec.decode


def key(model: str) -> bytes:
    """Key of a model's memory."""
    return PREFIX + model.encode()
