"""``plumbline bridge``."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import uuid
from contextlib import suppress

import click

from schemas.common import rfc3339
from stream_app import settings as settings_module
from stream_app.bridge.destinations import (
    Alert,
    Alertmanager,
    DeliveryRefused,
    Destination,
    Unreachable,
    Webhook,
    session,
)
from stream_app.bridge.run import REFRESH_S, REQUEST_S, Bridge
from stream_app.cli.options import metrics_port
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings
from stream_app.worker import metrics


@click.command()
@click.option("--check", is_flag=True, help="Send a test alert to every destination and stop.")
@click.option(
    "--refresh", type=click.FloatRange(0.1), default=REFRESH_S, show_default=True,
    help="Seconds between two words about what is still open, for destinations that forget; below their own patience.",
)  # fmt: skip
@metrics_port
def bridge(check: bool, refresh: float, port: int | None) -> None:
    """Deliver alerts to Alertmanager or to a webhook, until told to stop.

    Destinations come from the settings: bridge_alertmanager_url, bridge_webhook_url, and the webhook's secret from
    PLUMBLINE_BRIDGE_WEBHOOK_SECRET. Each is delivered to by itself: at least once, in order, and nothing is lost while
    one is away. Only what is news is sent; a bridge that starts for the first time sends what is open and no history.

    \b
    Example: PLUMBLINE_BRIDGE_ALERTMANAGER_URL=http://127.0.0.1:9093 plumbline bridge
    """
    settings = settings_module.load()
    found = destinations(settings)
    if not found:
        raise Incompatible(
            "no destination is set: name one in PLUMBLINE_BRIDGE_ALERTMANAGER_URL or PLUMBLINE_BRIDGE_WEBHOOK_URL"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_check(found) if check else _run(settings, found, refresh, port))


def destinations(settings: Settings) -> list[Destination]:
    """Those that the settings name."""
    found: list[Destination] = []
    if settings.bridge_alertmanager_url:
        found.append(Alertmanager(settings.bridge_alertmanager_url))
    if settings.bridge_webhook_url:
        found.append(Webhook(settings.bridge_webhook_url, settings.bridge_webhook_secret.get_secret_value()))
    return found


async def _run(settings: Settings, found: list[Destination], refresh_s: float, port: int | None) -> None:
    topics = topics_of(settings)
    bridges = [Bridge(settings, topics, each, refresh_s) for each in found]

    def put(page: metrics.MetricFamilies) -> None:
        for each in bridges:
            each.put(page)

    async with metrics.served(settings, port, put):
        tasks = [asyncio.create_task(each.run()) for each in bridges]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in tasks])
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


async def _check(found: list[Destination]) -> None:
    alert = _example()
    async with session(REQUEST_S) as http:
        for each in found:
            try:
                await each.deliver(http, alert, None)
                await each.deliver(http, _end_of(alert), alert)
            except (DeliveryRefused, Unreachable) as error:
                raise Unavailable(f"{each.name}: {error}") from error
            click.echo(f"{each.name}: took a test alert and its end")


def _end_of(alert: Alert) -> Alert:
    """The next revision: a receiver that dedups by key must not take the end for a repetition."""
    over = {"notify": "resolved", "status": "resolved", "resolution_reason": "accepted"}
    return {**alert, "revision": alert["revision"] + 1, **over}


def _example() -> Alert:
    now = rfc3339(time.time_ns() // 1_000_000)
    return {
        "id": str(uuid.uuid4()), "type": "ML_DRIFT_DETECTED", "revision": 1, "notify": "opened", "status": "open",
        "model": "test:global", "model_type": "test", "tenant_id": "global", "model_version": "v0", "severity": "HIGH",
        "escalation_level": 0, "opened_at": now, "summary": "A test of the bridge; nothing is wrong.",
        "recommendation": "Nothing to do.", "link": "http://127.0.0.1:8080",
    }  # fmt: skip
