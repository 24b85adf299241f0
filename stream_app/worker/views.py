"""The worker's own views: is it alive, is it ready, what is held for a model, here or elsewhere, what does it cost."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientTimeout, web
from faust.web import View

from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.engine.engine import Engine
from stream_app.engine.lanes import Lane
from stream_app.engine.live_clock import LiveClock
from stream_app.engine.parking import way_out
from stream_app.engine.transport import EngineApp
from stream_app.engine.vitals import Vitals
from stream_app.http import hosts, worker_guard
from stream_app.kafka.topics import Topics
from stream_app.worker import exposition, model_page
from stream_app.worker.metrics import CONTENT_TYPE, MetricsPage

LIVEZ: Final = "/livez"
#: header of a question that another worker handed on
_ROUTED: Final = "plumbline-routed"
#: seconds that the owner has to answer
_OWNER_S: Final = 3.0


def attach(app: EngineApp, engine: Engine, topics: Topics, vitals: Vitals, clock: LiveClock | None = None) -> None:
    """Add ``/livez``, ``/readyz``, ``/metrics``, ``/models/{model}`` to Faust's web server.

    The server has a thread of its own: ``/livez`` is answered there, whatever the lanes' loop does, and all else in
    that loop, where what is shown does not change meanwhile.
    """

    @web.middleware
    async def in_the_lanes_loop(request: web.Request, handler: Any) -> Any:
        if request.path == LIVEZ:
            return await handler(request)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handler(request), app.loop))

    app.web.web_app.middlewares.append(in_the_lanes_loop)

    @app.page(LIVEZ)
    async def livez(view: View, request: web.Request) -> Any:
        """The process is not stuck; what its lanes are up to is no matter here."""
        if vitals.fault is not None:
            return view.json({"alive": False, "error": vitals.fault}, status=503)
        return view.json({"alive": True})

    @app.page("/readyz")
    async def readyz(view: View, request: web.Request) -> Any:
        """Every lane assigned here is open, and Faust feeds them; says what each waits for."""
        lanes = {
            f"{name}-{p}": {
                "open": lane.running,
                "parked": _parked(lane),
                "waits_for": lane.waits_for,
                "inputs": {a: {"reached": i.reached, "arrived": i.arrived} for a, i in lane.inputs().items()},
                "paused": lane.paused(),
                "uncommitted": lane.dirty,
                "refused_tick": lane.clock.refusal if lane.clock is not None else None,
                "tick": rfc3339(lane.clock.last_tick) if lane.clock is not None and lane.clock.last_tick else None,
            }
            for (name, p), lane in sorted(engine.lanes.items())
        }
        # While the group rebalances nothing is fetched; nor before Faust takes its tables for restored.
        faulty = engine.without_lanes()
        waits_for = "rebalance" if app.rebalancing else "tables" if app.in_recovery else faulty
        ready = waits_for is None and bool(lanes) and all(lane.running for lane in engine.lanes.values())
        # of the leader alone: why it writes no tick, if it does not
        ticks = {"ticks_wait_for": clock.refused or clock.waits_for} if clock is not None else {}
        return view.json(
            {"ready": ready, "waits_for": waits_for, **ticks, "lanes": lanes}, status=200 if ready else 503
        )

    @app.page("/models/{model}")
    async def model_view(view: View, request: web.Request, model: str) -> Any:
        """A page of a model's daily cells as the table of the worker that owns it holds them, newest day first, or
        one of the two windows that checks compare."""
        partition = partition_for(model.encode(), topics.model_partitions)
        lane = engine.lanes.get(("metrics", partition))
        try:
            after, limit = model_page.asked(request.query)
            window = model_page.asked_window(request.query)
        except ValueError as error:
            return view.json({"error": str(error)}, status=400)
        if lane is None or lane.store is None:
            return await _ask_owner(app, view, request, model, partition)
        moving = {"error": f"partition {partition} is moving: ask again in a few seconds"}
        if window is not None:
            try:
                summed = await model_page.read_window(lane, model, window)
            except LookupError as error:
                return view.json({"error": error.args[0]}, status=404)
            if summed is None:
                return view.json(moving, status=503)
            return view.json({"model": model, "partition": partition, **summed})
        found = await model_page.read(lane, model, after, limit)
        if found is None:
            return view.json(moving, status=503)
        if not found.rows and after is None:
            return view.json({"error": f"no cells of model {model!r}"}, status=404)
        return view.json({"model": model, "partition": partition, "cells": found.rows, "next": found.next})

    page = MetricsPage(partial(exposition.put, engine))

    @app.page("/metrics")
    async def metrics(view: View, request: web.Request) -> Any:
        """Prometheus exposition; base units, stable names. Rendered at most once a second."""
        return web.Response(body=page.body(), headers={"content-type": CONTENT_TYPE})

    ours = hosts.allowed(app.allowed_hosts, app.conf.web_host, str(app.conf.canonical_url or ""))
    worker_guard.install(app.web, ours)


def _parked(lane: Lane) -> dict[str, str] | None:
    """Why a lane reads and writes nothing, and what to do about it."""
    why = lane.parked
    if why is None:
        return None
    return {"reason": why.reason, "sentence": str(why), "way_out": way_out(why.reason)}


async def _ask_owner(app: EngineApp, view: View, request: web.Request, model: str, partition: int) -> Any:
    """Hand the question on to the worker that Faust's assignor gave the partition; never more than once."""
    changelog = app.tables["metrics"].changelog_topic.get_topic_name()
    owners = [
        url
        for url, parts in app.router.table_metadata("metrics").items()
        # a worker that was given a partition and has not opened it yet has nobody to ask
        if partition in parts.get(changelog, ()) and str(url) != str(app.conf.canonical_url)
    ]
    where = f"model {model!r} is in partition {partition}"
    if not owners or _ROUTED in request.headers:
        return view.json({"error": f"{where}, which no worker has open now: ask again in a few seconds"}, status=503)
    try:
        async with app.http_client.get(
            f"{owners[0]}/models/{quote(model, safe=':')}",
            params=dict(request.query),
            headers={_ROUTED: "1"},
            timeout=ClientTimeout(total=_OWNER_S),
        ) as answer:
            return view.json(await answer.json(), status=answer.status)
    except (ClientError, TimeoutError, OSError) as error:
        told = f"{where} of the worker at {owners[0]}, which does not answer ({type(error).__name__})"
        return view.json({"error": f"{told}: is PLUMBLINE_WEB_URL right there?"}, status=503)
