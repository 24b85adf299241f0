"""Settings that are only possible together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

#: Each setting of a group must be above the one before it; of judged days, not above.
GROUPS: Final = (
    ("baseline_start_days", "baseline_end_days"),
    ("ks_high_bound", "ks_critical_bound"),
    ("drop_points", "drop_high_points", "drop_critical_points"),
    ("recent_min_judged_days", "recent_days"),
)


def contradiction(group: tuple[str, ...], values: Mapping[str, Any]) -> str | None:
    """What is wrong between the values of a group; ``None`` if they can stand together."""
    if group[1] == "recent_days":
        if values["recent_min_judged_days"] > values["recent_days"]:
            return f"recent_min_judged_days is more than recent_days, {values['recent_days']}"
        return None
    for low, high in pairwise(group):
        if values[high] <= values[low]:
            return f"{high} must be above {low}, it is {values[high]} and {values[low]}"
    return None
