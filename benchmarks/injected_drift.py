"""Changes injected into a public set, as the literature evaluates drift detectors: what is found, and what is false.

``python -m benchmarks.injected_drift --data FOLDER``. After Cerqueira, Gomes, Heyden et al., "A Framework for
Evaluating and Benchmarking Concept Drift Detection Methods" (arXiv 2606.07789, 2026): in each trial rows of a real set
are drawn at random, so that the set's own drift is gone, and one change comes at a moment that is drawn, at once or
over five days: labels swapped, the columns of the features permuted, or the prior of the classes moved from .42 to .80.
Some trials have none. Here a logistic regression is fitted on 10,000 rows of elec2_electricity and predicts the others,
500 a day; outcomes come 1 to 20 hours later.

What is found and what is false is as :mod:`benchmarks.hourly_suite` says. Detectors of River see the same errors in the
order in which outcomes come, with default parameters, at the same seeds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.hourly_suite import KSWIN, LATEST, PEERS, alarms, judge, play, predicted_hour, summed
from stream_app.simulator import Batch

#: Days before the first change may come, in which changes come, and after the last of them.
WARM, ONSETS, AFTER, A_DAY = 17, 7, 14, 500
DAYS: Final = WARM + ONSETS + AFTER + 1
FITTED: Final = 10_000
CHANGES: Final = ("labels swapped", "features permuted", "priors moved")
#: Hours until a gradual change is whole.
GRADUAL_HOURS: Final = 120
_PRIOR: Final = 0.8
_COLUMNS: Final = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]


class Trial:
    """One model over rows drawn from the set: ``features`` (n, 6), ``actual`` (n,)."""

    def __init__(
        self, change: str | None, hours: int, seed: int, features: NDArray[np.float64], actual: NDArray[np.int64]
    ) -> None:
        self.change, self._hours = change, hours
        self.name = f"churn:{(change or 'none').replace(' ', '-')}-{hours}-{seed}"
        number = 0 if change is None else 1 + CHANGES.index(change)
        self.rng = rng = np.random.default_rng([47, seed, number, hours])
        order = rng.permutation(len(actual))
        first, rest = order[:FITTED], order[FITTED:]
        self._scaler = StandardScaler().fit(features[first])
        self._model = LogisticRegression(max_iter=300).fit(self._scaler.transform(features[first]), actual[first])
        self._features, self._actual = features[rest], actual[rest]
        self._columns = np.roll(rng.permutation(features.shape[1]), 1)
        while (self._columns == np.arange(features.shape[1])).all():
            self._columns = rng.permutation(features.shape[1])
        self.onset = int(WARM * 24 + rng.integers(0, ONSETS * 24)) if change is not None else None

    def hour(self, hour: int) -> tuple[Batch, list[tuple[int, Batch]]]:
        """Its predictions, and the outcomes with the hours they come in."""
        rng, count = self.rng, int(self.rng.poisson(A_DAY / 24))
        share = 0.0 if self.onset is None else min(1.0, max(0.0, (hour - self.onset + 1) / self._hours))
        changed = rng.random(count) < share
        rows = rng.integers(0, len(self._actual), count)
        if self.change == "priors moved":
            up = rng.random(count) < _PRIOR
            drawn = [rng.choice(np.flatnonzero(self._actual == label), count) for label in (1, 0)]
            rows = np.where(changed, np.where(up, *drawn), rows)
        features, actual = self._features[rows], self._actual[rows]
        if self.change == "features permuted":
            features = np.where(changed[:, None], features[:, self._columns], features)
        if self.change == "labels swapped":
            actual = np.where(changed, 1 - actual, actual)
        scores = np.zeros(0)
        if count:
            scores = np.round(self._model.predict_proba(self._scaler.transform(features))[:, 1], 6)
        return predicted_hour(self.name, hour, scores, scores >= 0.5, actual, rng.integers(1, LATEST + 1, len(actual)))


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Folder with the set.")
@click.option("--seeds", default=4, show_default=True, help="Trials of each change, at once and gradual.")
@click.option("--kswin", is_flag=True, help="With KSWIN, which takes longer than everything else.")
def main(data: Path, seeds: int, kswin: bool) -> None:
    """Play, and print what each detector found, by change, and one JSON object."""
    table = pd.read_csv(data / "elec2_electricity.csv.xz")
    features, actual = table[_COLUMNS].to_numpy(float), (table["class"] == "UP").to_numpy(np.int64)
    forms = [(change, hours) for change in CHANGES for hours in (1, GRADUAL_HOURS)] + [(None, 1), (None, 2)]
    trials = [Trial(change, hours, seed, features, actual) for change, hours in forms for seed in range(seeds)]
    heard = play(trials, DAYS, WARM)
    rows: dict[str, list[tuple[int | None, dict[str, Any]]]] = defaultdict(list)
    for trial in trials:
        told = {"Plumbline": [hour for hour, _ in heard.alerts[trial.name] if hour >= WARM * 24]}
        for name, make in (PEERS | (KSWIN if kswin else {})).items():
            told[name] = alarms(make, heard.errors[trial.name], WARM)
        told["always"] = [day * 24 for day in range(WARM, DAYS)]
        for name, mine in told.items():
            rows[name].append((trial.onset, judge(trial.onset, mine)))
    found: dict[str, dict[str, Any]] = {}
    for name, judged in rows.items():
        found[name] = summed(judged)
        found[name]["false a trial"] = round(found[name]["false"] / len(trials), 2)
        for change in CHANGES:
            mine = [row["in 14 d"] for trial, (_, row) in zip(trials, judged, strict=True) if trial.change == change]
            found[name][change] = sum(mine)
    shown = Table("detector", *found["Plumbline"])
    for name, row in found.items():
        shown.add_row(name, *map(str, row.values()))
    Console(stderr=True).print(shown)
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
