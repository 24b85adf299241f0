"""What producers send: predictions and, later, their outcomes.

Names are checked by pattern in core, once for each distinct name; a regular expression per event would cost more than
decoding does. Unknown fields are ignored; ``features`` is for the trainer only and not decoded on the per-event path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.common import to_ms

_NAME_PATTERN = {"pattern": "^[A-Za-z0-9._-]{1,128}$"}

Name = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=_NAME_PATTERN)]
PredictionId = Annotated[str, Meta(min_length=1, max_length=128, description="1 to 128 bytes of UTF-8")]
Unit = Annotated[float, Meta(ge=0, le=1)]
#: epoch milliseconds or RFC 3339 with an offset, up to the year 2140
Time = Annotated[int, Meta(ge=0, le=5_400_000_000_000)] | Annotated[datetime, Meta(tz=True)]
Flag = bool | Literal[0, 1]


class Prediction(msgspec.Struct, gc=False):
    """One prediction of a deployed classifier."""

    prediction_id: PredictionId
    model_type: Name
    model_version: Name
    predicted_at: Time
    score: Unit
    tenant_id: Name | None = None
    #: the decision; absent: score >= threshold
    predicted: Flag | None = None
    threshold: Unit = 0.5
    ci_lower: Unit | None = None
    ci_upper: Unit | None = None
    role: Literal["active", "shadow"] = "active"


class PredictionWithFeatures(Prediction, gc=True):
    """A prediction as the trainer reads it."""

    features: dict[str, Any] | None = None


class Outcome(msgspec.Struct, gc=False):
    """What really happened."""

    prediction_id: PredictionId
    actual: Flag
    observed_at: Time


PREDICTION_DECODER = msgspec.json.Decoder(Prediction)
OUTCOME_DECODER = msgspec.json.Decoder(Outcome)


def time_ms(value: int | datetime) -> int:
    """Epoch milliseconds, rounded down."""
    return value if isinstance(value, int) else to_ms(value)
