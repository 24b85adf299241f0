"""The first byte of everything stored: its format."""

from __future__ import annotations

from stream_app.errors import UnknownFormat


def body(value: bytes, known: int, what: str) -> memoryview:
    """What follows the format byte; ``UnknownFormat``, with what to do, if it is not ``known``. ``what``: the thing."""
    if not value or value[0] != known:
        raise UnknownFormat(
            f"{what} has format {value[0] if value else 'none'}, this release reads {known}: run the release that "
            "wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    return memoryview(value)[1:]
