"""What the hours of one day are compared with, as it is stored: one record a model, the days in flight and the next.

Bound: of errors one channel of two strata and at most nine days, of scores ten channels and three days. Measured: 5 kB
a model.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.hours import HOURS
from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.kit.codec import Codec
from stream_app.errors import Broken

FORMAT: Final = 1

#: Alternatives of a channel, as many as it may have.
ALTERNATIVES: Final = 4
#: Channels that a kind may have: errors; scores by quantile, five whose share below an edge rises, then five whose
#: share above it does.
SLOTS: Final[dict[HourlyKind, int]] = {"errors": 1, "scores": 10}
#: Parts of the week that an old reference falls back to: {working day, weekend} × six of four hours.
BLOCKS: Final = 12

Floats = NDArray[np.float64]


class Channels(NamedTuple):
    """The numbers of a reference's channels (C) and strata (S: negatives and positives; of missed positives and of
    scores one)."""

    #: (C,) standard error of the reference, and spread of the day effect, on the logit scale
    error: Floats
    tau: Floats
    #: (C,) dispersion from hour to hour within days, at least 1; and the divisor of the log-likelihood, which is that
    #: times the tempering of the lattice
    dispersion: Floats
    phi: Floats
    #: (C,) logit shift that is tolerated, and (C, 4) the alternatives (NaN: would be a share above .99)
    tolerated: Floats
    shifts: Floats
    #: (C, S) rate, and share of the rows in the reference
    rates: Floats
    shares: Floats
    #: (C, S, 24) probability of a one in each hour of the day
    hourly: Floats
    #: (C, S, 12) the same by blocks of the week, for days that find no reference of their own
    blocks: Floats


class HourlyReference(msgspec.Struct, frozen=True, array_like=True):
    """Of one kind, for the 24 hours of one day."""

    #: day it is for (since 1970); the first and last of the healthy days it was made of, and how many they were
    day: int
    first: int
    last: int
    days: int
    #: rows in them: outcomes, or scores
    rows: int
    #: why there is nothing to compare with; then there are no channels
    reason: str | None
    #: by channel: 0 for errors; of scores the place of the quantile, plus 5 where the share above the edge is looked at
    slots: list[int] = []
    #: by channel: inner edge of the score bins; −1 for errors
    edges: list[int] = []
    strata: int = 1
    #: little-endian f4, the columns of :class:`Channels` one after the other
    numbers: bytes = b""

    def channels(self) -> Channels:
        """Unpacked. Raises ``Broken`` if the columns do not fit together."""
        layout = _layout(len(self.slots), self.strata)
        size = 4 * layout[-1][0].stop
        if len(self.numbers) != size or len(self.edges) != len(self.slots):
            raise Broken("a reference's columns do not fit together")
        values = np.frombuffer(self.numbers, dtype="<f4").astype(np.float64)
        return Channels(*(values[place].reshape(shape) for place, shape in layout))


@lru_cache(maxsize=64)
def _layout(count: int, strata: int) -> list[tuple[slice, tuple[int, ...]]]:
    """Where each column stands, and its shape."""
    one, by_stratum = (count,), (count, strata)
    shapes: list[tuple[int, ...]] = [
        one, one, one, one, one, (count, ALTERNATIVES), by_stratum, by_stratum,
        (*by_stratum, HOURS), (*by_stratum, BLOCKS),
    ]  # fmt: skip
    ends = list(accumulate(math.prod(shape) for shape in shapes))
    return [(slice(end - math.prod(shape), end), shape) for end, shape in zip(ends, shapes, strict=True)]


def packed(channels: Channels) -> bytes:
    """Stored bytes of the numbers; what is reckoned from a reference is reckoned from these."""
    return np.concatenate([column.ravel() for column in channels]).astype("<f4").tobytes()


class ModelReferences(msgspec.Struct, frozen=True, array_like=True):
    """Of one version of a model, ascending by day: those of the days in flight and of the next."""

    version: str
    errors: list[HourlyReference] = []
    scores: list[HourlyReference] = []

    def of(self, kind: HourlyKind) -> list[HourlyReference]:
        """Those of a kind."""
        return self.errors if kind == "errors" else self.scores

    def at(self, kind: HourlyKind, day: int) -> HourlyReference | None:
        """That for a day, if there is one."""
        return next((found for found in self.of(kind) if found.day == day), None)


_codec: Final = Codec[ModelReferences](ModelReferences, FORMAT, "hourly references of a model")
encode, decode = _codec.encode, _codec.decode
