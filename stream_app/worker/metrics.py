"""Figures for Prometheus: base units, stable names (docs/operations/metrics.md), and where they are asked for.

Whoever has figures names a function that puts them; it is called when somebody asks, so nothing is counted twice and
nothing costs anything meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from stream_app.errors import Unavailable
from stream_app.http import hosts, worker_guard
from stream_app.kafka.arrived import SKIPPED
from stream_app.kafka.passed_by import PASSED_BY
from stream_app.settings import Settings

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class MetricFamilies:
    """Metrics by name, in the order in which they were first put."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def put(self, name: str, kind: str, text: str, value: float, /, **labels: str) -> None:
        """Add one sample. ``name``: without the prefix; that of a counter ends in ``_total``."""
        full = f"plumbline_{name}"
        family = self._families.get(full)
        if family is None:
            family = self._families[full] = Metric(full.removesuffix("_total"), text, kind)
        family.add_sample(full, labels, value)

    def families(self) -> Iterable[Metric]:
        """All that was put."""
        return self._families.values()


class MetricsPage(Collector):
    """The page of one process: what ``put`` tells, what its readers passed by, and the process itself. It is made at
    most once a second, however many ask for it."""

    def __init__(self, put: Callable[[MetricFamilies], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._put, self._clock = put, clock
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._made: tuple[float, bytes] | None = None

    def collect(self) -> Iterable[Metric]:
        """The registry asks for it."""
        figures = MetricFamilies()
        self._put(figures)
        _passed_by(figures)
        return figures.families()

    def body(self) -> bytes:
        """The page, at most a second old."""
        now = self._clock()
        if self._made is None or now - self._made[0] >= 1.0:
            self._made = now, generate_latest(self._registry)
        return self._made[1]


def _passed_by(figures: MetricFamilies) -> None:
    counters: tuple[tuple[str, Counter[str]], ...] = (("unreadable", PASSED_BY), ("undecodable", SKIPPED))
    for reason, counts in counters:
        for topic, count in sorted(counts.items()) or [("", 0)]:
            figures.put("passed_by_records_total", "counter", "Records that a reader passed by: nobody can read them.",
                        count, topic=topic, reason=reason)  # fmt: skip


@contextlib.asynccontextmanager
async def served(settings: Settings, port: int | None, put: Callable[[MetricFamilies], None]) -> AsyncIterator[None]:
    """Serve ``/metrics`` meanwhile, for a process that serves nothing else. ``port``: instead of the setting
    ``metrics_port``; 0: not at all. The same bounds and the same rule for ``Host`` hold as for a worker's views."""
    port = settings.metrics_port if port is None else port
    if port == 0:
        yield
        return
    page = MetricsPage(put)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=page.body(), headers={"content-type": CONTENT_TYPE})

    ours = hosts.allowed(settings.web_allowed_hosts, settings.metrics_host)
    app = web.Application(middlewares=[worker_guard.guard(ours)])
    app.router.add_get("/metrics", metrics)
    runner = worker_guard.runner(app)
    await runner.setup()
    try:
        site: Any = web.TCPSite(runner, settings.metrics_host, port, backlog=worker_guard.ACCEPTS)
        try:
            await site.start()
        except OSError as error:
            raise Unavailable(
                f"{settings.metrics_host}:{port} cannot be listened on ({error.strerror}): take another port with "
                "--metrics-port, or 0 for none"
            ) from error
        yield
    finally:
        await runner.cleanup()
