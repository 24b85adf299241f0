"""The sentence about the quality of all models, for every command that ends with one."""

from __future__ import annotations

import asyncio

from stream_app.settings import Whereabouts


def quality(settings: Whereabouts) -> str:
    """What may be said now, as the dashboard says it."""
    # Redis' client is a third of such a command's start, and commands and --json never come here
    from stream_app.projection.asked import judgement_now

    return asyncio.run(judgement_now(settings)).sentence
