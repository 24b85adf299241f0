"""The hourly tier once more, plainly: every start hour's product over all days, in loops of Python's floats, with
nothing shared with the project but constants of the contract."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

PROFILE = 1 + 0.8 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)
PROFILE /= PROFILE.sum()


def day_counts(rng: np.random.Generator, per_day: float, error: float = 0.17, logits: float = 0.0) -> Any:
    """A day (24, 36): half positives; bins of normal logits."""
    out = np.zeros((24, 36), dtype=np.int64)
    for hour, n in enumerate(rng.poisson(PROFILE * per_day)):
        positives = rng.binomial(n, 0.5)
        out[hour, 1] = rng.binomial(positives, error)
        out[hour, 3] = positives - out[hour, 1]
        out[hour, 2] = rng.binomial(n - positives, error)
        out[hour, 0] = n - positives - out[hour, 2]
        place = np.searchsorted(np.linspace(-4, 4, 31), rng.normal(logits, 1.8, n))
        out[hour, 4:] = np.bincount(place, minlength=32)
    return out


def strata(kind: str, counts: Any, edge: int = -1, above: bool = False) -> list[tuple[Any, Any]]:
    """(ones, events) by stratum."""
    tn, fn, fp, tp = (counts[..., i] for i in range(4))
    if kind == "errors":
        return [(fp, tn + fp), (fn, fn + tp)]
    if kind == "missed":
        return [(fn, fn + tp)]
    bins = counts[..., 4:]
    side = bins[..., edge + 1 :] if above else bins[..., : edge + 1]
    return [(side.sum(-1), bins.sum(-1))]


def reference(pairs: list[tuple[Any, Any]], days: list[int], target: int, tol: float, points: tuple[float, ...]) -> Any:
    """By ``edet.py``: pairs (ones, events), each (days, 24), of the healthy days."""
    weekday = [(d + 3) % 7 for d in days]
    rates = [(k.sum() + 0.5) / (n.sum() + 1) for k, n in pairs]
    week = []
    for (k, n), rate in zip(pairs, rates, strict=True):
        block_p = {}
        for weekend in (False, True):
            for part in range(6):
                rows = [i for i, w in enumerate(weekday) if (w >= 5) == weekend]
                kk = sum(int(k[i, h]) for i in rows for h in range(4 * part, 4 * part + 4))
                nn = sum(int(n[i, h]) for i in rows for h in range(4 * part, 4 * part + 4))
                block_p[weekend, part] = (kk + 20 * rate) / (nn + 20)
        table = {}
        for w in range(7):
            for h in range(24):
                rows = [i for i, x in enumerate(weekday) if x == w]
                kk, nn = sum(int(k[i, h]) for i in rows), sum(int(n[i, h]) for i in rows)
                table[w, h] = min(max((kk + 20 * block_p[w >= 5, h // 4]) / (nn + 20), 1e-4), 1 - 1e-4)
        week.append(table)
    residual, variance, squares, cells, judged = [], [], 0.0, 0, 0
    for i, w in enumerate(weekday):
        e = [sum(int(n[i, h]) * t[w, h] for (_, n), t in zip(pairs, week, strict=True)) for h in range(24)]
        v = [
            sum(int(n[i, h]) * t[w, h] * (1 - t[w, h]) for (_, n), t in zip(pairs, week, strict=True))
            for h in range(24)
        ]
        o = [sum(int(k[i, h]) for k, _ in pairs) for h in range(24)]
        r = (sum(o) - sum(e)) / max(sum(v), 1e-9)
        residual.append(r)
        variance.append(sum(v))
        judged += sum(v) > 1
        for h in range(24):
            if v[h] > 0.5:
                squares += (o[h] - e[h] - r * v[h]) ** 2 / v[h]
                cells += 1
    free = max(max(judged, 2) - 1, 3)
    bound = free / chi2.ppf(0.15, free)
    whole = sum(v for v in variance if v > 1)
    tau2 = sum(v / whole * (bound * r * r - 1 / v) for r, v in zip(residual, variance, strict=True) if v > 1)
    tau = min(math.sqrt(max(tau2, 0.05**2)), 1.0)
    df = max(cells - judged, 1)
    phi = squares / df if squares / df > 1 + 3 * math.sqrt(2 / df) else 1.0
    error = math.sqrt(1 / max(sum(variance), 1) + tau * tau / max(judged, 1))
    shares = [n.sum() / sum(m.sum() for _, m in pairs) for _, n in pairs]

    def moved(shift: float) -> float:
        return sum(
            s * (1 / (1 + math.exp(-(math.log(r / (1 - r)) + shift))) - r) for s, r in zip(shares, rates, strict=True)
        )

    def shift(x: float) -> float:
        return float(brentq(lambda b: moved(b) - x, 0, 30, xtol=1e-12)) if moved(8) > x else 8.0

    b0 = shift(tol) + 1.64 * error
    mean = sum(s * r for s, r in zip(shares, rates, strict=True))
    shifts = [max(shift(x), b0 + 0.05) for x in points if mean + x <= 0.99]
    step = (shifts[-1] + 2 * tau - (b0 - 3 * tau)) / 95
    temper = max(1.0, sum(variance) / max(judged, 1) * step**2)
    p = [[t[(target + 3) % 7, h] for h in range(24)] for t in week]
    return {"p": p, "b0": b0, "shifts": shifts, "tau": tau, "phi": phi * temper, "error": error, "dispersion": phi}


class Day:
    """ln likelihoods of a day's hours on the lattice, each hour by itself."""

    def __init__(self, ref: Any, pairs: list[tuple[Any, Any]]) -> None:
        self.ref = ref
        low = ref["b0"] - 3 * ref["tau"]
        step = (ref["shifts"][-1] + 2 * ref["tau"] - low) / 95
        self.nodes = [low + step * m for m in range(96)]
        self.width = max(ref["tau"], 1.2 * step)
        self.hours = [
            [
                sum(
                    b * int(k[h]) - int(n[h]) * math.log1p(p[h] * math.expm1(b))
                    for (k, n), p in zip(pairs, ref["p"], strict=True)
                )
                / ref["phi"]
                for b in self.nodes
            ]
            for h in range(24)
        ]

    def ratio(self, hours: range, j: int) -> float:
        """ln L_j of some of its hours."""
        likelihood = [sum(self.hours[h][m] for h in hours) for m in range(96)]
        top = max(likelihood)
        mixed = []
        for centre in (self.ref["shifts"][j], self.ref["b0"]):
            w = [math.exp(-0.5 * ((b - centre) / self.width) ** 2) for b in self.nodes]
            mixed.append(math.fsum(x * math.exp(y - top) for x, y in zip(w, likelihood, strict=True)) / math.fsum(w))
        return math.log(mixed[0]) - math.log(mixed[1])


def evidence(channels: list[dict[int, Day]], days: Any, first_start: int, hour: int, in_flight: int = 2) -> Any:
    """log10 evidence at a full hour, of the days in flight alone, and the best start.

    ``channels``: each a table of its days. ``days``: day → (24,) predictions.
    """
    today = (hour - 1) // 24
    flying = today - in_flight + 1
    total, alone, terms = 0.0, 0.0, []
    for channel in channels:
        for start_day in sorted(channel):
            for h in range(24):
                start = start_day * 24 + h
                if start < first_start or start >= hour or not days[start_day][h]:
                    continue
                many = len(channel[start_day].ref["shifts"])
                for j in range(many):
                    weight = 1 / 720 / len(channels) / many
                    log = 0.0
                    for day in sorted(d for d in channel if d >= start_day):
                        seen = range(h if day == start_day else 0, min(24, hour - day * 24))
                        log += channel[day].ratio(seen, j)
                    terms.append((math.log(weight) + log, start))
                    total += weight * math.exp(log)
                    burst = weight * math.exp(channel[start_day].ratio(range(h, h + 1), j))
                    faded = burst * (29 / 30) ** max(0, flying - 1 - start_day)
                    total += faded
                    if start_day >= flying:
                        alone += weight * math.exp(log) + burst
    best = max(terms, key=lambda x: (x[0], -x[1]))[1] if terms else None
    return math.log10(total / 2), math.log10(alone / 2), best
