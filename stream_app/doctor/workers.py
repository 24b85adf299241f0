"""What the workers say of themselves: are they stuck, is a lane parked, and why."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any, Final

from stream_app.doctor.report import Checkup, Diagnosis

#: Seconds that a worker has for one answer, and most bytes of it that are read.
ANSWER_S: Final = 3.0
MOST: Final = 8 << 20


async def workers(context: Checkup) -> list[Diagnosis]:
    """Every address that was named, or the one that the settings say a worker of this machine has."""
    settings = context.settings
    here = settings.web_url or f"http://{settings.web_host}:{settings.web_port}"
    named = context.workers
    found: list[Diagnosis] = []
    for address in named or (here,):
        found += await asyncio.to_thread(_examine, address.rstrip("/"), bool(named))
    return found


def _examine(address: str, named: bool) -> list[Diagnosis]:
    try:
        alive, told = _ask(f"{address}/livez")
        if alive != 200:
            why = told.get("error", "it answers nothing that explains it")
            return [Diagnosis("workers", "fail", f"the worker at {address} is stuck: {why}", "restart it")]
        _, ready = _ask(f"{address}/readyz")
    except (OSError, ValueError) as error:
        text = f"no worker answers at {address} ({getattr(error, 'reason', None) or type(error).__name__})"
        if named:
            repair = "is it running, and is its PLUMBLINE_WEB_HOST reachable from here?"
            return [Diagnosis("workers", "warn", text, repair)]
        return [
            Diagnosis("workers", "warn", text, "plumbline worker; name those elsewhere with --worker http://HOST:PORT")
        ]
    lanes: dict[str, Any] = ready.get("lanes", {})
    parked = {name: lane["parked"] for name, lane in lanes.items() if lane.get("parked")}
    if parked:
        told = {
            f"{name} is parked ({why['reason']}): {why['sentence']}": why["way_out"] for name, why in parked.items()
        }
        return [Diagnosis("workers", "fail", f"{address}: {text}", way_out) for text, way_out in told.items()]
    closed = sum(not lane["open"] for lane in lanes.values())
    if closed or ready.get("waits_for"):
        repair = f"wait a minute; then `curl -s {address}/readyz` says what each waits for"
        return [Diagnosis("workers", "warn", f"{address}: {closed} of {len(lanes)} lanes are not open", repair)]
    return [Diagnosis("workers", "ok", f"{address}: {len(lanes)} lanes, all open")]


def _ask(address: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a view. Raises ``OSError``, or ``ValueError`` for what is no view of a worker."""
    if not address.startswith(("http://", "https://")):
        raise ValueError("an address begins with http:// or https://")
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_S) as answer:
            status, body = answer.status, answer.read(MOST)
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read(MOST)
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("it is no view of a worker")
    return status, found
