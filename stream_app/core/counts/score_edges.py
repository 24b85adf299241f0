"""How ``score_edges.f64`` was made, once; run to check the stored table to the last bit.

The logit points are rounded from exact decimal arithmetic, so any machine gets the same doubles.
"""

from __future__ import annotations

import struct
from decimal import Decimal, localcontext


def edges() -> list[float]:
    """The 4,095 inner edges, ascending: k/2048 for k = 1…2047, and 1/(1 + e^−x) for 2,048 even x on [−16, 16]."""
    points = [k / 2048 for k in range(1, 2048)]
    with localcontext() as context:
        context.prec = 60
        one = Decimal(1)
        for i in range(2048):
            x = Decimal(-16) + Decimal(32) * i / 2047
            points.append(float(one / (one + (-x).exp())))
    return sorted(points)


def table() -> bytes:
    """The stored bytes: little-endian doubles."""
    return struct.pack("<4095d", *edges())
