"""CPU that a command takes, as a multiple of what Python and its command line library take just then.

A busy machine makes CPU time longer, never shorter, by up to a half: so the least of some runs counts, beside another
program's least in the same minute.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Final

#: What every command has to import; some 80 ms of CPU on the machine whose figures docs/performance.md gives.
_BARE: Final = "import time, asyncio, click\nprint(time.process_time())"
_ROUNDS: Final = 12


def times_bare(measure: Callable[[], float], enough: float) -> float:
    """The least CPU that ``measure`` returns (seconds) over the least of a bare program; rounds end at ``enough``."""
    least, bare, found = float("inf"), float("inf"), float("inf")
    for _ in range(_ROUNDS):
        done = subprocess.run([sys.executable, "-c", _BARE], capture_output=True, text=True, check=True)
        least, bare = min(least, measure()), min(bare, float(done.stdout))
        found = least / bare
        if found <= enough:
            break
    return found
