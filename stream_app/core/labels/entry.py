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

from collections.abc import Iterable
from struct import Struct
from typing import Final

from stream_app.core.kit.codec import at_key, body, reading
from stream_app.core.labels import names
from stream_app.errors import Broken

FORMAT: Final = 1
HAS_PREDICTION: Final = 1
HAS_OUTCOME: Final = 2
ACTUAL: Final = 4

PREDICTED: Final = 1
SHADOW: Final = 2

HEAD: Final = Struct("<BBHHq")
PREDICTION: Final = Struct("<BBHHqqdddB")
BODY_AT: Final = HEAD.size
NAMES_AT: Final = PREDICTION.size

KEY_PREFIX: Final = b"e"


def entry_day(value: bytes) -> int:
    """UTC day that decides which time segment holds the entry: the prediction's, else the early outcome's.

    Raises ``UnknownFormat``, or ``Broken`` for an entry that ends before it says a day.
    """
    try:
        if value[0] != FORMAT:
            if value[:1] in (names.PAIR, names.TYPE):
                return names.written_day(value)
            body(value, FORMAT, "labels entry")
        at = 2 if value[1] & HAS_PREDICTION else 4
        return value[at] | value[at + 1] << 8
    except IndexError:
        body(value, FORMAT, "labels entry")
        raise Broken(f"labels entry cannot be read: it ends after {len(value)} bytes") from None


def check(key: bytes, value: bytes) -> None:
    """Raise ``UnknownFormat`` or ``Broken``, with the key, for an entry that cannot be one of ours."""
    what = at_key("labels entry", key)
    body(value, FORMAT, what)
    with reading(what):
        HEAD.unpack_from(value)
        if value[1] & HAS_PREDICTION:
            PREDICTION.unpack_from(value)
            if value[NAMES_AT:].decode().count("|") != 2:
                raise ValueError("the names of its model are damaged")


def check_all(keys: Iterable[bytes], values: Iterable[bytes | None]) -> None:
    """:func:`check` every entry that is there."""
    for key, value in zip(keys, values, strict=True):
        if value is not None:
            check(key, value)
