"""Redis, the disk and the settings of this machine."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from stream_app.doctor.report import Checkup, Diagnosis, Level
from stream_app.kafka import unpacking

#: Share and bytes of the disk that should be free: a compaction needs room beside what is there.
FREE_SHARE, FREE_BYTES = 0.10, 2 << 30
#: Days in which a model that predicts should have an outcome, and models without one that are named.
LABELLED_WITHIN_DAYS, NAMED = 30, 20


async def redis(context: Checkup) -> list[Diagnosis]:
    """Reachable. Without it only the dashboard stands still."""
    from redis.exceptions import RedisError

    from stream_app.projection.client import client

    if not context.settings.redis_url:
        return [Diagnosis("redis", "ok", "turned off: no dashboard here")]
    redis = client(context.settings)
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        text = f"no answer ({type(error).__name__}): the dashboard shows nothing new, the pipeline goes on"
        return [Diagnosis("redis", "warn", text, "plumbline services up, or set PLUMBLINE_REDIS_URL")]
    finally:
        await redis.aclose()
    return [Diagnosis("redis", "ok", "answers")]


async def quality(context: Checkup) -> list[Diagnosis]:
    """What may be said of the models: well only where they were judged and none needs a look."""
    from stream_app.projection.asked import judgement_now

    found = await judgement_now(context.settings)
    if found.all_clear or not context.settings.redis_url:  # turned off is a choice, and the sentence says so
        return [Diagnosis("quality", "ok", found.sentence)]
    return [Diagnosis("quality", "warn", found.sentence, "plumbline alerts, or the first page of the dashboard")]


async def outcomes(context: Checkup) -> list[Diagnosis]:
    """Models whose quality nobody can know: predictions for a month, and no outcome.

    Not those whose outcomes are not expected within it."""
    from stream_app.projection.asked import without_outcomes

    found = await without_outcomes(context.settings)
    if found is None:
        level: Level = "ok" if not context.settings.redis_url else "warn"
        text = "the read model, which knows when outcomes came, is turned off here or cannot be asked"
        return [Diagnosis("outcomes", level, text)]
    named = [model for model in found if context.settings.for_model(model).label_delay_days < LABELLED_WITHIN_DAYS]
    if not named:
        return [Diagnosis("outcomes", "ok", f"no model is without one for {LABELLED_WITHIN_DAYS} days")]
    shown = ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")
    text = f"{len(named)} {'models have' if len(named) > 1 else 'model has'} predicted for {LABELLED_WITHIN_DAYS} days "
    text += f"without one outcome: {shown}. Only scores are watched, and nothing is retrained by quality"
    repair = f"send outcomes to {context.topics.outcomes}, with the ids of the predictions (`plumbline load outcomes`)"
    return [Diagnosis("outcomes", "warn", text, repair)]


async def disk(context: Checkup) -> list[Diagnosis]:
    """Room for RocksDB where this machine's worker keeps its state."""
    usage = await asyncio.to_thread(_usage, context.settings.data_dir)
    what = f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.0f} GiB for the state"
    if usage.free < FREE_BYTES or usage.free < FREE_SHARE * usage.total:
        return [
            Diagnosis(
                "disk", "warn", what, "make room, or move PLUMBLINE_DATA_DIR; what is lost is restored from Kafka"
            )
        ]
    return [Diagnosis("disk", "ok", what)]


def _usage(folder: Path) -> Any:
    """Of the disk that the folder is on, or will be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder)


async def settings(context: Checkup) -> list[Diagnosis]:
    """They load; the hash of what they announce."""
    known = context.settings
    return [Diagnosis("settings", "ok", f"environment {known.environment}, hash {known.hash()}")]


async def codecs(context: Checkup) -> list[Diagnosis]:
    """Every compression that a producer or a broker may use can be read here."""
    missing = unpacking.missing()
    if missing:
        what = f"{', '.join(missing)} cannot be read here: batches packed so are dead-lettered as unreadable_batch"
        return [Diagnosis("codecs", "fail", what, "pip install -r requirements.lock (it brings cramjam)")]
    return [Diagnosis("codecs", "ok", "gzip, snappy, lz4 and zstd can be read")]
