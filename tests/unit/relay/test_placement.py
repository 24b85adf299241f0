"""Placement of many keys at once."""

from __future__ import annotations

import random

from schemas.partitioning import partition_for
from stream_app.kafka.placement import partitions_for


def test_many_keys_are_placed_as_one_by_one() -> None:
    draw = random.Random(5)
    keys = [draw.randbytes(draw.randrange(0, 40)) for _ in range(2_000)]
    for partitions in (1, 3, 12, 512):
        assert partitions_for(keys, partitions) == [partition_for(key, partitions) for key in keys]
