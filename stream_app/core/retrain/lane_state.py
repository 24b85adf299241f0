"""What the retrain lane knows beside its table; written with every checkpoint into the positions record.

Grows with the number of input partitions, some ten bytes each, and stops there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.kit.codec import Codec

FORMAT: Final = 3


class RetrainLaneState(msgspec.Struct):
    """State of the lane that is not in its table."""

    #: last tick handled, epoch ms; 0 before the first
    last_tick: int = 0
    #: read end offsets of the inputs at that tick: topic → partition → offset
    inputs: dict[str, dict[int, int]] = {}
    #: train commands of policies on their way, and models that wait for one to end
    trainings: int = 0
    waiting: int = 0


_codec: Final = Codec[RetrainLaneState](RetrainLaneState, FORMAT, "retrain positions record")
encode, decode = _codec.encode, _codec.decode
