"""Writes scored.csv: two months of a credit model's decisions, with outcomes a day later.

Half way another version takes over; in the last two weeks a third of the labels say the opposite. The file is the same
on every machine.
"""

import csv
import random
from datetime import UTC, datetime, timedelta

rng = random.Random(7)
first = datetime(2026, 1, 5, tzinfo=UTC)
with open("scored.csv", "w", newline="") as out:
    rows = csv.writer(out)
    rows.writerow(["request_id", "scored_at", "model_version", "probability", "decision", "label", "label_at"])
    for number in range(4_000):
        day = number * 60 // 4_000
        made = first + timedelta(days=day, seconds=rng.randrange(86_400))
        score = rng.betavariate(0.7, 0.7)
        repaid = rng.random() < 0.03 + 0.94 * score
        if day >= 46 and rng.random() < 0.33:
            repaid = not repaid
        rows.writerow(
            [
                f"r-{number:04d}",
                made.isoformat(),
                "2026.01" if day < 25 else "2026.02",
                f"{score:.4f}",
                "lend" if score >= 0.5 else "refuse",
                "repaid" if repaid else "lost",
                (made + timedelta(hours=rng.randrange(2, 20))).isoformat(),
            ]
        )
print("wrote scored.csv: 4,000 rows")
