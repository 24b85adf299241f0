"""Recorded predictions of a real model as models without drift: each model a reshuffle of its own within each year."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.scenarios import Day

#: 277,677 rows of four years: some 190 a day.
YEARS = (2015, 2016, 2017, 2018)


@cache
def columns(path: Path) -> dict[int, tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]]:
    """(scores, predicted, actual) by year, in the file's order, which is not exchangeable."""
    found: dict[int, list[tuple[float, bool, int]]] = {year: [] for year in YEARS}
    with gzip.open(path, "rt") as stream:
        for row in csv.DictReader(stream):
            found[int(row["year"])].append(
                (float(row["predicted_probability"]), row["prediction"] == "1", int(row["employed"]))
            )
    return {
        year: (
            np.array([r[0] for r in rows]),
            np.array([r[1] for r in rows], dtype=bool),
            np.array([r[2] for r in rows], dtype=np.int64),
        )
        for year, rows in found.items()
    }


def days(path: Path, seed: int, years: int = 4, per_day: int | None = None) -> Iterator[Day]:
    """Days of one model; ``per_day`` thins them."""
    rng = np.random.default_rng(seed)
    for year in YEARS[:years]:
        scores, predicted, actual = columns(path)[year]
        order = rng.permutation(len(scores))
        for chosen in np.array_split(order, 365):
            taken = chosen if per_day is None else chosen[:per_day]
            yield Day(scores[taken], predicted[taken], actual[taken])


def flip(day: Day, rng: np.random.Generator, share: float = 0.3) -> Day:
    """A share of the predictions says the opposite."""
    wrong = rng.random(len(day.predicted)) < share
    return Day(day.scores, day.predicted ^ wrong, day.actual)
