"""Do both inputs put a prediction and its outcome into partitions of the same number?

Any partitioner serves as long as both topics use the same one. Java's clients and aiokafka take murmur2 of the key,
librdkafka's default is CRC-32; where they meet, only one pair in N joins. Keys are sampled from the newest records.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from schemas.partitioning import partition_for
from stream_app.doctor.report import Checkup, Diagnosis, tails

#: Newest records of each partition that are looked at, and how many say anything at all.
SAMPLE, ENOUGH = 500, 50
#: Share of the keys that a partitioner must explain.
CLEAR: Final = 0.99

PARTITIONERS: Final[dict[str, Callable[[bytes, int], int]]] = {
    "murmur2": partition_for,
    "CRC-32 (librdkafka's default)": lambda key, count: zlib.crc32(key) % count,
}

RE_KEY = (
    "set `partitioner` to murmur2_random in librdkafka's producers, or have them write to topics of other names and "
    "run `plumbline relay PREDICTIONS OUTCOMES --map re-key`"
)


async def partitioners(context: Checkup) -> list[Diagnosis]:
    """The partitioner of either input, and whether they are the same."""
    names, count = context.topics, context.topics.input_partitions
    if count == 1:
        return [Diagnosis("partitioners", "ok", "one partition: nothing to disagree about")]
    told: dict[str, str | None] = {}
    found = []
    for topic in (names.predictions, names.outcomes):
        sample = [
            (record.key, partition)
            for partition, records in (await tails(context, topic, SAMPLE)).items()
            for record in records
        ]
        keyed = [(key, partition) for key, partition in sample if key]
        if len(keyed) < len(sample):
            share = 1 - len(keyed) / len(sample)
            text = f"{topic}: {100 * share:.0f} % of the records have no key, so pairs lie apart by chance"
            found.append(Diagnosis("partitioners", "fail", text, "have its producers set the key to prediction_id"))
        if len(keyed) < ENOUGH:
            found.append(Diagnosis("partitioners", "ok", f"{topic}: {len(keyed)} keys, too few to tell"))
            told[topic] = None
            continue
        shares = {
            name: sum(place(key, count) == partition for key, partition in keyed) / len(keyed)
            for name, place in PARTITIONERS.items()
        }
        name, share = max(shares.items(), key=lambda item: item[1])
        if share >= CLEAR:
            told[topic] = name
        elif share > 0.5:
            text = f"{topic}: {100 * share:.0f} % of the keys lie where {name} puts them, the rest elsewhere"
            found.append(Diagnosis("partitioners", "fail", f"{text}: two kinds of producers write to it", RE_KEY))
            told[topic] = None
        else:
            told[topic] = "a partitioner unknown here"
    one, other = told[names.predictions], told[names.outcomes]
    if one is not None and other is not None:
        if one != other:
            text = (
                f"{names.predictions} is placed by {one}, {names.outcomes} by {other}: about one pair in {count} joins"
            )
            found.append(Diagnosis("partitioners", "fail", text, RE_KEY))
        else:
            found.append(Diagnosis("partitioners", "ok", f"both inputs are placed by {one}"))
    return found
