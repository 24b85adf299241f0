"""How a model's predictions lie over the hours of the day, so that a range can be cut where a share of its rows is.

Stored under ``P`` + model: one format byte, then MessagePack of 24 counts, some 60 bytes. Each is a moving average of
about eight days, in integers: a count comes in whole and an eighth of what stood there goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stream_app.core.kit.codec import Codec

FORMAT: Final = 1
PREFIX: Final = b"P"
HOURS: Final = 24
_DECAY: Final = 8

Profile = list[int]


def take(profile: Profile, hour: int, count: int) -> None:
    """Predictions of an hour since 1970 that has ended."""
    at = hour % HOURS
    profile[at] += count - profile[at] // _DECAY


def cut(profile: Sequence[int], share: float) -> int | None:
    """Latest hour of the day from which on at least ``share`` of a day's rows come; ``None`` without any."""
    total = sum(profile)
    if not total:
        return None
    after = 0
    for hour in range(HOURS - 1, -1, -1):
        after += profile[hour]
        if after >= share * total:
            return hour
    return 0


_codec: Final = Codec[Profile](Profile, FORMAT, "a model's hours")
encode, decode = _codec.encode, _codec.decode


def key(model: str) -> bytes:
    """Key of a model's profile."""
    return PREFIX + model.encode()
