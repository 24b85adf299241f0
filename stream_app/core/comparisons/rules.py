"""Thresholds of comparisons and verdicts (CONTRACT section 3). Names and meanings are those of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """Rules of a model. Points and percent are 0–100, everything else 0–1, days or counts."""

    performance_metrics: tuple[str, ...] = ("accuracy", "precision")
    min_coverage: float = 0.5
    selective_points: float = 10.0
    degraded_points: float = 10.0

    recent_days: int = 7
    recent_min_judged_days: int = 4
    baseline_start_days: int = 30
    baseline_end_days: int = 60
    initial_baseline_days: int = 7
    weekend: tuple[str, ...] = ("saturday", "sunday")
    like_days_scores: int = 2
    like_days_labels: int = 5
    acquittal_closes: int = 2
    acquittal_unclear_closes: int = 3
    acquittal_reach: float = 0.10
    estimate_points: float = 5.0
    estimate_outside_days: int = 2
    estimate_quiet_days: int = 7

    ks_min_samples: int = 30
    ks_p_value: float = 0.01
    ks_min_distance: float = 0.05
    ks_high_bound: float = 0.10
    ks_critical_bound: float = 0.20
    ks_one_day_bound: float = 0.30
    ks_band: float = 1.3581

    drop_min_denominator: int = 30
    drop_points: float = 5.0
    drop_high_points: float = 10.0
    drop_critical_points: float = 20.0
    drop_clear_points: float = 10.0
    bound_z: float = 2.326348
    dispersion_min_days: int = 7

    quality_volume_pct: float = 50.0
    quality_positive_rate_points: float = 5.0
    quality_calibration_drop: float = 0.05
    quality_interval_width_pct: float = 25.0
    quality_narrow_points: float = 20.0


def is_weekend(day: int, rules: ComparisonRules) -> bool:
    """Whether a day (since 1970, a Thursday) is of the kind that ``weekend`` names."""
    return WEEKDAYS[(day + 3) % 7] in rules.weekend
