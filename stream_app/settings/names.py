"""Names of settings: the variables' prefix, what is none, and what a misspelt one might have meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PREFIX = "PLUMBLINE_"

TOPIC_PART: Final = re.compile(r"[A-Za-z0-9._-]{0,64}")
BROKER: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s,:/\[\]]+):[0-9]{1,5}")

#: Environment variables with the prefix that are not settings: test hooks and tool paths.
NOT_SETTINGS = frozenset({"CONFIG", "CACHE_DIR", "FAILPOINT", "FAILPOINT_STAGE", "TEST_KAFKA", "TEST_DATA"})


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint for a misspelt key."""
    import difflib

    close = difflib.get_close_matches(key, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
