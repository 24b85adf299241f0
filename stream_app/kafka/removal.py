"""What stands under a prefix in Kafka, and its removal: topics, the application's logs and changelogs, groups.

Only names that this project gives are touched: other people's topics may begin with the same letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from stream_app.errors import Unavailable
from stream_app.kafka import owner
from stream_app.kafka.admin import consumer_group
from stream_app.kafka.clients import consumer
from stream_app.kafka.reach import started
from stream_app.kafka.topics import Topics

#: Seconds until a broker has to have deleted topics.
_GONE_S: Final = 30.0
#: States of a group that has no members.
_EMPTY: Final = ("Empty", "Dead")
#: ``GROUP_ID_NOT_FOUND``
_NOT_FOUND: Final = 69


class _DeleteGroupsResponse(Response):
    API_KEY = 42
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("group", String("utf-8")), ("error_code", Int16)))
    )  # fmt: skip


class _DeleteGroupsStruct(RequestStruct):
    API_KEY = 42
    API_VERSION = 1
    RESPONSE_TYPE = _DeleteGroupsResponse
    SCHEMA = Schema(("groups", Array(String("utf-8"))))


class _DeleteGroups(Request[_DeleteGroupsStruct]):
    """KIP-229; aiokafka 0.14 knows no such request."""

    API_KEY = 42

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[_DeleteGroupsStruct]) -> _DeleteGroupsStruct:
        return request_struct_class(self._groups)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands under a prefix. ``active``: groups that have members; ``shared``: why an application's own stays."""

    topics: tuple[str, ...]
    groups: tuple[str, ...]
    active: tuple[str, ...]
    shared: tuple[str, ...] = ()


async def standing(
    client: AIOKafkaAdminClient, bootstrap: str, options: dict[str, Any], prefix: str, apps: Iterable[str]
) -> Standing:
    """Everything of this project under a prefix and of the applications that are named or own it."""
    there = set(await client.list_topics())
    owners = await _owners(bootstrap, options, there)
    named = {*apps, *([owners[prefix]] if prefix in owners else [])}
    shared = [
        f"{app} also owns the prefix {other}: its logs, changelogs and groups stay"
        for app in sorted(named)
        for other, name in sorted(owners.items())
        if name == app and other != prefix
    ]
    mine = {app for app in named if not any(name == app and other != prefix for other, name in owners.items())}
    public = Topics(prefix, prefix, 1, 1)
    wanted = {spec.name for spec in (*public.specs(), *public.tools())}
    for app in mine:
        wanted |= {spec.name for spec in Topics(prefix, prefix, 1, 1, app).own(1)}
    groups = [
        name
        for name, *_ in await client.list_consumer_groups()
        if any(name == app or name.startswith((f"{app}-relay-", f"{app}-bridge-")) for app in mine)
    ]
    active = []
    for name in groups:
        group = await consumer_group(client, name)
        active += [name] if group.state not in _EMPTY and group.members else []
    return Standing(tuple(sorted(wanted & there)), tuple(sorted(groups)), tuple(sorted(active)), tuple(shared))


async def _owners(bootstrap: str, options: dict[str, Any], there: set[str]) -> dict[str, str]:
    """The application that owns each output prefix of the cluster."""
    prefixes = [name.removesuffix("owner") for name in there if name.endswith("owner")]
    prefixes = [prefix for prefix in prefixes if f"{prefix}metric-snapshots" in there]
    found: dict[str, str] = {}
    reader = consumer(bootstrap, options, auto_offset_reset="none", fetch_max_wait_ms=50)
    async with started(reader, bootstrap, options):
        for prefix in prefixes:
            claim = (await owner.read(reader, f"{prefix}owner")).owner
            if claim is not None:
                found[prefix] = claim.app
    return found


async def remove(client: AIOKafkaAdminClient, found: Standing) -> None:
    """Delete what was found, and wait until it is gone. :class:`Unavailable` names what the broker would not delete."""
    try:
        for group in found.groups:
            answer = await client._send_request(_DeleteGroups([group]), await client.find_coordinator(group))
            for name, code in answer.results:
                if code not in (0, _NOT_FOUND):
                    raise Unavailable(f"the broker would not delete the group {name}: {for_code(code).__name__}")
        if not found.topics:
            return
        deleted = await client.delete_topics(list(found.topics), timeout_ms=int(_GONE_S * 1000))
    except KafkaError as error:
        raise Unavailable(f"the broker would not delete what was found: {type(error).__name__}: {error}") from error
    for name, code in deleted.topic_error_codes:
        if code:
            raise Unavailable(f"the broker would not delete {name}: {for_code(code).__name__}")
    deadline = asyncio.get_running_loop().time() + _GONE_S
    while left := set(found.topics) & set(await client.list_topics()):
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"still there after {_GONE_S:.0f} s: {', '.join(sorted(left))}")
        await asyncio.sleep(0.1)
