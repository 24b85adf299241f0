"""How the read model stands."""

from __future__ import annotations

from typing import NamedTuple


class Status(NamedTuple):
    """Whether what is shown is whole and new; ``reason`` says what is wrong and what to do, ``code`` names it."""

    degraded: bool
    reason: str | None
    #: last sign of life of the worker that fills it; ``None`` where nothing can be read
    updated_ms: int | None
    generation: str
    code: str = ""
    #: Redis' time of asking
    now_ms: int = 0
    #: the last tick that reached every partition of the models' clock, and when the broker got it
    tick_ms: int | None = None
    ticked_ms: int | None = None
