"""Named places where a test may kill the process, or pretend.

``PLUMBLINE_FAILPOINT=NAME[:COUNT]`` ends the process with SIGKILL the COUNT-th time NAME is reached;
``PLUMBLINE_FAILPOINT_STAGE`` restricts it to one stage. Nothing is set in production, where a hit costs one look-up
in an empty dictionary.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress


def _read() -> dict[str, int]:
    name, _, count = os.environ.get("PLUMBLINE_FAILPOINT", "").partition(":")
    return {name: int(count or 1)} if name else {}


_armed = _read()
_stage = os.environ.get("PLUMBLINE_FAILPOINT_STAGE", "")


def armed(name: str) -> bool:
    """Whether a test asks for a condition instead of a kill."""
    return name in _armed


def spend(name: str) -> bool:
    """Whether a test asks for a condition, the first COUNT times it is asked."""
    if _armed.get(name, 0) <= 0:
        return False
    _armed[name] -= 1
    return True


def hit(name: str, stage: str = "") -> None:
    """Die here if a test asked for it."""
    if not _armed or name not in _armed or (_stage and stage and stage != _stage):
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def stop(name: str) -> None:
    """Stop this thread for good if a test asked for it, as a call that never returns would."""
    if _armed and spend(name):
        print(f"{name}: this thread stands still from here", flush=True)
        threading.Event().wait()


async def linger(seconds: float) -> None:
    """What takes long, and says so when it begins."""
    print("slow in a commit", flush=True)
    await asyncio.sleep(seconds)


async def hang() -> None:
    """What never ends and cannot be cancelled."""
    print("hanging in a commit", flush=True)
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
