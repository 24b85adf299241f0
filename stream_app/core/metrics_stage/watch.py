"""Changes of the active version that are looked at for a fortnight, as they stand in the table."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.stored import body

FORMAT: Final = 1


class Watch(msgspec.Struct, frozen=True):
    """A change of the active version that is looked at: the versions, and the tick (epoch ms) of the change."""

    version: str
    previous: str
    since_ms: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Watch)


def encode(watch: Watch) -> bytes:
    """Stored bytes: format byte and MessagePack."""
    return bytes((FORMAT,)) + _encoder.encode(watch)


def decode(value: bytes) -> Watch:
    """Inverse of :func:`encode`; ``Incompatible`` for an unknown format."""
    return _decoder.decode(body(value, FORMAT, "watch over a new version"))
