"""TOML as people hand it in: whatever is wrong with it is a ``ValueError``."""

from __future__ import annotations

import tomllib
from typing import Any


def parsed(text: str) -> dict[str, Any]:
    """The content of a TOML file. A mark at its beginning, as Windows' editors write it, is no part of it.

    ``ValueError`` also for what is nested too deeply or has a number of thousands of digits.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
