"""What the alerts lane knows beside its table; written with every checkpoint into the positions record."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.kit.codec import Codec

FORMAT: Final = 2


class AlertsLaneState(msgspec.Struct):
    """State of the lane that is not in its table."""

    #: last tick handled, epoch ms; 0 before the first
    last_tick: int = 0


_codec: Final = Codec[AlertsLaneState](AlertsLaneState, FORMAT, "alerts positions record")
encode, decode = _codec.encode, _codec.decode
