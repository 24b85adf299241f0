"""Topics by their id: a topic that was deleted and made anew under its name is another one.

aiokafka 0.14 asks for metadata up to version 5, which knows no ids. This is version 10 (KIP-516, "Topic Identifiers"),
sent over the client's own connection. Kafka before 2.8 has no ids and answers version 9 at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

_NO_ID: Final = "0" * 32
_UNKNOWN_TOPIC: Final = 3


class Described(NamedTuple):
    """A topic as the cluster knows it: its id as 32 hex digits and its number of partitions."""

    id: str
    partitions: int


class _Uuid(AbstractType[str]):
    @classmethod
    def encode(cls, value: str) -> bytes:
        return bytes.fromhex(value)

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        return data.read(16).hex()


_TAGS: Final = ("tags", TaggedFields)
_INTS: Final = CompactArray(Int32)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", CompactString()), ("port", Int32), ("rack", CompactString()), _TAGS
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString()),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _INTS),
                        ("isr", _INTS),
                        ("offline_replicas", _INTS),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class _MetadataRequestV10(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString()), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _MetadataRequest(Request[_MetadataRequestV10]):
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        topics: list[Any] = [(_NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})


async def described(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Described] | None:
    """Ids and partition counts of those topics that exist; ``None`` if the cluster has no topic ids.

    Raises what the client raises when no broker answers.
    """
    node: Any = client._client.get_random_node()
    try:
        answer = await client._client.send(node, _MetadataRequest(sorted(set(names))))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return None
    found: dict[str, Described] = {}
    for error, name, topic_id, _internal, partitions, *_ in answer.topics:
        if error != _UNKNOWN_TOPIC and topic_id != _NO_ID:
            found[name] = Described(topic_id, len(partitions))
    return found
