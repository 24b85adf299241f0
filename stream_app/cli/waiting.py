"""What a terminal shows while a command reads: nothing in the first second, then that it is alive."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Seconds in which an answer needs no excuse.
SILENT_S: Final = 1.0
_BEAT_S: Final = 0.1
_SIGNS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def run(work: Coroutine[Any, Any, T], what: str | Callable[[], str]) -> T:
    """Run it to its end; from the second second on a terminal sees ``what`` goes on, and for how long."""
    if not sys.stderr.isatty():
        return asyncio.run(work)
    done = threading.Event()
    sign = threading.Thread(target=_turn, args=(done, what), daemon=True)
    sign.start()
    try:
        return asyncio.run(work)
    finally:
        done.set()
        sign.join()


def _turn(done: threading.Event, what: str | Callable[[], str]) -> None:
    began = time.monotonic()
    if done.wait(SILENT_S):
        return
    for sign in itertools.cycle(_SIGNS):
        text = what if isinstance(what, str) else what()
        sys.stderr.write(f"\r\x1b[K{sign} {text} … {time.monotonic() - began:.0f} s")
        sys.stderr.flush()
        if done.wait(_BEAT_S):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
