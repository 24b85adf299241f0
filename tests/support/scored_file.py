"""A file as somebody has it who never heard of us: names, labels and times of their own, and two things planted."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

FIRST = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class ScoredFile:
    """So many rows over so many days; on ``change`` another version takes over, from ``lost`` on labels mean little."""

    rows: int
    days: int
    change: int
    lost: int

    def date(self, day: int) -> str:
        """A day's date."""
        return (FIRST + timedelta(days=day)).date().isoformat()

    def write(self, path: Path) -> Path:
        """Write it as CSV."""
        with path.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(
                ("request_id", "scored_at", "model_version", "probability", "decision", "label", "label_at")
            )
            writer.writerows(self._rows())
        return path

    def _rows(self) -> Iterator[tuple[object, ...]]:
        rng = np.random.default_rng(self.rows)
        for number in range(self.rows):
            day = number * self.days // self.rows
            made = FIRST + timedelta(days=day, seconds=int(rng.integers(86_400)))
            score = float(rng.beta(0.8, 0.8))
            good = rng.random() < 0.03 + 0.94 * score
            if day >= self.lost and rng.random() < 0.35:
                good = not good
            known = rng.random() < 0.95
            yield (
                f"r-{number:06d}", made.isoformat(), "2026.01" if day < self.change else "2026.04", round(score, 6),
                "approve" if score >= 0.5 else "decline", ("good" if good else "bad") if known else "",
                (made + timedelta(hours=int(rng.integers(2, 20)))).isoformat() if known else "",
            )  # fmt: skip
