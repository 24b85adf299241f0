"""Which seeds run in ``make test`` and which in ``make test-long`` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def shared_out(seeds: int, usual: Iterable[int]) -> list[Any]:
    """Parameters for seeds 0 to ``seeds`` − 1; those that are not usual are long."""
    often = set(usual)
    return [seed if seed in often else pytest.param(seed, marks=pytest.mark.long) for seed in range(seeds)]
