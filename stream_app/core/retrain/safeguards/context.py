"""What safeguards are asked about, and how they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from schemas.drift import Verdict
from stream_app.core.comparisons.records import MetricBound
from stream_app.core.retrain.config import ModelConfig

Check = Literal["statistical", "performance", "manual", "floor", "labels", "schedule"]
Value = str | int | float | bool | None


class Coverage(msgspec.Struct, frozen=True, array_like=True):
    """Rows of the last mature day over all versions, and how many of them have their outcome."""

    day: int
    predictions: int
    labelled: int


class PerformanceCheck(msgspec.Struct, frozen=True, array_like=True):
    """What a daily performance check came to."""

    #: nominal time (epoch ms), and newest cohort day
    close_ms: int
    day: int
    version: str
    verdict: Verdict
    #: what metrics with a floor are in its seven-day window
    bounds: tuple[MetricBound, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there was enough to judge by."""
        return self.verdict != Verdict.INSUFFICIENT_EVIDENCE


class SafeguardResult(NamedTuple):
    """What one safeguard says: the values it saw, and in words why that passes or does not."""

    name: str
    passed: bool
    reason: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Context:
    """A model at the moment it might be retrained."""

    config: ModelConfig
    #: nominal close of the event, or tick of a manual command (epoch ms)
    nominal_ms: int
    #: kind of the drift that asks, or whoever else does
    check: Check
    severity: str | None = None
    #: labelled rows in the training range
    labelled: int = 0
    #: why no hold-out can be kept back from them, if none can
    lacks: str | None = None
    coverage: Coverage | None = None
    #: the last daily performance checks, oldest first
    heard: tuple[PerformanceCheck, ...] = ()
    #: first day of the run of drift that asks
    run_from: int = 0
    #: whether the hourly check asks
    hourly: bool = False
    faults: tuple[str, ...] = ()
    #: state of the model's coordinator
    state: str = "idle"
    #: what a person is being asked, if anything
    asked: Literal["train", "recalibrate", "activate"] | None = None
    #: version the drift was found in, and the active one
    version: str | None = None
    active: str | None = None
    circuit_open: bool = False
    failures: int = 0
    last_train_ms: int | None = None
    #: end of the back-off (epoch ms), if it is not over
    backoff_until_ms: int | None = None
    #: safeguards that this request need not pass: name → why
    skipped: Mapping[str, str] = field(default_factory=dict)
