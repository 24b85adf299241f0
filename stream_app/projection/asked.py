"""Questions to the read model, for commands: connect, ask, leave."""

from __future__ import annotations

from redis.exceptions import RedisError

from stream_app.errors import UnknownFormat
from stream_app.projection.client import client
from stream_app.projection.judgement import QualityJudgement, Tally, judge
from stream_app.projection.keys import Keys
from stream_app.projection.reader import Reader
from stream_app.projection.status import Status
from stream_app.settings import Whereabouts


async def without_outcomes(settings: Whereabouts) -> list[str] | None:
    """Models that have predicted for 30 days without an outcome; ``None`` where no read model can be asked."""
    if not settings.redis_url:
        return None
    redis = client(settings)
    try:
        reader = Reader(redis, Keys(settings.output_prefix))
        if (await reader.status()).updated_ms is None:
            return None
        return await reader.fleet.without_outcomes()
    except (RedisError, OSError, UnknownFormat):
        return None
    finally:
        await redis.aclose()


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
