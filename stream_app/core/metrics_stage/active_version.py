"""Which version of a model is active (CONTRACT section 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import msgspec

from stream_app.core.kit.codec import Codec
from stream_app.core.kit.days import HOUR_MS

How = Literal["observed", "registered", "commanded"]


class ActiveVersion(msgspec.Struct, frozen=True):
    """A model's active version, the one before it, how and since when (tick, epoch ms)."""

    version: str
    previous: str | None
    how: How
    since_ms: int
    #: tick (epoch ms) at which the model first had a version
    first_seen_ms: int = 0
    #: tick (epoch ms) of the last change by observation, 0 if there was none; a first version is no change
    observed_ms: int = 0

    @property
    def counted_from_ms(self) -> int:
        """From when predictions speak about a change: all of them, if what stands was merely the first to be seen."""
        return 0 if self.previous is None and self.how == "observed" else self.since_ms


@dataclass(frozen=True, slots=True)
class ObservedRules:
    """When predictions alone make another version the active one."""

    #: share of the predictions that the version must exceed
    share: float = 2 / 3
    #: predictions in each of two hours, and of closed days before older ones are added
    enough: int = 30
    #: predictions of up to ``days`` closed days below which they say nothing
    least: int = 10
    days: int = 7
    #: hours after a change by observation in which hours cause no other
    pause_h: float = 72.0


FORMAT: Final = 2
_codec: Final = Codec[ActiveVersion](ActiveVersion, FORMAT, "active version")
encode, decode = _codec.encode, _codec.decode


def first_observed(predictions: Mapping[str, int], at_ms: int) -> ActiveVersion | None:
    """The version with most predictions in the model's first epoch, ties by name."""
    made = {version: count for version, count in predictions.items() if count > 0}
    if not made:
        return None
    version = min(made, key=lambda v: (-made[v], v))
    return ActiveVersion(version, None, "observed", at_ms, at_ms)


def after_hour(
    current: ActiveVersion, hour: int, hours: Sequence[Mapping[str, int]], *, at_ms: int, rules: ObservedRules
) -> ActiveVersion:
    """The active version once ``hour`` (since 1970) has ended, by the predictions of it and the hour before.

    ``hours``: predictions by version as known by now, of ``hour`` and of the one before. Another version takes over
    with more than ``share`` of at least ``enough`` in each: a canary of half the traffic does not, and one hour alone
    says little. Both hours must have begun after the last change, so what still arrived for the old version is nothing
    against a command; and a change by observation is left alone for ``pause_h``.
    """
    if (hour - 1) * HOUR_MS < current.counted_from_ms:
        return current
    if current.observed_ms and (hour + 1) * HOUR_MS < current.observed_ms + rules.pause_h * HOUR_MS:
        return current
    leaders = {_leader(made, rules.share) if sum(made.values()) >= rules.enough else None for made in hours}
    return _observed(current, leaders.pop() if len(leaders) == 1 else None, at_ms)


def after_close(
    current: ActiveVersion, days: Iterable[Mapping[str, int]], *, at_ms: int, rules: ObservedRules
) -> ActiveVersion:
    """The active version at a 02:00 close, for models whose hours are too small to speak.

    ``days``: predictions by version that were made since the last change, of the closed day and of those before it,
    newest first. As many of them count as hold ``enough``, ``rules.days`` at most. Where no version leads and the
    active one made none of all ``rules.days``, the one that made most is the best guess there is.
    """
    made: Counter[str] = Counter()
    left = islice(days, rules.days)
    for day in left:
        made.update(day)
        if made.total() >= rules.enough:
            break
    leader = _leader(made, rules.share) if made.total() >= rules.least else None
    if leader is None and not made[current.version]:
        for day in left:
            made.update(day)
        if made.total() >= rules.least and not made[current.version]:
            leader = min((version for version in made if version), key=lambda version: (-made[version], version))
    return _observed(current, leader, at_ms)


def _leader(made: Mapping[str, int], share: float) -> str | None:
    """The version with more than ``share`` of the predictions; with room for a rounded product, as 2/3 of 30."""
    least = share * sum(made.values()) + 1e-9
    return next((version for version, count in made.items() if count > least), None)


def _observed(current: ActiveVersion, version: str | None, at_ms: int) -> ActiveVersion:
    if not version or version == current.version:
        return current
    return ActiveVersion(version, current.version, "observed", at_ms, current.first_seen_ms, at_ms)


def changed(current: ActiveVersion | None, version: str, how: How, at_ms: int) -> ActiveVersion:
    """The state after an operator registered, or the deployer reported, a version."""
    if current is not None and current.version == version:
        return current
    if current is None:
        return ActiveVersion(version, None, how, at_ms, at_ms)
    return ActiveVersion(version, current.version, how, at_ms, current.first_seen_ms, current.observed_ms)
