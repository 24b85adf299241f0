"""What the hours of one day are compared with, as it is stored: one record a model, the days in flight and the next."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.kit.codec import Codec

FORMAT: Final = 1


class HourlyChannel(msgspec.Struct, frozen=True, array_like=True):
    """One ratio and what it was: errors, or the share of scores up to one edge (or above it)."""

    #: 0 for errors; of scores the place among the five quantiles up (0 to 4) and down (5 to 9): keeps a channel's name
    slot: int
    #: inner edge of the score bins; −1 for errors
    edge: int
    #: scores: the share up to the edge is what rises; otherwise the share above it
    below: bool
    #: f4[strata][24], little-endian: probability of a one in each hour of the day
    probabilities: bytes
    #: per stratum (negatives, positives; missed positives and scores: one): rate and share of the rows in the reference
    rates: list[float]
    shares: list[float]
    #: standard error of the reference, and the day effect's spread, on the logit scale
    error: float
    tau: float
    #: divisor of the log-likelihood: dispersion from hour to hour, times the tempering of the lattice
    phi: float
    #: logit shift that is tolerated, and the alternatives (``None``: would be a share above .99)
    edge_shift: float
    shifts: list[float | None]


class HourlyReference(msgspec.Struct, frozen=True, array_like=True):
    """Of one kind, for the 24 hours of one day."""

    #: day it is for (since 1970), and the first and last of the healthy days it was made of, and how many they were
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


_codec: Final = Codec[ModelReferences](ModelReferences, FORMAT, "hourly references of a model")
encode, decode = _codec.encode, _codec.decode
