"""One record on its way through a map: what expressions can look at, decoded when it is asked for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from schemas import deadletters
from stream_app.core.kit.effects import ConsumedRecord
from stream_app.ingest.relay.words import decode, decode_json

#: Not worked out yet for this record; ``None`` means worked out, and nothing there.
UNSET: Final[Any] = object()

_STRUCTURED: Final = "application/cloudevents"


class Unmappable(ValueError):
    """A record that a map makes nothing of; ``reason`` is the dead-lettered record's, the message names the path."""

    def __init__(self, message: str, reason: str = "unmappable") -> None:
        super().__init__(message)
        self.reason = reason


class Source:
    """A record, and what its map has worked out of it so far. Made once a map, loaded once a record."""

    __slots__ = ("_attributes", "_data", "_headers", "_value", "find_joined", "index", "item", "lets", "part", "record")

    record: ConsumedRecord
    item: Any
    index: int | None

    def __init__(self, lets: int) -> None:
        self.lets: list[Any] = [UNSET] * lets
        #: asked at most once a record, for what a join holds under its id
        self.find_joined: Callable[[Source], Any] = lambda source: None

    def load(self, record: ConsumedRecord) -> None:
        """Take a record; everything worked out of the last one is forgotten."""
        self.record = record
        self._value = self._headers = self._attributes = self._data = UNSET
        self.item = self.index = None
        self.part = ""
        for number in range(len(self.lets)):
            self.lets[number] = UNSET

    @property
    def value(self) -> Any:
        """The record's value as JSON."""
        if self._value is UNSET:
            raw = self.record.value
            if raw is None:
                raise Unmappable("value: the record has none", deadletters.NULL_VALUE)
            try:
                self._value = decode(raw)
            except (ValueError, RecursionError) as error:
                raise Unmappable(f"value: not JSON: {error}", deadletters.INVALID_JSON) from error
        return self._value

    @property
    def headers(self) -> dict[str, str]:
        """Headers as text by lower-case name; of several with one name the last."""
        if self._headers is UNSET:
            self._headers = {
                name.lower(): value.decode("utf-8", "replace")
                for name, value in self.record.headers
                if value is not None
            }
        found: dict[str, str] = self._headers
        return found

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of a CloudEvent: headers ``ce_…`` (or ``ce-…``) in binary mode, the envelope's in structured."""
        if self._attributes is UNSET:
            headers = self.headers
            found: dict[str, Any] = {name[3:]: text for name, text in headers.items() if name[:3] in ("ce_", "ce-")}
            if "type" not in found and self._structured():
                found = self.value
            self._attributes = found
        attributes: dict[str, Any] = self._attributes
        return attributes

    @property
    def data(self) -> Any:
        """A CloudEvent's data: the value in binary mode, ``data`` or ``data_base64`` of the envelope in structured."""
        if self._data is UNSET:
            attributes = self.attributes
            if attributes is not self._value:
                self._data = self.value
            elif "data_base64" in attributes:
                try:
                    self._data = decode_json(base64.b64decode(attributes["data_base64"], validate=True))
                except (binascii.Error, TypeError, ValueError) as error:
                    raise Unmappable(f"value.data_base64: not JSON in base64: {error}") from error
            else:
                self._data = attributes.get("data")
        return self._data

    def _structured(self) -> bool:
        if self.headers.get("content-type", "").startswith(_STRUCTURED):
            if not isinstance(self.value, dict):
                raise Unmappable("value: a structured CloudEvent is a JSON object")
            return True
        # Bridges lose the content type; an envelope still says what it is.
        return isinstance(self.value, dict) and "specversion" in self.value
