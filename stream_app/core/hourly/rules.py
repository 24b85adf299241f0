"""What the hourly tier needs to know of a model's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

HourlyKind = Literal["errors", "scores"]
KINDS: Final[tuple[HourlyKind, ...]] = ("errors", "scores")

#: Days of hour records that are kept: those of the reference (8 to 35 days back) and the day it is for.
KEPT_DAYS: Final = 36
#: Longest label delay in days at which outcomes are judged by the hour; beyond it too many days would be in flight.
LONGEST_DELAY: Final = 7
_LEAST_IN_FLIGHT: Final = 2


@dataclass(frozen=True, slots=True)
class HourlyRules:
    """Rules of a model. ``false_alert_budget``: false alerts in 1,000 model-months, half of them for either kind."""

    label_delay_days: int = 1
    #: judged by the positives that are missed alone (types judged by recall or PR-AUC)
    positives_only: bool = False
    weekend: tuple[str, ...] = ("saturday", "sunday")
    false_alert_budget: float = 1.0

    @property
    def alpha(self) -> float:
        """Of either kind: an alarm at evidence 1/alpha."""
        return self.false_alert_budget / 2_000

    @property
    def threshold(self) -> float:
        """log10 of the evidence at which there is an alarm, to three decimals, as evidence is compared."""
        return round(-math.log10(self.alpha), 3)

    def in_flight(self, kind: HourlyKind) -> int:
        """Days whose counts are taken anew at each full hour, today among them."""
        wanted = self.label_delay_days + 1 if kind == "errors" else _LEAST_IN_FLIGHT
        return min(max(wanted, _LEAST_IN_FLIGHT), LONGEST_DELAY + 1)


def flying_days(rules: HourlyRules, kind: HourlyKind, hour: int) -> range:
    """Days (since 1970) in flight at a full hour (hours since 1970); the newest holds the last complete hour."""
    today = (hour - 1) // 24
    return range(today - rules.in_flight(kind) + 1, today + 1)


def off_reason(rules: HourlyRules, kind: HourlyKind) -> str | None:
    """Why a kind is never judged by the hour under these rules; ``None``: it is."""
    if kind == "errors" and rules.label_delay_days > LONGEST_DELAY:
        return f"outcomes are given more than {LONGEST_DELAY} days"
    return None
