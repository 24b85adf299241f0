"""Pages for Prometheus: readers of its format understand them, they hold what is documented, strangers are refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from stream_app.bridge.destinations import Webhook
from stream_app.bridge.run import Bridge
from stream_app.errors import Unavailable
from stream_app.ingest.relay import figures as of_relay
from stream_app.ingest.relay.lane import RelayCounts
from stream_app.ingest.relay.session import RelayProgress
from stream_app.kafka.reached import Reached
from stream_app.kafka.topics import topics_of
from stream_app.reference.commands import CommandReader
from stream_app.reference.trainer import Trainer
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from stream_app.web import figures as of_web
from stream_app.web.guard import RequestTraffic
from stream_app.worker.metrics import MetricFamilies, MetricsPage, served
from tests.support.metrics import documented, exposed
from tests.support.strangers import raw


class _Consumer:
    """Two partitions of a topic; of the second nothing was fetched yet."""

    def __init__(self) -> None:
        self.ends: dict[TopicPartition, int | None] = {TopicPartition("t", 0): 12, TopicPartition("t", 1): None}

    def assignment(self) -> set[TopicPartition]:
        return set(self.ends)

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.ends[tp]

    async def position(self, tp: TopicPartition) -> int:
        assert self.ends[tp] is not None, "it would be waited for"
        return 11


async def _everything() -> list[Callable[[MetricFamilies], None]]:
    """What each process puts once everything has happened."""
    settings, consumer = Settings(), _Consumer()
    progress = RelayProgress(RelayCounts(9, 5, 3, 1, 1), deleted=2, lags={"t": 4}, committed_at=1.5)
    bridge: Any = Bridge(settings, topics_of(settings), Webhook("http://127.0.0.1:1", ""))
    bridge._consumer, bridge._delivered_at = consumer, 2.5
    await bridge._reached.idle(consumer)
    orders: Any = CommandReader("b:1", {}, topics_of(settings), "g", ("activate",))
    orders._consumer, orders._succeeded_at = consumer, 3.5
    await orders._reached.idle(consumer)
    trainer: Any = Trainer(settings, cast(Any, None), "logistic")
    trainer._commands = orders
    site: Any = SimpleNamespace(commands=1, commanded_at=4.5)
    hub: Any = SimpleNamespace(clients={1}, status=SimpleNamespace(degraded=True), known_ms=5_500)
    return [
        partial(of_relay.put, "mine", progress),
        bridge.put,
        trainer.put,
        partial(orders.put, "deployer"),
        partial(of_web.put, site, hub, RequestTraffic(1, Counter({200: 7, 401: 1}))),
    ]


async def test_the_pages_hold_what_is_documented_and_nothing_else() -> None:
    found: set[str] = set()
    for put in await _everything():
        page = MetricsPage(put).body().decode()
        assert "process_resident_memory_bytes" in page
        found |= exposed(page)
    assert found - documented("Workers") == documented("Relay, bridge, web, trainer, deployer")


async def test_a_reader_of_the_format_gets_back_what_was_put() -> None:
    hostile = 'a"b\\c\nd'

    def put(page: MetricFamilies) -> None:
        page.put("x_total", "counter", "One\nline \\ more.", 3, name=hostile)
        page.put("x_total", "counter", "One\nline \\ more.", 4, name="b")
        page.put("y", "gauge", "None.", 0.25)

    families = {family.name: family for family in text_string_to_metric_families(MetricsPage(put).body().decode())}
    assert families["plumbline_x"].type == "counter"
    assert [(s.name, s.labels, s.value) for s in families["plumbline_x"].samples] == [
        ("plumbline_x_total", {"name": hostile}, 3), ("plumbline_x_total", {"name": "b"}, 4)
    ]  # fmt: skip
    assert [(s.name, s.labels, s.value) for s in families["plumbline_y"].samples] == [("plumbline_y", {}, 0.25)]


def test_a_page_is_made_at_most_once_a_second() -> None:
    now, made = [10.0], []
    page = MetricsPage(lambda figures: made.append(figures), clock=lambda: now[0])
    for at in (10.0, 10.9, 11.0):
        now[0] = at
        page.body()
    assert len(made) == 2


async def test_lag_is_what_lies_behind_the_last_record_handled() -> None:
    consumer, reached = _Consumer(), Reached()
    assert reached.lags(consumer) == {}
    reached.handled(TopicPartition("t", 0), 4)
    assert reached.lags(consumer) == {"t": 8}
    await reached.idle(consumer)
    assert reached.lags(consumer) == {"t": 1}


async def test_it_is_served_where_the_port_says_to_those_who_name_this_machine() -> None:
    port = free_ports(1)[0]

    async def ask(host: str) -> tuple[int, bytes]:
        got = await raw(port, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return got.status, got.body

    def put(page: MetricFamilies) -> None:
        page.put("y", "gauge", "None.", 1)

    async with served(Settings(metrics_port=port), None, put):
        status, body = await ask("127.0.0.1")
        assert (status, b"plumbline_y 1.0" in body) == (200, True)
        assert (await ask("evil.example"))[0] == 421
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be listened on"):
            async with served(Settings(), port, put):
                pass
        async with served(Settings(metrics_port=port), 0, put):
            pass  # nowhere: the port is not asked for
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
