"""Unreadable records of topics that the pipeline writes itself: whoever only reads them goes on, and says so."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from schemas.unreadable import Unreadable

log = logging.getLogger(__name__)

#: records passed by since the process began, by topic
PASSED_BY: Final[Counter[str]] = Counter()


def readable(records: Iterable[Any]) -> Iterator[Any]:
    """The records that could be read; the others are counted by topic and named in the log."""
    for record in records:
        value = record.value
        if isinstance(value, Unreadable):
            PASSED_BY[record.topic] += value.records
            log.warning(
                "%s[%d]: %d records at offsets %d to %d are passed by: %s (%d of this topic so far)",
                record.topic, record.partition, value.records, value.offset, value.last_offset, value.error,
                PASSED_BY[record.topic],
            )  # fmt: skip
        else:
            yield record
