"""Unpacking a compressed batch within a bound: whatever the bytes say, no more than ``most`` is ever allocated.

aiokafka's own functions unpack first and look at the size afterwards: a batch of 400 kB that unpacks to 400 MB took
2.2 GB. Here gzip is unpacked in steps with an output limit, snappy by the sizes it declares, lz4 and zstd into a
buffer of fixed size that grows only while the stream does not fit.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

try:
    import cramjam
except ImportError:  # pragma: no cover - the lock installs it; doctor names what is missing
    cramjam = None  # type: ignore[assignment]

#: bytes of one batch, unpacked. A producer's batch is below 1 MB as a rule and ``message.max.bytes`` bounds what it is
#: on the wire; JSON compresses 5 to 20 times. Halved: nothing legitimate is refused still. Doubled: two bad batches
#: fill a small worker.
MOST: Final = 64 << 20

#: by the three bits of a batch's attributes
CODECS: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

_STEP = 1 << 20
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEAD = 16
_OVERFLOW = "failed to write whole buffer"


class NotUnpacked(ValueError):
    """The bytes cannot be unpacked."""


class TooLarge(NotUnpacked):
    """Unpacked they are more than the bound."""


def missing() -> list[str]:
    """Codecs that this installation cannot read."""
    return [] if cramjam is not None else ["snappy", "lz4", "zstd"]


def unpack(codec: int, data: memoryview, into: bytearray, most: int = MOST) -> None:
    """Append to ``into`` what ``data`` holds, at most ``most`` bytes. Raises :class:`NotUnpacked`."""
    name = CODECS.get(codec)
    if name is None:
        raise NotUnpacked(f"codec {codec} is not known")
    if name == "gzip":
        _gzip(data, into, most)
    elif cramjam is None:
        raise NotUnpacked(f"the library for {name} is not installed")
    elif name == "snappy":
        _snappy(data, into, most)
    else:
        _fixed(getattr(cramjam, name), data, into, most)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"unpacked it is more than {most:,} bytes")


def _gzip(data: memoryview, into: bytearray, most: int) -> None:
    limit = len(into) + most
    rest: bytes | memoryview = data
    while True:
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, min(_STEP, limit - len(into) + 1))
            except zlib.error as error:
                raise NotUnpacked(f"gzip: {error}") from error
            into += piece
            if len(into) > limit:
                raise _too_large(most)
            rest = stream.unconsumed_tail
            if not piece and not rest and not stream.eof:
                raise NotUnpacked("gzip: the stream ends early")
        rest = stream.unused_data.lstrip(b"\0")
        if not rest:
            return


def _snappy(data: memoryview, into: bytearray, most: int) -> None:
    if bytes(data[: len(_XERIAL)]) != _XERIAL or len(data) < _XERIAL_HEAD:
        _snappy_block(data, into, most)
        return
    limit, at = len(into) + most, _XERIAL_HEAD
    while at < len(data):
        if len(data) - at < 4:
            raise NotUnpacked("snappy: the stream ends early")
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 < size <= len(data) - at:
            raise NotUnpacked(f"snappy: a block of {size} bytes does not fit")
        _snappy_block(data[at : at + size], into, limit - len(into))
        at += size


def _snappy_block(block: memoryview, into: bytearray, most: int) -> None:
    try:
        raw = bytes(block)
        if cramjam.snappy.decompress_raw_len(raw) > most:
            raise _too_large(most)
        into += bytes(cramjam.snappy.decompress_raw(raw))
    except cramjam.DecompressionError as error:
        raise NotUnpacked(f"snappy: {error}") from error


def _fixed(library: object, data: memoryview, into: bytearray, most: int) -> None:
    """lz4 and zstd: into a buffer that is made larger, up to the bound, while what comes does not fit."""
    raw, room = bytes(data), min(most, max(1 << 16, 8 * len(data)))
    while True:
        buffer = bytearray(room)
        try:
            size = library.decompress_into(raw, buffer)  # type: ignore[attr-defined]
        except cramjam.DecompressionError as error:
            if _OVERFLOW not in str(error):
                raise NotUnpacked(f"{error}") from error
            if room >= most:
                raise _too_large(most) from error
            room = min(most, room * 8)
            continue
        into += memoryview(buffer)[:size]
        return
