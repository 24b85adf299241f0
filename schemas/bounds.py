"""How large what arrives, and what is written, may be (CONTRACT section 9). All in bytes.

Whatever a lane writes follows in size from its content, and stays below what its topic takes: a refusal for size is a
fault of ours. ``tests/laws/test_bounds.py`` drives every writer to these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

Headers = Iterable[tuple[str, bytes | None]]
T = TypeVar("T")

#: An input record, key, value and headers together: most that ``max_record_bytes`` can be set to, and its default.
RECORD: Final = 1 << 20
#: An operator's command, a trainer's or deployer's answer.
COMMAND: Final = 64 << 10
#: An entry of an internal log: five times the largest comparison, and an epoch's counts are cut to it.
LOG_ENTRY: Final = 256 << 10
#: The positions record of a lane.
POSITIONS: Final = 256 << 10

#: Largest batch that a lane builds of many records; a record that is larger by itself goes alone.
BATCH: Final = 900_000
#: Kafka's own ``message.max.bytes``, for topics that are made without a limit of their own.
MESSAGE: Final = (1 << 20) + 12
#: ``max.message.bytes`` of the dead-letter topic: an input record at its limit, untouched, and what is added to it.
DEAD_LETTER: Final = 2 << 20
#: What a batch writes before its records.
BATCH_HEADER: Final = 61
#: An input record that Plumbline itself writes (load, relay): it fits the topic uncompressed, with what frames it.
SENT: Final = MESSAGE - (1 << 10)
#: Kept of a value and of a key that are not kept whole.
KEPT: Final = 1 << 10
#: Kept of the headers of a record that is not kept whole.
KEPT_HEADERS: Final = 64 << 10
#: Headers that are added to a dead-lettered record, and what frames a record and its batch, at most.
ADDED: Final = 8 << 10


def content(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Key, value and headers of a record, unpacked."""
    size = len(key or b"") + len(value or b"")
    for name, text in headers:
        # a name is counted as it is written; all but the oddest are ASCII, and their length is known without encoding
        size += (len(name) if name.isascii() else len(name.encode("utf-8", "surrogatepass"))) + len(text or b"")
    return size


def framed(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """The same as it is written, at most: two lengths before each header, so many empty ones are not nothing."""
    return content(key, value, headers) + 10 * len(headers) + 20


def cut(text: str, limit: int) -> str:
    """The longest beginning of a text that has no more than ``limit`` bytes in UTF-8, and no half character."""
    if 4 * len(text) <= limit:
        return text
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def pieces(items: list[T], limit: int) -> Iterable[list[T]]:
    """A list in runs whose MessagePack has no more than ``limit`` bytes each; one larger item stands alone."""
    run, size = list[T](), 0
    for item in items:
        more = len(_encoder.encode(item))
        if run and size + more > limit:
            yield run
            run, size = [], 0
        run.append(item)
        size += more
    if run:
        yield run


_encoder = msgspec.msgpack.Encoder()
