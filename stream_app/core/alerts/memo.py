"""What the alerts lane knows beside its table; written with every checkpoint into the positions record."""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.stored import body

FORMAT: Final = 2


class Memo(msgspec.Struct):
    """State of the lane that is not in its table."""

    #: last tick handled, epoch ms; 0 before the first
    last_tick: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memo)


def encode(memo: Memo) -> bytes:
    """Format byte and MessagePack."""
    return bytes((FORMAT,)) + _encoder.encode(memo)


def decode(value: bytes) -> Memo:
    """Inverse of :func:`encode`; ``Incompatible`` for an unknown format."""
    return _decoder.decode(body(value, FORMAT, "alerts positions record"))
