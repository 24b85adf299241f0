"""Messages of formats 0 and 1 (brokers before 0.11), which a log may still hold. No producer of today writes them."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from stream_app.kafka.unpacking import NotUnpacked, unpack

_HEAD = struct.Struct(">qiIbb")
_MILLIS = struct.Struct(">q")
_SIZE = struct.Struct(">i")


class Message(NamedTuple):
    """A message; ``timestamp`` in epoch ms, -1 in format 0; ``kind`` 1 if the broker set it."""

    offset: int
    timestamp: int
    kind: int
    key: bytes | None
    value: bytes | None


def records(data: memoryview, first: int) -> list[Message]:
    """The message, or those packed in it; ``first`` is the offset the reader stands at.

    Raises :class:`NotUnpacked`: the outer checksum is sound, so what is wrong inside was written so.
    """
    outer, attributes, _ = _message(data, 0)
    codec = attributes & 0x07
    if not codec:
        return [outer]
    if outer.value is None:
        raise NotUnpacked("a packed message without a value")
    plain = bytearray()
    unpack(codec, memoryview(outer.value), plain)
    inner: list[Message] = []
    at, view = 0, memoryview(plain)
    while at < len(plain):
        message, marks, at = _message(view, at)
        if marks & 0x07:
            raise NotUnpacked("messages packed twice")
        inner.append(message)
    if not inner:
        return []
    # format 1: offsets inside count from 0, and the outer one is the last's
    shift = outer.offset - inner[-1].offset if data[16] else 0
    stamped = bool(attributes & 0x08)
    return [
        message._replace(
            offset=message.offset + shift,
            timestamp=outer.timestamp if stamped else message.timestamp,
            kind=int(stamped),
        )
        for message in inner
    ]


def _message(data: memoryview, at: int) -> tuple[Message, int, int]:
    """(message, attributes, where the next begins)."""
    try:
        offset, size, checksum, magic, attributes = _HEAD.unpack_from(data, at)
        end, position, timestamp = at + 12 + size, at + _HEAD.size, -1
        if end > len(data) or magic not in (0, 1) or zlib.crc32(data[at + 16 : end]) != checksum:
            raise NotUnpacked(f"the message at offset {offset} is damaged")
        if magic:
            timestamp = _MILLIS.unpack_from(data, position)[0]
            position += 8
        key, position = _field(data, position, end)
        value, position = _field(data, position, end)
    except struct.error as error:
        raise NotUnpacked("a message ends early") from error
    return Message(offset, timestamp, int(bool(attributes & 0x08)), key, value), attributes, end


def _field(data: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    (size,) = _SIZE.unpack_from(data, at)
    at += 4
    if size < 0:
        return None, at
    if size > end - at:
        raise NotUnpacked(f"a field of {size} bytes, where {end - at} are left")
    return bytes(data[at : at + size]), at + size
