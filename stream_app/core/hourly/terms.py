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

from stream_app.core.hourly.references import ALTERNATIVES, Channels, Floats

NODES: Final = 96
#: Bound of the logarithm of one ratio.
CLIP: Final = 300.0
_TINY: Final = 1e-300
#: Channels handled at once: their arrays fit a processor's cache.
_SLAB: Final = 16
_NEVER: Final = -np.inf


class DayBlock(NamedTuple):
    """The channels (C) of one kind on one day, up to hour ``h`` (24 once it is over)."""

    channels: Channels
    #: events (C, S, h), and ones among those of all strata (C, h)
    events: Floats
    ones: Floats
    #: hours (h,) that a loss may be taken to start at
    starts: NDArray[np.bool_]


class DayTerms(NamedTuple):
    """Natural logarithms, by channel and alternative; one that there is not has ``whole`` 0 and no terms."""

    #: (C, 4) ratio of the whole day
    whole: Floats
    #: (C, 4) sum over its start hours, and the largest of them
    since: Floats
    best: Floats
    best_hour: NDArray[np.int64]
    #: (C,) mean over alternatives of each hour alone: its sum and the largest (not logarithms)
    burst: Floats
    best_burst: Floats
    best_burst_hour: NDArray[np.int64]


def lattice(tolerated: Floats, alternatives: Floats, tau: Floats) -> tuple[Floats, Floats]:
    """Shifts (C, 96) and normal weights (C, 5, 96), those of the tolerated shift first. An alternative that there is
    not has the weights of the tolerated shift."""
    centres = np.concatenate([tolerated[:, None], alternatives], axis=1)
    centres = np.where(np.isnan(centres), tolerated[:, None], centres)
    low = tolerated - 3 * tau
    step = (centres.max(axis=1) + 2 * tau - low) / (NODES - 1)
    shifts = low[:, None] + step[:, None] * np.arange(NODES)
    width = np.maximum(tau, 1.2 * step)
    weights = np.exp(-0.5 * ((shifts[:, None, :] - centres[:, :, None]) / width[:, None, None]) ** 2)
    weights /= weights.sum(axis=2, keepdims=True)
    return shifts, weights


def day_terms(blocks: Sequence[DayBlock]) -> list[DayTerms]:
    """The terms of each block, in order."""
    out: dict[int, DayTerms] = {}
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, block in enumerate(blocks):
        groups.setdefault(block.events.shape[1:], []).append(i)
    for places in groups.values():
        some: list[int] = []
        for i in places:
            some.append(i)
            if i == places[-1] or sum(len(blocks[j].ones) for j in some) >= _SLAB:
                out |= zip(some, _slab([blocks[j] for j in some]), strict=True)
                some = []
    return [out[i] for i in range(len(blocks))]


def log_ratios(blocks: Sequence[DayBlock]) -> tuple[Floats, Floats]:
    """ln L of the data from each hour to the end, and of each hour alone; (C, 4, h) each, over the channels of all
    blocks. All have the same strata and hours."""
    columns = [block.channels for block in blocks]
    shifts, weights = lattice(
        _joined([column.tolerated for column in columns]),
        _joined([column.shifts for column in columns]),
        _joined([column.tau for column in columns]),
    )
    growth = np.expm1(shifts)
    ones = _joined([block.ones for block in blocks])
    events = _joined([block.events for block in blocks])
    p = _joined([block.channels.hourly for block in blocks])
    logs = ones[:, :, None] * shifts[:, None, :]
    for stratum in range(events.shape[1]):
        grown = p[:, stratum, : events.shape[2], None] * growth[:, None, :]
        grown += 1
        np.log(grown, out=grown)
        grown *= events[:, stratum, :, None]
        logs -= grown
    logs /= _joined([block.channels.phi for block in blocks])[:, None, None]
    alone = _mixed(logs, weights)
    return _mixed(np.ascontiguousarray(np.cumsum(logs[:, ::-1], axis=1)[:, ::-1]), weights), alone


def _joined(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _mixed(logs: Floats, weights: Floats) -> Floats:
    """ln of the ratios of the mixtures; (C, h, 96) and (C, 5, 96) → (C, 4, h)."""
    top = logs.max(axis=2)
    scaled = logs - top[:, :, None]
    np.exp(scaled, out=scaled)
    mixed = np.einsum("rhm,rjm->rjh", scaled, weights)
    mixed += _TINY
    np.log(mixed, out=mixed)
    # the common factor e^top cancels
    ratios: Floats = mixed[:, 1:] - mixed[:, :1]
    return np.clip(ratios, -CLIP, CLIP, out=ratios)


def _slab(blocks: Sequence[DayBlock]) -> list[DayTerms]:
    since, alone = log_ratios(blocks)
    there = ~np.isnan(_joined([block.channels.shifts for block in blocks]))
    starts = _joined([np.broadcast_to(block.starts, block.ones.shape) for block in blocks])
    allowed = starts[:, None, :] & there[:, :, None]
    terms = np.where(allowed, since, _NEVER)
    best_hour, best = terms.argmax(axis=2), terms.max(axis=2)
    total = _log_sum(terms, best)
    whole = np.where(there, since[:, :, 0], 0.0)
    ratios = np.where(allowed, np.exp(alone), 0.0)
    hours = ratios[:, 0]
    for j in range(1, ALTERNATIVES):
        hours = hours + ratios[:, j]
    hours = hours / there.sum(axis=1)[:, None]
    burst, best_burst, burst_hour = hours.sum(axis=1), hours.max(axis=1), hours.argmax(axis=1)
    out, at = [], 0
    for block in blocks:
        mine = slice(at, at + len(block.ones))
        at = mine.stop
        out.append(
            DayTerms(
                whole[mine], total[mine], best[mine], best_hour[mine], burst[mine], best_burst[mine], burst_hour[mine]
            )
        )
    return out


def _log_sum(terms: Floats, top: Floats) -> Floats:
    """ln Σ e^terms over the last axis, whose maximum is ``top``; −∞ where there are none."""
    base = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Floats = base + np.log(np.exp(terms - base[:, :, None]).sum(axis=2))
    return total
