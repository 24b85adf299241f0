"""What one day says of one channel: likelihood ratios of a lasting shift since each of its hours, and of each hour
alone.

With K ones among n events of an hour, ones having probability p in the reference, a shift b on the logit scale has

    ℓ(b) = (b·K − Σ n·ln(1 − p + p·eᵇ)) / φ,

summed over strata: the exact Bernoulli likelihood ratio against b = 0, tempered by φ. A day has an effect u ~ N(0, τ²)
of its own, so the ratio of alternative b_j against the tolerated shift b_0 is

    L_j = E_u e^ℓ(b_j + u) / E_u e^ℓ(b_0 + u),

both integrals taken on one lattice of 96 shifts, with normal weights that sum to 1. (Five-point quadrature explodes at
10,000 labels a day.) Lattice, widths and clips are those of ``edet.py``. All sums run over a last axis of fixed length,
so that a channel alone and among others gives the same bits; no BLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.references import ALTERNATIVES, HourlyChannel

Floats = NDArray[np.float64]

NODES: Final = 96
#: Bound of the logarithm of one ratio.
CLIP: Final = 300.0
_TINY: Final = 1e-300
#: Jobs handled at once: their arrays fit a processor's cache.
_SLAB: Final = 12
_NEVER: Final = -np.inf


class DayJob(NamedTuple):
    """One channel on one day, up to hour ``h`` (24 once it is over)."""

    channel: HourlyChannel
    #: probabilities (strata, 24) of the hours of that day
    probabilities: Floats
    #: events (strata, h) and ones among all of them (h,)
    events: Floats
    ones: Floats
    #: hours (h,) that a loss may be taken to start at
    starts: NDArray[np.bool_]


class DayTerms(NamedTuple):
    """Natural logarithms. Arrays have the four alternatives; one that there is not has ``whole`` 0 and no terms."""

    #: ratio of the whole day
    whole: Floats
    #: sum over its start hours, and the largest of them
    since: Floats
    best: Floats
    best_hour: NDArray[np.int64]
    #: mean over alternatives of each hour alone: its sum (not a logarithm), and the largest
    burst: float
    best_burst: float
    best_burst_hour: int


def lattice(channel: HourlyChannel) -> tuple[Floats, Floats]:
    """Shifts (96,) and normal weights (1 + alternatives, 96), those of the tolerated shift first. An alternative that
    there is not has the weights of the tolerated shift."""
    last = max(shift for shift in channel.shifts if shift is not None)
    low = channel.tolerated - 3 * channel.tau
    step = (last + 2 * channel.tau - low) / (NODES - 1)
    shifts = low + step * np.arange(NODES)
    width = max(channel.tau, 1.2 * step)
    centres = np.array([channel.tolerated, *(channel.tolerated if x is None else x for x in channel.shifts)])
    weights = np.exp(-0.5 * ((shifts - centres[:, None]) / width) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return shifts.astype(np.float64, copy=False), weights


def day_terms(jobs: Sequence[DayJob]) -> list[DayTerms]:
    """The terms of each job, in order."""
    out: list[DayTerms | None] = [None] * len(jobs)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(job.events.shape, []).append(i)
    for places in groups.values():
        for at in range(0, len(places), _SLAB):
            some = places[at : at + _SLAB]
            for i, terms in zip(some, _slab([jobs[i] for i in some]), strict=True):
                out[i] = terms
    return [terms for terms in out if terms is not None]


def log_ratios(jobs: Sequence[DayJob]) -> tuple[Floats, Floats]:
    """ln L of the data from each hour to the end, and of each hour alone; shape (jobs, alternatives, h) each. All jobs
    have the same strata and hours."""
    shifts, weights = map(np.stack, zip(*(lattice(job.channel) for job in jobs), strict=True))
    growth = np.expm1(shifts)
    ones = np.stack([job.ones for job in jobs])
    events = np.stack([job.events for job in jobs])
    p = np.stack([job.probabilities for job in jobs])[:, :, : events.shape[2]]
    logs = ones[:, :, None] * shifts[:, None, :]
    for stratum in range(events.shape[1]):
        grown = p[:, stratum, :, None] * growth[:, None, :]
        grown += 1
        np.log(grown, out=grown)
        grown *= events[:, stratum, :, None]
        logs -= grown
    logs /= np.array([job.channel.phi for job in jobs])[:, None, None]
    alone = _mixed(logs, weights)
    return _mixed(np.ascontiguousarray(np.cumsum(logs[:, ::-1], axis=1)[:, ::-1]), weights), alone


def _mixed(logs: Floats, weights: Floats) -> Floats:
    """ln of the ratios of the mixtures; (jobs, h, 96) and (jobs, 1 + alternatives, 96) → (jobs, alternatives, h)."""
    top = logs.max(axis=2)
    scaled = np.exp(logs - top[:, :, None])
    mixed = np.einsum("rhm,rjm->rjh", scaled, weights)
    mixed += _TINY
    np.log(mixed, out=mixed)
    # the common factor e^top cancels
    ratios: Floats = np.clip(mixed[:, 1:] - mixed[:, :1], -CLIP, CLIP)
    return ratios


def _slab(jobs: Sequence[DayJob]) -> list[DayTerms]:
    since, alone = log_ratios(jobs)
    there = np.array([[shift is not None for shift in job.channel.shifts] for job in jobs])
    starts = np.stack([job.starts for job in jobs])
    allowed = starts[:, None, :] & there[:, :, None]
    terms = np.where(allowed, since, _NEVER)
    best_hour = terms.argmax(axis=2)
    best = terms.max(axis=2)
    total = _log_sum(terms, best)
    whole = np.where(there, since[:, :, 0], 0.0)
    ratios = np.where(allowed, np.exp(alone), 0.0)
    hours = ratios[:, 0]
    for j in range(1, ALTERNATIVES):
        hours = hours + ratios[:, j]
    hours = hours / there.sum(axis=1)[:, None]
    burst_hour = hours.argmax(axis=1)
    out = []
    for i in range(len(jobs)):
        burst = 0.0
        for value in hours[i].tolist():
            burst += value
        largest = float(hours[i, burst_hour[i]])
        out.append(
            DayTerms(
                whole[i], total[i], best[i], best_hour[i], burst,
                float(np.log(largest)) if largest > 0 else _NEVER, int(burst_hour[i]),
            )
        )  # fmt: skip
    return out


def _log_sum(terms: Floats, top: Floats) -> Floats:
    """ln Σ e^terms over the last axis, whose maximum is ``top``; −∞ where there are none."""
    base = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Floats = base + np.log(np.exp(terms - base[:, :, None]).sum(axis=2))
    return total
