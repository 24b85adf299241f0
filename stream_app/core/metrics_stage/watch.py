"""Changes of the active version that are looked at for a fortnight, as they stand in the table."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.kit.codec import Codec

FORMAT: Final = 1


class VersionChange(msgspec.Struct, frozen=True):
    """A change of the active version that is looked at: the versions, and the tick (epoch ms) of the change."""

    version: str
    previous: str
    since_ms: int


_codec: Final = Codec[VersionChange](VersionChange, FORMAT, "watch over a new version")
encode, decode = _codec.encode, _codec.decode
