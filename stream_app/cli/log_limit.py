"""Log lines of one kind, at most ten a minute: whatever strangers do, they cannot fill a disk with what we say of it.

A kind is the logger, the level and the message before its arguments are put in; of a message that came ready made, its
first words with numbers and quoted parts taken out. The first line after a silence says how many were not written.
Below INFO everything is written: whoever asks for it wants it.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

#: Lines of a kind within a window of so many seconds.
LINES, WINDOW_S = 10, 60.0
#: Kinds remembered; beyond it the one that was silent longest is forgotten.
_KINDS: Final = 1_000
#: Characters that tell kinds apart in a message that came ready made.
_WORDS: Final = 80
_VARIES = re.compile(r"""'[^']*'|"[^"]*"|<[^>]*>|\b0x[0-9a-fA-F]+\b|[^\s]*\d[^\s]*""")

_original: Callable[..., None] | None = None


class LogLimit(logging.Filter):
    """Lets at most :data:`LINES` of a kind pass within :data:`WINDOW_S` seconds, wherever they fall."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, int, str], tuple[deque[float], list[int]]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; adds to it how many before it were not."""
        if record.levelno < logging.INFO:
            return True
        key = (record.name, record.levelno, kind(record))
        found = self._kinds.get(key)
        if found is None:
            found = self._kinds[key] = (deque(maxlen=LINES), [0])
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(key)
        written, silent = found
        now = self._clock()
        if len(written) == LINES and now - written[0] < WINDOW_S:
            silent[0] += 1
            return False
        written.append(now)
        if silent[0]:
            record.msg = f"{record.getMessage()} ({silent[0]} more of this kind were not written)"
            record.args = None
            silent[0] = 0
        return True


def kind(record: logging.LogRecord) -> str:
    """What the line has in common with others that say the same of something else."""
    text = str(record.msg)
    return text if record.args else _VARIES.sub("#", text[:1_000].split("\n", 1)[0])[:_WORDS]


def install(limit: LogLimit | None = None) -> None:
    """Once a process: every logger there is or will be, also those that libraries set up later."""
    global _original
    if _original is not None:
        return
    limit, _original = limit or LogLimit(), logging.Logger.callHandlers
    through = _original

    def limited(self: logging.Logger, record: logging.LogRecord) -> None:
        if limit.filter(record):
            through(self, record)

    logging.Logger.callHandlers = limited  # type: ignore[method-assign]


def uninstall() -> None:
    """As it was; for tests."""
    global _original
    if _original is not None:
        logging.Logger.callHandlers = _original  # type: ignore[method-assign]
        _original = None
