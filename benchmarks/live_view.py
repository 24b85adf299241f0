"""The live view at size: 10,000 models with 90 days behind the API and the fleet page, 100 clients on the live feed,
and the time from a close's tick to its alerts on the WebSocket.

``python -m benchmarks.live_view`` runs it alone and prints the figures; ``--models`` makes it smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import httpx
import orjson
import redis
import websockets
from playwright.sync_api import sync_playwright

from stream_app.projection.apply import RedisBatch
from stream_app.projection.keys import Keys
from stream_app.services.kafka import LocalKafka
from stream_app.services.ports import free_ports
from stream_app.settings import children

DAYS = 90
CLIENTS = 100
TOKEN = "benchmark-token-0123456789"
_FIRST = date(2026, 1, 1)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of its own; gives its address."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is missing: make setup-dev installs it")
    port = free_ports(1)[0]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    try:
        for _ in range(500):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        process.kill()
        process.wait()


@contextlib.contextmanager
def web(bootstrap: str, url: str, prefix: str) -> Iterator[str]:
    """A web process; gives its address once it answers."""
    port = free_ports(1)[0]
    process = children.start(
        ["web", "--port", str(port)], kafka_bootstrap=bootstrap, redis_url=url, output_prefix=prefix,
        web_tokens=f"bench:operator:{TOKEN}",
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{address}/api/v1/me")
                break
            time.sleep(0.05)
        yield address
    finally:
        children.end(process)


def fill(url: str, keys: Keys, models: int) -> float:
    """Fold 90 days of every model into Redis as the projector does; returns microseconds a record."""
    client = redis.Redis.from_url(url)
    draw, records, began = random.Random(1), 0, time.process_time()
    states: dict[str, Any] = {}
    for start in range(0, models, 20):
        batch = RedisBatch(keys, lambda model: "accuracy", states)
        for n in range(start, min(start + 20, models)):
            for kind, row in _records(f"bench:t{n:05d}", draw):
                batch.take(kind, row, orjson.dumps(row), records)
                records += 1
        batch.finish()
        pipe = client.pipeline(transaction=False)
        for command in batch.commands:
            pipe.execute_command(*command)
        pipe.zadd(keys.touched, dict.fromkeys(batch.touched, 1))
        pipe.execute()
        states.clear()
    client.hset(keys.meta, mapping={"generation": "bench", "cluster": "", "seq": 1, "beat": 0, "filling": ""})
    took = time.process_time() - began
    client.close()
    return took / records * 1e6


def _records(model: str, draw: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """A model's days as the stages publish them."""
    model_type, _, tenant = model.partition(":")
    common = {"model": model, "model_type": model_type, "tenant_id": tenant, "model_version": "v1"}
    id = f"00000000-0000-4000-8000-{draw.randrange(10**12):012d}"
    since = f"{_FIRST}T00:00:00.000Z"
    yield (
        "model-lifecycle",
        {**common, "id": id, "active_version": "v1", "previous_version": None, "how": "observed", "since": since},
    )
    for n in range(DAYS):
        day = (_FIRST + timedelta(days=n)).isoformat()
        tp, fp, fn = draw.randrange(380, 440), draw.randrange(70, 110), draw.randrange(60, 100)
        right = {
            "true_positives": tp,
            "false_positives": fp,
            "false_negatives": fn,
            "true_negatives": 900 - tp - fp - fn,
        }
        yield (
            "metric-snapshots",
            {
                **common, **right, "id": id, "at": f"{day}T02:00:00.000Z", "date": day, "state": "closed",
                "revision": 2, "predictions": 1000, "outcomes": 900, "coverage": 0.9, "accuracy": 1 - (fp + fn) / 900,
                "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 0.8, "pr_auc": 0.87, "brier": 0.13,
                "precision_at_80_recall": 0.81, "avg_ci_width": 0.2, "narrow_interval_pct": 50.0,
                "calibration_score": 0.97, "intervals": 1000, "assumed_negatives": 0, "score_mode": "exact",
                "schema": "io.plumbline.metric-snapshot.v1",
            },
        )  # fmt: skip
        for kind, hour in (("statistical", 3), ("performance", 4)):
            yield "drift-events", {**common, **_event(kind, f"{day}T0{hour}:00:00.000Z", id, draw)}


def _event(kind: str, close: str, id: str, draw: random.Random) -> dict[str, Any]:
    window: dict[str, Any] = {
        "from": "a", "to": "b", "recent": 0.82, "baseline": 0.83, "recent_rows": 6300, "baseline_rows": 27000,
        "interval": [-0.01, 0.03],
    }  # fmt: skip
    if kind == "statistical":
        window["statistic"] = draw.random() * 0.06
    else:
        window["metric"] = "accuracy"
    return {
        "id": id, "at": close, "as_of": close, "kind": kind, "verdict": "no_drift", "rule_verdict": "no_drift",
        "statistic": 0.01, "p_value": 0.5, "windows": [window, {**window, "from": "c"}],
    }  # fmt: skip


def ask(address: str, models: int) -> dict[str, float]:
    """Milliseconds of the API's answers."""
    draw = random.Random(2)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=60) as client:

        def timed(path: str, **parameters: Any) -> float:
            began = time.perf_counter()
            client.get(path, params=parameters).raise_for_status()
            return (time.perf_counter() - began) * 1e3

        cold = timed("/models")
        fleet = sorted(timed("/models") for _ in range(100))
        found = sorted(timed("/models", q=f"t{draw.randrange(models):05d}") for _ in range(50))
        names = [f"bench:t{draw.randrange(models):05d}" for _ in range(400)]
        model = sorted(timed(f"/models/{name}") for name in names)
        history = sorted(timed(f"/models/{name}/snapshots") for name in names)
        preview = timed("/settings/impact", key="ks_min_distance", value="0.03")
    return {
        "api_fleet_cold_ms_10k_models": cold,
        "api_fleet_p99_ms_10k_models": fleet[-1],
        "api_search_p99_ms_10k_models": found[-1],
        "api_model_p99_ms_10k_models": model[int(0.99 * len(model))],
        "api_snapshots_p99_ms_10k_models": history[int(0.99 * len(history))],
        "api_preview_seconds_10k_models": preview / 1e3,
    }


def page(address: str) -> float:
    """Seconds from opening the fleet page until its rows are there, the best of three."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        took = []
        for _ in range(3):
            tab = browser.new_page()
            began = time.perf_counter()
            tab.goto(f"{address}/#token={TOKEN}")
            tab.wait_for_selector("table.rows a.name")
            took.append(time.perf_counter() - began)
            tab.close()
        browser.close()
    return min(took)


async def broadcast(address: str, url: str, keys: Keys) -> float:
    """Seconds until the last of 100 clients has an alert, from its entry in the stream of changes."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(websockets.connect(address.replace("http", "ws") + "/ws"))
            for _ in range(CLIENTS)
        ]
        for socket in sockets:
            await socket.send(json.dumps({"type": "auth", "token": TOKEN}))

        async def until(socket: Any, kind: str) -> None:
            while json.loads(await socket.recv())["type"] != kind:
                pass

        await asyncio.gather(*(until(socket, "ready") for socket in sockets))
        record = orjson.dumps({"summary": "x" * 4_000})
        client = redis.Redis.from_url(url)
        began = time.perf_counter()
        client.xadd(keys.changes, {"topic": "alerts", "model": "bench:t00001", "record": record})
        await asyncio.gather(*(until(socket, "change") for socket in sockets))
        took = time.perf_counter() - began
        client.close()
        return took


def run(bootstrap: str, folder: Path, models: int = 10_000) -> dict[str, float]:
    """Every figure of the live view."""
    prefix = "bench-live."
    keys = Keys(prefix)
    with redis_server(folder) as url:
        each = fill(url, keys, models)
        client = redis.Redis.from_url(url)
        used = client.info("memory")["used_memory"] / 2**20  # type: ignore[index]
        client.close()
        with web(bootstrap, url, prefix) as address:
            figures = ask(address, models)
            figures["fleet_page_seconds_10k_models"] = page(address)
            figures["alert_to_100_clients_seconds"] = asyncio.run(broadcast(address, url, keys))
    return figures | {"read_model_us_per_record": each, "read_model_mb_10k_models": used}


@click.command()
@click.option("--models", default=10_000, show_default=True, help="Models of the read model.")
def main(models: int) -> None:
    """The live view alone."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        kafka = LocalKafka(Path(folder, "kafka"))
        try:
            kafka.start()
            figures = run(kafka.bootstrap, Path(folder), models)
            click.echo(json.dumps({name: round(value, 4) for name, value in figures.items()}))
        finally:
            kafka.stop()


if __name__ == "__main__":
    main()
