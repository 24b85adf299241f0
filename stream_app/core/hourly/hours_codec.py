"""Stored bytes of a model version's day by hours (:mod:`~stream_app.core.hourly.hours`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.core.hourly.hours import HourCounts

FORMAT: Final = 1


def encode(counts: HourCounts) -> bytes:
    """Bytes of a day; the same counts always give the same bytes with the same Zstandard. Raises ``Broken`` for a
    negative count."""
    raise NotImplementedError


def decode(value: bytes, key: bytes = b"") -> HourCounts:
    """Inverse of :func:`encode`. ``key``: where it stands in its table. Raises ``UnknownFormat`` or ``Broken``."""
    raise NotImplementedError


def decode_days(values: Sequence[bytes]) -> NDArray[np.int64]:
    """Several days at once, at a fraction of the cost; shape (n, 24, 36)."""
    raise NotImplementedError
