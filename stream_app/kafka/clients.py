"""The one factory of Kafka clients: whoever talks to a broker gets the client here.

What all clients share (no automatic commits, read committed, security) is said once, and whatever must be installed
before the first client exists is installed when this module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.kafka import batches, unserved

batches.install()
unserved.install()


def consumer(bootstrap: str | list[str], options: Mapping[str, Any], *topics: str, **settings: Any) -> AIOKafkaConsumer:
    """A consumer, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own, over the shared ones."""
    shared = {"enable_auto_commit": False, "isolation_level": "read_committed"}
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **{**shared, **options, **settings})


def log_reader(bootstrap: str, options: Mapping[str, Any], **settings: Any) -> AIOKafkaConsumer:
    """A consumer outside any group that fetches in bulk and never resets a position by itself."""
    bulk = {
        "auto_offset_reset": "none",
        "max_partition_fetch_bytes": 8 << 20,
        "fetch_max_bytes": 32 << 20,
        "fetch_max_wait_ms": 100,
    }
    return consumer(bootstrap, options, **{**bulk, **settings})


class _Producer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer whose end is quiet.

    When another producer fences it, aiokafka fails the waiters of the transaction and of each batch as well as what was
    sent, and nobody asks those: the event loop would print tracebacks of an error that the sender was told of.
    """

    async def stop(self) -> None:
        await super().stop()
        batches = [*self._message_accumulator._pending_batches]
        for waiting in self._message_accumulator._batches.values():
            batches += waiting
        waiters = [batch._drain_waiter for batch in batches]
        if self._txn_manager is not None:
            waiters.append(self._txn_manager._transaction_waiter)
        for waiter in waiters:
            if waiter is not None and waiter.done() and not waiter.cancelled():
                waiter.exception()


def producer(bootstrap: str, options: Mapping[str, Any], **settings: Any) -> AIOKafkaProducer:
    """A producer, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own."""
    return _Producer(bootstrap_servers=bootstrap, **{**options, **settings})


def admin(bootstrap: str, options: Mapping[str, Any], **settings: Any) -> AIOKafkaAdminClient:
    """An admin client, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own."""
    return AIOKafkaAdminClient(bootstrap_servers=bootstrap, **{**options, **settings})
