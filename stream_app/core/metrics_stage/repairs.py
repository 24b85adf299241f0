"""The proposal that stands in a performance comparison: whether the version could be repaired without a training.

Made where it could be used, at HIGH and above; whether it is used is the coordinator's decision.
"""

from __future__ import annotations

from typing import Final

from schemas.common import rfc3339, uuid5
from stream_app.core.comparisons.labels import selection
from stream_app.core.comparisons.recalibration import RepairProposal, propose
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import selective
from stream_app.core.counts.cells import Counts
from stream_app.core.metrics_stage.version_cells import VersionCells, judged_days
from stream_app.core.metrics_stage.version_days import VersionDays

#: Newest days of a run that are looked at: what it looks like now. A model of five labelled rows a day has the 150 it
#: needs by then.
RUN_DAYS: Final = 30


def proposal(
    mine: VersionCells, days: VersionDays, baseline: Counts, metric: str, limits: ComparisonRules, newest: int,
    close_ms: int,
) -> RepairProposal:  # fmt: skip
    """By the judged days of the run of performance drift that ``newest``, which is marked, ends."""
    marks = days.marks.get("performance", {})
    first = newest
    while first - 1 in marks and newest - first + 1 < RUN_DAYS:
        first -= 1
    judged, _ = judged_days(mine, range(first, newest + 1), limits)
    run = mine.sum_labels(judged, True)
    seed = int(uuid5("repair-halves", mine.model, rfc3339(close_ms))[:8], 16)
    return propose(run, baseline, metric, (first, newest + 1), seed, selective(selection(run, baseline), limits))
