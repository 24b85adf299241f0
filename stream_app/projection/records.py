"""Published records as the read model takes them: each of its topic's own type, with times that are times.

Strangers may have written them. What is no record of its topic raises ``ValueError`` or ``TypeError``, and is skipped
by whoever reads (:mod:`stream_app.kafka.arrived`); what passes can be laid out, kept, and handed on as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import orjson

from schemas.catalogue import FAMILIES
from schemas.common import parse_ms
from stream_app.kafka.arrived import decoded
from stream_app.projection.apply import KINDS
from stream_app.projection.keys import KEPT_DAYS

Row = dict[str, Any]

#: Fields that hold a time, wherever they stand.
_TIMES: Final = ("at", "since", "opened_at", "as_of")


def _decoder(kind: str, record: Any) -> Callable[[bytes], Row]:
    typed = msgspec.json.Decoder(record)

    def decode(value: bytes) -> Row:
        typed.decode(value)
        row: Row = orjson.loads(value)
        for name in _TIMES:
            if name in row:
                parse_ms(row[name])
        if kind == "metric-snapshots":
            # days are counted back from it, and every one of them is a time
            parse_ms(f"{date.fromisoformat(row['date'])}T00:00:00Z")
            parse_ms(f"{date.fromisoformat(row['date']) - timedelta(days=KEPT_DAYS)}T00:00:00Z")
        orjson.dumps(row)  # what is nested deeper than can be written cannot be shown
        return row

    return decode


#: topic without prefix → reader of its records
DECODE: Final[dict[str, Callable[[bytes], Row]]] = {
    family.topic: _decoder(family.topic, family.record) for family in FAMILIES if family.topic in KINDS
}


def taken(kind: str, record: Any) -> Row | None:
    """The record's value, or ``None`` for what is no record of its topic, which is counted and said."""
    return decoded(DECODE[kind], record)
