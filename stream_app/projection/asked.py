"""One question to the read model, for commands: connect, ask, leave."""

from __future__ import annotations

from stream_app.projection.client import client
from stream_app.projection.judgement import QualityJudgement, Tally, judge
from stream_app.projection.keys import Keys
from stream_app.projection.reader import Reader
from stream_app.projection.status import Status
from stream_app.settings import Whereabouts


async def judgement_now(settings: Whereabouts) -> QualityJudgement:
    """What may be said of the fleet's quality."""
    if not settings.redis_url:
        text = "the read model, which knows it, is turned off here (redis_url is empty)"
        return judge(Tally(), Status(True, text, None, "", "turned_off"))
    redis = client(settings)
    try:
        return await Reader(redis, Keys(settings.output_prefix)).judgement()
    finally:
        await redis.aclose()
