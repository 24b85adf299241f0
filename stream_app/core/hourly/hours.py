"""Counters of one model version and day, by the hour of the prediction: additive integers.

Columns of an array of shape (24, 36): tn, fn, fp, tp as labelled so far, then the predictions in 32 score bins,
labelled or not. A score belongs to the bin left of an edge that it equals.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.core.counts.deltas import LABEL_TN, Part

HourCounts = NDArray[np.int64]

HOURS: Final = 24
TN, FN, FP, TP = range(4)
LABELS: Final = 4
BINS: Final = 32
COLUMNS: Final = LABELS + BINS

#: Inner edges of the score bins, 1 / (1 + e^−x) at logit x = −12, −10.5, −9.5, −8.75, −8, −7.5, −7, −6.5, −6, −5.5, −5,
#: −4.5, −4, −3.5, −3, −2.5, −2, −1.6, −1.2, −.8, −.4, 0, .4, .8, 1.2, 1.6, 2, 2.5, 3, 4 and 6. Stored, not computed:
#: libraries differ in the last bit.
EDGES: Final = (
    6.144174602214718e-06, 2.753569111458347e-05, 7.484622751061123e-05, 0.00015843621910252594,
    0.0003353501304664781, 0.0005527786369235996, 0.0009110511944006454, 0.0015011822567369915,
    0.0024726231566347743, 0.004070137715896128, 0.0066928509242848554, 0.01098694263059318,
    0.01798620996209156, 0.02931223075135632, 0.04742587317756678, 0.07585818002124355, 0.11920292202211756,
    0.16798161486607552, 0.23147521650098235, 0.31002551887238755, 0.401312339887548, 0.5, 0.598687660112452,
    0.6899744811276124, 0.7685247834990176, 0.8320183851339245, 0.8807970779778824, 0.9241418199787564,
    0.9525741268224333, 0.9820137900379085, 0.9975273768433652,
)  # fmt: skip
_EDGES: Final = np.array(EDGES)


def no_counts() -> HourCounts:
    """A day without counts."""
    return np.zeros((HOURS, COLUMNS), dtype=np.int64)


def counts_of(part: Part) -> dict[tuple[str, str, int], HourCounts]:
    """What a part of the deltas adds, by (model, version, UTC day of the prediction)."""
    rows = part.rows()
    days = {(cell.model, cell.version, cell.day): 0 for cell in part.cells}
    place = {key: i for i, key in enumerate(days)}
    out = np.zeros((len(place), HOURS, COLUMNS), dtype=np.int64)
    if len(rows.kinds):
        where = np.array([place[cell.model, cell.version, cell.day] for cell in part.cells])[rows.cells]
        hour = np.array([cell.hour % HOURS for cell in part.cells])[rows.cells]
        bins = LABELS + np.searchsorted(_EDGES, rows.scores, side="left")
        column = np.where(rows.kinds < LABEL_TN, bins, rows.kinds.astype(np.int64) - LABEL_TN)
        np.add.at(out, (where, hour, column), rows.counts)
    return {key: out[i] for key, i in place.items()}
