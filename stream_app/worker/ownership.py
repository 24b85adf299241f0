"""Claiming the output prefix when a worker starts: one application writes there (CONTRACT section 9)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiokafka.errors import KafkaError

from schemas.common import parse_ms
from schemas.owner import Owner
from stream_app.engine.identity import differs
from stream_app.errors import Incompatible
from stream_app.kafka import owner
from stream_app.kafka.admin import admin
from stream_app.kafka.owner import Kafka
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

log = logging.getLogger(__name__)

#: What a member's state is called once it is in its group, and while it joins.
_GONE: Final = ("Empty", "Dead")


async def claim(settings: Settings, topics: Topics, *, take_over: bool = False) -> None:
    """Make sure that this application owns its output prefix.

    ``Incompatible`` if another owns it and it is not to be taken over, or if this application's running workers count
    by other settings of those that are read at start.
    """
    kafka = Kafka(settings.kafka_bootstrap, settings.kafka_client_options())
    alone = not await runs(kafka, settings.app_id)

    def wanted(stands: Owner | None) -> Owner | None:
        at_start = settings.at_start_view()
        now_ms = time.time_ns() // 1_000_000
        if stands is not None and stands.app == settings.app_id:
            if stands.at_start == at_start:
                return None
            if not alone:
                differs(stands, at_start)
            now_ms = parse_ms(stands.since)
        elif stands is not None and not take_over:
            raise Incompatible(
                f"the output prefix {topics.output_prefix} belongs to {stands.app} since {stands.since}; this is "
                f"{settings.app_id}. Two applications on one prefix would count everything twice. Use another "
                f"PLUMBLINE_OUTPUT_PREFIX, or stop {stands.app} and run `plumbline worker --take-over`."
            )
        return owner.claim(settings.app_id, now_ms, settings.input_partitions, settings.model_partitions, at_start)

    before = await owner.take(kafka, topics.owner, wanted)
    if before is None or before.app == settings.app_id:
        return
    log.warning("%s takes the output prefix %s over from %s", settings.app_id, topics.output_prefix, before.app)
    if not await owner.fence(kafka, before):
        wait_s = 2 * settings.owner_interval_s
        log.warning(
            "this user may not write under the transactional ids of %s: waiting %.0f s until its workers have seen the "
            "claim by themselves", before.app, wait_s,
        )  # fmt: skip
        await asyncio.sleep(wait_s)


async def runs(kafka: Kafka, group: str) -> bool:
    """Whether workers of the application are in its group now."""
    async with admin(kafka.bootstrap, dict(kafka.options)) as client:
        try:
            answers = await client.describe_consumer_groups([group])
        except KafkaError as error:
            log.debug("the group %s is not known: %s", group, error)
            return False
    return any(found[2] not in _GONE and found[5] for answer in answers for found in answer.groups)
