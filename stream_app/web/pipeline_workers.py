"""The workers, for the page of the pipeline: found by the consumer group that they are members of, then asked.

Faust gives the group coordinator each member's ``canonical_url`` (setting ``web_url``, else ``web_host`` and
``web_port``), so that every worker on every host announces itself by taking part, and one that dies is missed as soon
as its session ends. Only what a group cannot be asked about falls back on the address that the settings name.
"""

from __future__ import annotations

import asyncio
import io
import struct
import time
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from schemas.common import rfc3339
from stream_app.errors import PlumblineError
from stream_app.kafka import admin
from stream_app.settings import Settings

#: Seconds that a worker has for its answer, and the group coordinator for its own.
WORKER_S, GROUP_S = 3.0, 4.0
#: Seconds for which a worker that left is shown: long enough to be missed, and gone the day after it was taken away.
GONE_S: Final = 86_400.0
#: Bytes of a worker's answer.
MOST: Final = 8 << 20
#: Workers that are asked; a group of more is no installation of this kind.
WORKERS: Final = 200

Problem = dict[str, str]


class PipelinePart(NamedTuple):
    """What one question found, and what is wrong."""

    rows: Any
    problems: list[Problem]


class GroupMembers(NamedTuple):
    """Who is in the workers' group: host by address of the views; ``settled``: nobody joins or leaves just now."""

    settled: bool
    hosts: dict[str, str]


class _Announced(msgspec.Struct):
    """What of Faust's member metadata is read."""

    url: str


class _Input(msgspec.Struct):
    reached: int | None = None
    arrived: int | None = None


class _Parked(msgspec.Struct):
    sentence: str
    way_out: str


class _Lane(msgspec.Struct):
    open: bool
    parked: _Parked | None = None
    waits_for: Any = None
    refused_tick: Any = None
    inputs: dict[str, _Input] = {}


class _Ready(msgspec.Struct):
    """What ``/readyz`` of a worker says."""

    ready: bool
    lanes: dict[str, _Lane]
    waits_for: Any = None
    ticks_wait_for: Any = None


class WorkerWatch:
    """Remembers who was there, so that a worker that left is missed by name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: address → Unix time at which it was in the group last, and its host
        self._seen: dict[str, tuple[float, str]] = {}

    async def look(self) -> PipelinePart:
        """Every worker with its lanes, and what is wrong with each."""
        found = await self._members()
        now = time.time()
        if found is not None:
            self._seen |= {url: (now, host) for url, host in found.hosts.items()}
        self._seen = {url: seen for url, seen in self._seen.items() if now - seen[0] < GONE_S}
        # while a group gathers its members, or cannot be asked, those who were there last are asked themselves
        here = list(found.hosts) if found is not None and found.settled else list(self._seen)
        parts = [await asked(self._settings)] if not here and not self._seen else []
        parts += await asyncio.gather(*(asked_at(url, self._seen[url][1]) for url in here[:WORKERS]))
        parts += [self._gone(url) for url in self._seen if url not in here]
        problems = [problem for part in parts for problem in part.problems]
        if not here and self._seen:
            text = "no worker is running: nothing is counted, checked or alerted"
            problems.insert(0, {"sentence": text, "remedy": "`plumbline worker` goes on where the last one stopped"})
        return PipelinePart([row for part in parts for row in part.rows], problems)

    async def _members(self) -> GroupMembers | None:
        """``None`` where the group cannot be asked: no broker, or no right to."""
        settings = self._settings
        try:
            async with (
                asyncio.timeout(GROUP_S),
                admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client,
            ):
                return members_of(await admin.consumer_group(client, settings.app_id))
        except (TimeoutError, PlumblineError, KafkaError, OSError):
            return None

    def _gone(self, url: str) -> PipelinePart:
        at, host = self._seen[url]
        seen = rfc3339(int(at * 1000))
        text = f"the worker at {url} has stopped; it was there last at {seen}"
        row = {
            "address": url, "host": host, "running": False, "ready": False, "reasons": ["stopped"], "lag": None,
            "last_seen": seen, "lanes": [],
        }  # fmt: skip
        remedy = "start it again (`plumbline worker`); if it was taken away on purpose, the others have its lanes"
        return PipelinePart([row], [{"sentence": text, "remedy": remedy}])


def members_of(group: admin.ConsumerGroup) -> GroupMembers:
    """The workers among the members of a group."""
    hosts = {}
    for host, metadata in group.members:
        try:
            user_data = ConsumerProtocolMemberMetadata.decode(io.BytesIO(metadata)).user_data
            url = msgspec.json.decode(user_data, type=_Announced).url
        except (ValueError, TypeError, EOFError, struct.error, msgspec.DecodeError):
            continue  # it is joining, or is no worker
        if url.startswith(("http://", "https://")):
            hosts[url.rstrip("/")] = host
    return GroupMembers(group.state in ("Stable", "Empty", "Dead"), hosts)


async def asked(settings: Settings) -> PipelinePart:
    """What the worker says whose address the settings name."""
    if not settings.web_port and not settings.web_url:
        return PipelinePart([], [])
    return await asked_at((settings.web_url or f"http://{settings.web_host}:{settings.web_port}").rstrip("/"), None)


async def asked_at(address: str, host: str | None) -> PipelinePart:
    """What a worker says. ``host``: where the group has it from; ``None`` if it is not known to be a member."""
    member = host is not None
    row: dict[str, Any] = {"address": address, "host": host, "running": member}
    try:
        told = await _readyz(address)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.DecodeError) as error:
        why = type(error).__name__
        text = f"no worker answers at {address} ({why})"
        remedy = "`plumbline worker` starts one; PLUMBLINE_WEB_URL says where it answers"
        if member:
            text = f"a worker runs on {host}, and its views do not answer at {address} ({why})"
            remedy = "is PLUMBLINE_WEB_URL right there, and is the address open to this host?"
        row |= {"ready": False, "reasons": [text], "lag": None, "last_seen": None, "lanes": []}
        return PipelinePart([row], [{"sentence": text, "remedy": remedy}])
    reasons = [f"waits for {told.waits_for}"] if told.waits_for else []
    if told.ticks_wait_for:
        reasons.append(f"writes no tick: {told.ticks_wait_for}")
    lanes, problems = [], []
    for name, lane in told.lanes.items():
        stage, _, partition = name.rpartition("-")
        parked = lane.parked
        waits = f"waits for {lane.waits_for}" if lane.waits_for else None
        sentence = parked.sentence if parked is not None else lane.refused_tick or waits
        found = {"stage": stage, "partition": int(partition) if partition.isdigit() else None, "worker": address}
        found["state"] = "parked" if parked is not None else "open" if lane.open else "opening"
        lanes.append(found | ({"sentence": str(sentence)} if sentence else {}))
        if parked is not None:
            problems.append({"sentence": f"{name} is parked: {parked.sentence}", "remedy": parked.way_out})
    inputs = [one for lane in told.lanes.values() for one in lane.inputs.values()]
    problems += [{"sentence": f"{address}: {text}", "remedy": "`plumbline doctor` says more"} for text in reasons]
    row |= {
        "running": True, "ready": told.ready, "reasons": reasons,
        "lag": sum(max(0, (one.arrived or 0) - (one.reached or 0)) for one in inputs),
        "last_seen": rfc3339(time.time_ns() // 1_000_000), "lanes": lanes,
    }  # fmt: skip
    return PipelinePart([row], problems)


async def _readyz(address: str) -> _Ready:
    """The worker's own word, bounded in time and bytes."""
    timeout = aiohttp.ClientTimeout(total=WORKER_S)
    body = bytearray()
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(f"{address}/readyz", allow_redirects=False) as found,
    ):
        async for part in found.content.iter_any():
            body += part
            if len(body) > MOST:
                raise ValueError(f"more than {MOST} bytes")
    return msgspec.json.decode(bytes(body), type=_Ready)
