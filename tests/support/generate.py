"""Seeded inputs: several types, tenants and versions, early and late outcomes, duplicates, corrections, poison."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR = 3_600_000
DAY = 24 * HOUR
START = 20_500 * DAY


@dataclass(frozen=True)
class Row:
    """A record to produce: ``topic`` is predictions or outcomes; ``key`` decides the partition."""

    topic: str
    key: bytes
    value: bytes | None


Step = tuple[int, list[Row]]


def _rfc3339(ms: int, draw: random.Random) -> str:
    zone = draw.choice(["Z", "+02:00", "-05:30"])
    offset = {"Z": 0, "+02:00": 120, "-05:30": -330}[zone]
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms, minutes=offset)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}{zone}"


def poison(draw: random.Random, now: int) -> list[tuple[str, bytes | None]]:
    """One record of every kind of bad input the issue names."""
    good = {
        "prediction_id": f"x{draw.getrandbits(40):x}", "model_type": "fraud", "model_version": "v1", "tenant_id": "a",
        "predicted_at": now, "score": 0.5,
    }  # fmt: skip

    def bad(**changes: object) -> bytes:
        row = {**good, **changes}
        return json.dumps({key: value for key, value in row.items() if value is not ...}).encode()

    return [
        ("predictions", b"{not json"),
        ("predictions", bad()[:-9]),
        ("predictions", bad(score="0.5")),
        ("predictions", bad(score=...)),
        ("predictions", bad(score=math.nan)),
        ("predictions", bad(score=1.5)),
        ("predictions", bad(score=-0.1)),
        ("predictions", bad().replace(b"fraud", b"fr\xffud")),
        ("predictions", None),
        ("predictions", b""),
        ("predictions", b"[1]"),
        ("predictions", bad(features={"blob": "y" * 1_100_000})),
        ("predictions", bad(predicted_at=now + DAY)),
        ("predictions", bad(predicted_at=now - 91 * DAY)),
        ("predictions", bad(predicted_at=0)),
        ("predictions", bad(predicted_at="2026-02-16T10:00:00")),
        ("predictions", bad(predicted_at=4_102_444_800_000)),
        ("predictions", bad(model_type="a b")),
        ("predictions", bad(tenant_id="global")),
        ("predictions", bad(tenant_id=...)),
        ("predictions", bad(model_version="é")),
        ("predictions", bad(prediction_id="")),
        ("predictions", bad(prediction_id="é" * 65)),
        ("predictions", bad(ci_lower=0.9, ci_upper=0.1)),
        ("predictions", bad(ci_lower=0.1)),
        ("predictions", bad(role="other")),
        ("predictions", bad(predicted=2)),
        ("outcomes", json.dumps({"prediction_id": "q", "actual": "yes", "observed_at": now}).encode()),
        ("outcomes", json.dumps({"prediction_id": "q", "actual": 2, "observed_at": now}).encode()),
        ("outcomes", json.dumps({"prediction_id": "q", "observed_at": now}).encode()),
        ("outcomes", json.dumps({"prediction_id": "q", "actual": True, "observed_at": now + DAY}).encode()),
        ("outcomes", b"\xff\xfe"),
        ("outcomes", None),
    ]


def history(seed: int, days: int = 4, per_day: int = 400, with_poison: bool = True) -> list[Step]:
    """Steps of simulated time: (tick, rows that come before it). Ends a day after the last prediction."""
    draw = random.Random(seed)
    timed: list[tuple[int, int, Row]] = []

    def put(at: int, topic: str, key: str, row: dict[str, object]) -> None:
        timed.append((at, len(timed), Row(topic, key.encode(), json.dumps(row).encode())))

    for number in range(days * per_day):
        at = START + draw.randrange(days * DAY)
        name = f"p-{seed}-{number}-{draw.getrandbits(32):08x}"
        kind = draw.choice(["conflict", "fraud", "fraud", "churn"])
        tenant = None if kind == "conflict" else draw.choice(["a", "b.c", "D-1"])
        if kind == "churn" and draw.random() < 0.3:
            tenant = None
        score = round(draw.betavariate(0.6, 1.5), draw.choice([2, 4, 17]))
        row: dict[str, object] = {"prediction_id": name, "model_type": kind, "score": score}
        row["model_version"] = "v1" if at < START + days * DAY // 2 or draw.random() < 0.1 else "v2"
        row["predicted_at"] = at if draw.random() < 0.8 else _rfc3339(at, draw)
        if tenant is not None:
            row["tenant_id"] = tenant
        if draw.random() < 0.4:
            row["predicted"] = draw.choice([True, False, 0, 1])
        elif draw.random() < 0.3:
            row["threshold"] = 0.3
        if draw.random() < 0.5:
            row["ci_lower"], row["ci_upper"] = max(0.0, score - draw.random() / 4), min(1.0, score + draw.random() / 4)
        if draw.random() < 0.05:
            row["role"] = "shadow"
        if draw.random() < 0.2:
            row["features"] = {"x": draw.random(), "words": ["a", "b"]}
        put(at + draw.randrange(60_000), "predictions", name, row)
        if draw.random() < 0.03:
            put(at + draw.randrange(2 * DAY), "predictions", name, row)
        if draw.random() < 0.02:
            put(at + HOUR + draw.randrange(DAY), "predictions", name, {**row, "score": score / 2})
        if draw.random() < 0.9:
            actual = draw.random() < score
            seen = at + draw.choice([-3 * HOUR, HOUR, 20 * HOUR, 50 * HOUR]) + draw.randrange(HOUR)
            value = {"prediction_id": name, "actual": draw.choice([actual, int(actual)]), "observed_at": seen}
            put(seen, "outcomes", name, value)
            if draw.random() < 0.05:
                put(seen + draw.randrange(DAY), "outcomes", name, value)
            if draw.random() < 0.05:
                later = seen + draw.randrange(1, 30 * HOUR)
                put(later, "outcomes", name, {"prediction_id": name, "actual": not actual, "observed_at": later})
            if draw.random() < 0.02:
                put(
                    seen + HOUR,
                    "outcomes",
                    name,
                    {"prediction_id": name, "actual": not actual, "observed_at": seen - 1},
                )
        elif draw.random() < 0.2:
            put(at, "outcomes", f"lost-{name}", {"prediction_id": f"lost-{name}", "actual": True, "observed_at": at})
    if with_poison:
        for hour in range(0, days * 24, 7):
            now = START + hour * HOUR
            for topic, bad in poison(draw, now):
                timed.append((now, len(timed), Row(topic, b"poison-%d" % draw.randrange(100), bad)))
    timed.sort(key=lambda item: item[:2])
    return _steps(timed, START + (days + 1) * DAY + 4 * HOUR)


def _steps(timed: list[tuple[int, int, Row]], end: int) -> list[Step]:
    """Ticks at every close and at every sixth hour."""
    ticks = sorted(
        {
            day * DAY + hour * HOUR
            for day in range(timed[0][0] // DAY, end // DAY + 1)
            for hour in (1, 2, 3, 4, 6, 12, 18)
        }
    )
    steps: list[Step] = []
    position = 0
    for at in (t for t in ticks if timed[0][0] < t <= end):
        rows = []
        while position < len(timed) and timed[position][0] < at:
            rows.append(timed[position][2])
            position += 1
        steps.append((at, rows))
    return steps
