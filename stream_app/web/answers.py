"""How answers look: JSON as it was stored, pages with a cursor, errors that say what to do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import Response

JSON = "application/json"


class Refused(Exception):
    """A request that cannot be answered: status, code, and what to do."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def response(self) -> Response:
        """As it is sent."""
        body = orjson.dumps({"error": {"code": self.code, "message": self.message}})
        return Response(body, self.status, self.headers, JSON)


def answer(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(orjson.dumps(value), status, media_type=JSON)


def page(items: Iterable[bytes], next: int | None, **more: Any) -> Response:
    """Stored records as a page, without decoding them."""
    head = orjson.dumps({"next": None if next is None else following(next), **more})
    return Response(b'{"items":[' + b",".join(items) + b"]," + head[1:], media_type=JSON)


def following(at: int) -> str:
    """An opaque position in a list: what a page calls `next`."""
    return base64.urlsafe_b64encode(str(at).encode()).decode().rstrip("=")


def position(cursor: str | None) -> int:
    """The position of a cursor; :class:`Refused` if it is none of ours."""
    if cursor is None:
        return 0
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at = int(text)
    except (ValueError, binascii.Error) as error:
        raise Refused(400, "bad_cursor", "this cursor is none that was handed out; begin without one") from error
    if not 0 <= at < 2**31 or text != str(at):
        raise Refused(400, "bad_cursor", "this cursor is none that was handed out; begin without one")
    return at
