"""The one factory of Kafka clients: whoever talks to a broker gets the client here.

What all clients share (no automatic commits, read committed, security) is said once, and whatever must be installed
before the first client exists is installed when this module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient


def consumer(bootstrap: str, options: Mapping[str, Any], *topics: str, **settings: Any) -> AIOKafkaConsumer:
    """A consumer, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own, over the shared ones."""
    shared = {"enable_auto_commit": False, "isolation_level": "read_committed"}
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **{**shared, **options, **settings})


def producer(bootstrap: str, options: Mapping[str, Any], **settings: Any) -> AIOKafkaProducer:
    """A producer, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own."""
    return AIOKafkaProducer(bootstrap_servers=bootstrap, **{**options, **settings})


def admin(bootstrap: str, options: Mapping[str, Any], **settings: Any) -> AIOKafkaAdminClient:
    """An admin client, not started. ``options``: TLS and SASL; ``settings``: aiokafka's own."""
    return AIOKafkaAdminClient(bootstrap_servers=bootstrap, **{**options, **settings})
