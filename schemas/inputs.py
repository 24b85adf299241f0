"""What producers send: predictions and, later, their outcomes.

Lengths and ranges are checked while decoding. Names are checked by pattern in core, once for each distinct name: a
regular expression per event would cost more than decoding does; so does the length of prediction_id in bytes, of which
the decoder only sees characters. Unknown fields are ignored; ``features`` is for the trainer alone and is skipped, not
decoded, on the per-event path.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from schemas.common import MAX_MS, NAME_PATTERN, Unit, to_ms

S = TypeVar("S", bound=msgspec.Struct)

InputName = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": NAME_PATTERN})]
PredictionId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="1 to 128 bytes of UTF-8. maxLength counts characters; more than 128 bytes are refused as well.",
    ),
]
#: Digits beyond the microsecond are rounded by the decoder, then the rest is cut to whole milliseconds.
Time = (
    Annotated[int, Meta(ge=0, le=MAX_MS, description="milliseconds since 1970-01-01T00:00:00Z, up to the year 2141")]
    | Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
)
Flag = bool | Literal[0, 1]


class Prediction(msgspec.Struct, gc=False, omit_defaults=True):
    """One prediction of a deployed binary classifier."""

    prediction_id: PredictionId
    model_type: InputName
    model_version: InputName
    predicted_at: Time
    score: Unit
    tenant_id: InputName | None = None
    #: the decision; absent: score >= threshold
    predicted: Flag | None = None
    threshold: Unit = 0.5
    ci_lower: Unit | None = None
    ci_upper: Unit | None = None
    role: Literal["active", "shadow"] = "active"


class PredictionWithFeatures(Prediction, gc=True):
    """One prediction of a deployed binary classifier, with the features its trainer wants to see again."""

    features: dict[str, Any] | None = None


class Outcome(msgspec.Struct, gc=False):
    """What really happened to what was predicted."""

    prediction_id: PredictionId
    actual: Flag
    observed_at: Time


class InputDecoder(Generic[S]):
    """Strict decoder of one input struct; ``decode`` is a plain function, looked up once per chunk by its callers.

    Beyond msgspec it refuses two things that msgspec lets pass: invalid UTF-8 in fields it skips, and values nested so
    deeply that skipping them exhausts the stack (msgspec raises RecursionError, which no caller would take for a fault
    of the record).
    """

    __slots__ = ("decode",)

    #: ``msgspec.DecodeError``, ``UnicodeDecodeError`` (both are ValueErrors) for what is unreadable, ``TypeError`` for
    #: a record without a value
    decode: Callable[[bytes], S]

    def __init__(self, struct: type[S]) -> None:
        self.decode = _strict(msgspec.json.Decoder(struct).decode)


def _strict(raw: Callable[[str], S]) -> Callable[[bytes], S]:
    def decode(value: bytes) -> S:
        try:
            return raw(value.decode())
        except RecursionError:
            raise msgspec.DecodeError("JSON is nested too deeply") from None
        except AttributeError:
            raise TypeError(f"expected bytes, got {type(value).__name__}") from None

    return decode


PREDICTION_DECODER: Final = InputDecoder(Prediction)
PREDICTION_WITH_FEATURES_DECODER: Final = InputDecoder(PredictionWithFeatures)
OUTCOME_DECODER: Final = InputDecoder(Outcome)


def time_ms(value: int | datetime) -> int:
    """Epoch milliseconds of a decoded time, rounded down, in integers."""
    return value if isinstance(value, int) else to_ms(value)
