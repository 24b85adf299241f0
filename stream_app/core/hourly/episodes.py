"""Alarm, episode and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.drift import Severity
from stream_app.core.hourly.evidence import HourlyReading
from stream_app.core.hourly.evidence_state import KindEvidence, ModelEvidence
from stream_app.core.hourly.loss import Loss
from stream_app.core.hourly.rules import HourlyKind


@dataclass(frozen=True, slots=True)
class HourlyJudgement:
    """What becomes of a reading."""

    state: KindEvidence
    #: a drift event goes out when it opened or was raised
    what: Literal["opened", "raised", "goes_on", "ended"] | None
    severity: Severity | None


def at_issue(state: KindEvidence, reading: HourlyReading) -> bool:
    """Whether there is an alarm or an episode: then the loss is estimated and :func:`judge` is asked."""
    raise NotImplementedError


def judge(
    state: KindEvidence, reading: HourlyReading, loss: Loss | None, hour: int, *, daily_drift: bool, acquitted: bool
) -> HourlyJudgement:
    """``daily_drift``: the newest daily check of the kind says drift; ``acquitted``: scores of an acquitted run."""
    raise NotImplementedError


def ended(state: ModelEvidence, kind: HourlyKind, hour: int) -> ModelEvidence:
    """The episode of a kind ends, as after ``rebaseline``: evidence begins anew at ``hour``."""
    raise NotImplementedError
