"""How far loads and redrives have come: notes on a compacted topic, in the transactions of what they are about.

A consumer group's offsets would be forgotten after ``offsets.retention.minutes``; a note is kept until its prefix goes.
"""

from __future__ import annotations

from typing import Any, Final

from aiokafka import TopicPartition

from stream_app.kafka.admin import admin, create
from stream_app.kafka.reading import settled
from stream_app.kafka.topics import Topics

#: Seconds that another tool's open transaction may hold back what was written after it.
_PATIENCE_S: Final = 90.0


async def read_progress(
    bootstrap: str, options: dict[str, Any], topics: Topics, replication: int | None, begin: str
) -> dict[str, bytes]:
    """The newest note under each key that begins so. Makes the topic if it is not there, with so many replicas.

    ``None`` for ``replication``: nothing is to be made.

    Call it once the notes' own writer is fenced: what it wrote is final then. Notes stand beside those of others, whose
    open transactions end the topic for readers of what is committed, so it is read to where it ends for all.
    """
    topic = TopicPartition(topics.progress, 0)
    async with admin(bootstrap, options) as client:
        if replication is not None:
            await create(client, topics.tools(), replication)
        elif topics.progress not in await client.list_topics():
            return {}
    found: dict[str, bytes] = {}
    async for record in settled(bootstrap, options, topic, _PATIENCE_S):
        key = (record.key or b"").decode("utf-8", "replace")
        if key.startswith(begin) and record.value is not None:
            found[key] = record.value
    return found
