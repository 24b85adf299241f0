"""What the worlds of the chain in memory bring: rows, and how its trainer and deployer answer.

A story answers a command with (records of answers, turns that end an epoch until they come). Answers are repeated, out
of order and late, as they come from processes that are killed and begin again where they had committed last.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from tests.support.recalibrated import drawn
from tests.support.scenarios import Day, flipped, healthy

Answers = list[tuple[dict[str, Any], int]]

ROWS_A_DAY: Final = 36
#: the first day whose rows are worse
BAD: Final = 8
#: labelled rows of a bad day where a repair is to be considered: one day is enough
REPAIRABLE_ROWS: Final = 220
GOOD: Final = {"accuracy": 0.83, "precision": 0.81, "recall": 0.8, "pr_auc": 0.8, "precision_at_80_recall": 0.8}


class Story(NamedTuple):
    """``repairs``: what the deployer does about a repair; ``None``: outcomes get worse, and none is considered."""

    repairs: str | None = None

    def day(self, seed: int, day: int) -> Day:
        """A day's rows."""
        # of repairs: worlds whose order of scores is as good on the day that is looked at as before
        rng = np.random.default_rng([seed + 3 * (self.repairs is not None), day])
        if self.repairs is None:
            found = healthy(rng, ROWS_A_DAY)
            return flipped(found, rng, 30) if day >= BAD else found
        bad = day >= BAD
        scores, predicted, actual = drawn("+2.4" if bad else "as before", rng, REPAIRABLE_ROWS if bad else ROWS_A_DAY)
        return Day(scores, predicted, actual)

    def served(self, value: bytes, version: str) -> bytes:
        """A prediction as the active version makes it; a repair that is to be taken back answers upside down."""
        if self.repairs is None:
            return value
        row = orjson.loads(value)
        row["model_version"] = version
        if self.repairs == "taken back" and "-c" in version:
            row["predicted"] = not row["predicted"]
        return orjson.dumps(row)

    def answers(self, command: dict[str, Any]) -> Answers:
        told = {"model": command["model"], "command_id": command["command_id"], "attempt": command["attempt"]}
        if command["command"] == "train":
            # of the old form: one range, no comparison, nothing tried
            good = {"candidate_metrics": GOOD, "champion_metrics": GOOD}
            done = {**told, "status": "succeeded", "candidate_version": "v2", **good}
            accepted, progress = ({**told, "status": status} for status in ("accepted", "progress"))
            if self.repairs is None:
                return [(done, 0)]
            late = 3 if self.repairs == "late" else 0
            return [
                (accepted, 0),
                (accepted, 0),
                (done, late),
                (progress, late),
                (done, late + 1),
                (accepted, late + 1),
            ]
        if command["command"] == "cancel":
            return []
        status = "rolled_back" if command["command"] == "rollback" else "activated"
        done = {**told, "status": status, "candidate_version": command["candidate_version"]}
        if self.repairs is None:
            return [(done, 0)]
        if command["command"] == "recalibrate":
            if self.repairs == "late":  # the first attempt, when the third was given up; the others never
                return [(done, 3), (done, 4)] if command["attempt"] == 1 else []
            if self.repairs == "unsupported":
                return [({**told, "status": "unsupported"}, 0)] * 2 + [(done | {"candidate_version": "v1"}, 1)]
        other = {**done, "candidate_version": "v1"} if status == "activated" else {**told, "status": "progress"}
        return [({**told, "status": "accepted"}, 0), (other, 0), (done, 0), (done, 0), (done, 1)]


STORIES: Final = (Story(), Story(), Story(), Story("taken back"), Story("late"), Story("unsupported"))


def records(found: Answers) -> list[tuple[int, tuple[str, bytes, bytes]]]:
    """Answers as records of the results' topic, each with its delay."""
    return [
        (delay, ("training-results", answer["model"].encode(), json.dumps(answer).encode())) for answer, delay in found
    ]
