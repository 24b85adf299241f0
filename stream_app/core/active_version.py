"""Which version of a line is active (CONTRACT section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from stream_app.core.days import HOUR_MS
from stream_app.stored import Codec

How = Literal["observed", "registered", "commanded"]


class ActiveVersion(msgspec.Struct, frozen=True):
    """A line's active version, the one before it, how and since when (tick, epoch ms)."""

    version: str
    previous: str | None
    how: How
    since_ms: int
    #: tick (epoch ms) at which the line first had a version
    first_seen_ms: int = 0


FORMAT: Final = 1
_codec: Final = Codec[ActiveVersion](ActiveVersion, FORMAT, "active version")
encode, decode = _codec.encode, _codec.decode


def first_observed(predictions: Mapping[str, int], at_ms: int) -> ActiveVersion | None:
    """The version with most predictions in the line's first epoch, ties by name."""
    made = {version: count for version, count in predictions.items() if count > 0}
    if not made:
        return None
    version = min(made, key=lambda v: (-made[v], v))
    return ActiveVersion(version, None, "observed", at_ms, at_ms)


def after_hour(
    current: ActiveVersion, hour: int, predictions: Mapping[str, int], at_ms: int, least: int = 30, share: float = 0.5
) -> ActiveVersion:
    """The active version once ``hour`` (since 1970) has ended, by the predictions made in it and known by then.

    Another version takes over with more than ``share`` of at least ``least``: fewer say nothing. An hour in which the
    active version changed decides nothing. A tick's time stands for the epoch it ends, so a change dated at a full hour
    belongs to the hour before; and one that was ordered in the very epoch that is handled may have come in any hour.
    """
    if hour * HOUR_MS < current.since_ms <= (hour + 1) * HOUR_MS:
        return current
    if current.since_ms == at_ms and current.how != "observed":
        return current
    total = sum(predictions.values())
    if total < least:
        return current
    for version, count in predictions.items():
        if count > share * total and version != current.version:
            return ActiveVersion(version, current.version, "observed", at_ms, current.first_seen_ms)
    return current


def changed(current: ActiveVersion | None, version: str, how: How, at_ms: int) -> ActiveVersion:
    """The state after an operator registered, or the deployer reported, a version."""
    if current is not None and current.version == version:
        return current
    if current is None:
        return ActiveVersion(version, None, how, at_ms, at_ms)
    return ActiveVersion(version, current.version, how, at_ms, current.first_seen_ms)
