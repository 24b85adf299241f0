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


#: Settings that were given up for another one.
REPLACED = {"validation_max_loss_points": "validation_min_gain_points"}


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint for a misspelt key, and for one that has a successor."""
    import difflib

    for old, new in REPLACED.items():
        if key.removeprefix(PREFIX).lower() == old:
            return f", {PREFIX + new.upper() if key.startswith(PREFIX) else new} has taken its place"
    close = difflib.get_close_matches(key, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
