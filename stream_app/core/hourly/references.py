"""What the hours of one day are compared with, as it is stored: one record a model, the days in flight and the next.

Bound: two channels of errors' strata or at most ten of scores, at most nine days of errors and three of scores.
Measured: 5 kB a model.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.kit.codec import Codec
from stream_app.errors import Broken

FORMAT: Final = 1

#: Alternatives of a channel, as many as it may have.
ALTERNATIVES: Final = 4
#: Channels that a kind may have: errors; scores by quantile, five whose share below rises, five whose share above does.
SLOTS: Final[dict[HourlyKind, int]] = {"errors": 1, "scores": 10}
#: Parts of the week that an old reference falls back to: {working day, weekend} × six of four hours.
BLOCKS: Final = 12


class HourlyChannel(msgspec.Struct, frozen=True, array_like=True):
    """One ratio and what it was: errors, or the share of scores on one side of an edge. Arrays are little-endian f4."""

    #: 0 for errors; of scores the place of the quantile, plus 5 where the share above the edge is looked at
    slot: int
    #: inner edge of the score bins; −1 for errors
    edge: int
    #: [strata][24]: probability of a one in each hour of the day
    probabilities: bytes
    #: [strata][12]: the same by blocks of the week, for days that find no reference of their own
    blocks: bytes
    #: per stratum (negatives, positives; of missed positives and of scores one): rate, and share of the rows
    rates: list[float]
    shares: list[float]
    #: standard error of the reference, and spread of the day effect, on the logit scale
    error: float
    tau: float
    #: dispersion from hour to hour within days, at least 1; and the divisor of the log-likelihood, which is that times
    #: the tempering of the lattice
    dispersion: float
    phi: float
    #: logit shift that is tolerated, and the alternatives (``None``: would be a share above .99)
    tolerated: float
    shifts: list[float | None]

    @property
    def above(self) -> bool:
        """Of scores: whether it is the share above the edge that rises."""
        return self.slot >= SLOTS["scores"] // 2

    def hourly(self) -> NDArray[np.float64]:
        """Probabilities by stratum and hour of the day, shape (strata, 24)."""
        return self._array(self.probabilities, 24)

    def blockwise(self) -> NDArray[np.float64]:
        """Probabilities by stratum and block of the week, shape (strata, 12)."""
        return self._array(self.blocks, BLOCKS)

    def _array(self, value: bytes, width: int) -> NDArray[np.float64]:
        found = np.frombuffer(value, dtype="<f4")
        if len(found) != width * len(self.rates) or not self.rates or len(self.shifts) != ALTERNATIVES:
            raise Broken("a reference's columns do not fit together")
        return found.reshape(len(self.rates), width).astype(np.float64)


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
    channels: list[HourlyChannel]


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
