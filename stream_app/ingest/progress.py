"""How far loads and redrives have come: notes on a compacted topic, in the transactions of what they are about.

A consumer group's offsets would be forgotten after ``offsets.retention.minutes``; a note is kept until its prefix goes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import TopicPartition

from stream_app.errors import Unavailable
from stream_app.kafka import clients
from stream_app.kafka.admin import admin, create
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import started
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
    reader = clients.consumer(bootstrap, options, auto_offset_reset="earliest", fetch_max_wait_ms=100)
    ends = clients.consumer(bootstrap, options, isolation_level="read_uncommitted")
    found: dict[str, bytes] = {}
    async with started(ends, bootstrap, options), started(reader, bootstrap, options):
        end = (await ends.end_offsets([topic]))[topic]
        reader.assign([topic])
        reader.seek(topic, (await reader.beginning_offsets([topic]))[topic])
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while await reader.position(topic) < end:
            for record in readable((await reader.getmany(topic, timeout_ms=200)).get(topic, [])):
                key = (record.key or b"").decode("utf-8", "replace")
                if key.startswith(begin) and record.value is not None:
                    found[key] = record.value
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"{topic.topic}: another tool's transaction is open for {_PATIENCE_S:.0f} s; try again"
                )
    return found
