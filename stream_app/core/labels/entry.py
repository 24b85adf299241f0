"""Stored bytes of the labels table: one entry for each prediction id, whichever side came first.

Names that the lane has seen stand beside them (:mod:`stream_app.core.labels.names`).
Key: ``b"e"`` + prediction id (UTF-8). Value, little-endian, no padding::

    0   u1  format, 1
    1   u1  flags: 1 has a prediction, 2 has an outcome, 4 the outcome's value
    2   u2  UTC day of the tick that covered the prediction (days since 1970)
    4   u2  UTC day of the tick that covered the outcome while it had no prediction
    6   i8  observed_at, epoch ms
    14  --  body, only with flag 1: i8 predicted_at, f8 score, f8 ci_lower, f8 ci_upper (NaN: none),
            u1 prediction flags (1 predicted, 2 shadow), then ``type|tenant|version``

An entry is at most 14 + 33 + 386 bytes and lives until its horizon (DESIGN section 4), so the table grows with the
horizon's predictions and no further. Two predictions are the same exactly if their bodies are the same bytes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from stream_app.core.labels import names

FORMAT: Final = 1
HAS_PREDICTION: Final = 1
HAS_OUTCOME: Final = 2
ACTUAL: Final = 4

PREDICTED: Final = 1
SHADOW: Final = 2

HEAD: Final = Struct("<BBHHq")
PREDICTION: Final = Struct("<BBHHqqdddB")
BODY: Final = Struct("<qdddB")
BODY_AT: Final = HEAD.size
NAMES_AT: Final = PREDICTION.size

KEY_PREFIX: Final = b"e"


class UnknownEntryFormat(ValueError):
    """A stored entry was written by a release this one cannot read."""


def entry_day(value: bytes) -> int:
    """UTC day that decides which time segment holds the entry: the prediction's, else the early outcome's."""
    if value[:1] in (names.PAIR, names.TYPE):
        return names.written_day(value)
    if value[0] != FORMAT:
        raise UnknownEntryFormat(
            f"labels entry has format {value[0]}, this release reads {FORMAT}: "
            "use a new PLUMBLINE_APP_ID and output prefix, or the release that wrote it"
        )
    at = 2 if value[1] & HAS_PREDICTION else 4
    return value[at] | value[at + 1] << 8
