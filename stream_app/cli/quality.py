"""The sentence about the quality of all models, for every command that ends with one."""

from __future__ import annotations

import asyncio

from stream_app.projection.asked import judgement_now
from stream_app.settings import Settings


def quality(settings: Settings) -> str:
    """What may be said now, as the dashboard says it."""
    return asyncio.run(judgement_now(settings)).sentence
