"""Ending asyncio tasks for certain.

A cancellation can get lost. On Python 3.11 ``asyncio.wait_for`` returns the result of what it waited for, if that came
in the same turn as the cancellation (python/cpython#86296); redis-py sends every command through it, and aiokafka takes
a cancellation that meets its clean-up for one of its own tasks'. Our own code uses ``asyncio.timeout``, which does not.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

#: Seconds after which a task that has not ended is cancelled again; clean-up of ours is done by then.
AGAIN_S: Final = 5.0


async def end(*tasks: asyncio.Task[Any], again_s: float = AGAIN_S) -> None:
    """Cancel tasks and wait until each has ended, whatever it ends with."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=again_s)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asked for, lest the event loop print it


def heed_cancellation() -> None:
    """Raise the cancellation that this task was sent, if a library kept it; called once a turn by loops that go on for
    ever over such a library."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
