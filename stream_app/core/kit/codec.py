"""Stored and internal bytes: one format byte, then the body.

Two things can be wrong with them, and they are not the same. Another format byte means another release:
:class:`~stream_app.errors.UnknownFormat`. A body that cannot be read behind the right byte means that something of ours
wrote or kept it wrongly: :class:`~stream_app.errors.Broken`. Nothing else ever leaves a decoder
(``tests/laws/test_stored_bytes.py`` finds them all).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import error as StructError
from typing import Any, Final, Generic, TypeVar

import msgspec

from stream_app.errors import Broken, UnknownFormat

T = TypeVar("T")

#: What decoders of bodies raise: MessagePack, fixed layouts, text, numbers out of their range, nesting without end.
UNREADABLE: Final = (msgspec.MsgspecError, StructError, ValueError, LookupError, TypeError, RecursionError,
                     OverflowError)  # fmt: skip


def body(value: bytes, known: int, what: str) -> memoryview:
    """What follows the format byte; ``UnknownFormat``, with what to do, if it is not ``known``. ``what``: the thing."""
    if not value or value[0] != known:
        raise UnknownFormat(
            f"{what} has format {value[0] if value else 'none'}, this release reads {known}: run the release that "
            "wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    return memoryview(value)[1:]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever cannot be read in here is ``Broken``. ``what``: the thing, with the key or place where it stands."""
    try:
        yield
    except UNREADABLE as error:
        raise Broken(f"{what} cannot be read ({error or type(error).__name__})") from error


def at_key(what: str, key: bytes) -> str:
    """A thing named by its table's key."""
    return f"{what} under key {key!r}" if key else what


class Codec(Generic[T]):
    """Bytes of one type: format byte, then MessagePack."""

    def __init__(self, kind: Any, format: int, what: str) -> None:
        #: the type of what is encoded
        self.kind: Final = kind
        self.format: Final = format
        self.what: Final = what
        self._head = bytes((format,))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def encode(self, value: T) -> bytes:
        """Format byte and MessagePack; the same value always gives the same bytes."""
        return self._head + self._encode(value)

    def decode(self, value: bytes, key: bytes = b"") -> T:
        """Inverse of :meth:`encode`. ``key``: where it stands in its table, for the message.

        Raises :class:`UnknownFormat` or :class:`Broken`.
        """
        if value[:1] != self._head:
            body(value, self.format, at_key(self.what, key))
        try:
            found: T = self._decode(memoryview(value)[1:])
        except UNREADABLE as error:
            raise Broken(f"{at_key(self.what, key)} cannot be read ({error or type(error).__name__})") from error
        return found
