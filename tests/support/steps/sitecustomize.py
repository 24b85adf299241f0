"""Measures every step of a process' event loops: found by Python at start where this folder is on its path.

A step is what runs between two looks at the selector, so nothing else runs in that loop meanwhile. What counts is the
thread's own time: on a busy machine the clock on the wall counts everybody's. Each step above a limit is a line of
``LONG_STEPS_FILE``: milliseconds of the thread, milliseconds on the wall, the task's name, what it was.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

_FILE = os.environ["LONG_STEPS_FILE"]
_LEAST_S = 0.01
_run = asyncio.events.Handle._run


def _measured(handle: Any) -> None:
    wall, own = time.perf_counter(), time.thread_time()
    _run(handle)
    spent = time.thread_time() - own
    if spent < _LEAST_S:
        return
    of = getattr(handle._callback, "__self__", None)
    coro = of.get_coro() if isinstance(of, asyncio.Task) else None
    name = of.get_name() if isinstance(of, asyncio.Task) else ""
    what = getattr(coro, "__qualname__", None) or repr(handle._callback)
    with open(_FILE, "a") as out:
        out.write(f"{spent * 1e3:.1f}\t{(time.perf_counter() - wall) * 1e3:.1f}\t{name}\t{what}\n")


asyncio.events.Handle._run = _measured  # type: ignore[method-assign, assignment]
