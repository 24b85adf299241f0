"""What producers may send, and each fault that is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import deadletters
from schemas.clock import decode_tick
from schemas.common import MAX_MS, encode, parse_ms, rfc3339, to_ms
from schemas.inputs import (
    OUTCOME_DECODER,
    PREDICTION_DECODER,
    PREDICTION_WITH_FEATURES_DECODER,
    Outcome,
    Prediction,
    time_ms,
)

PREDICTION = {
    "prediction_id": '"p-1"',
    "model_type": '"fraud"',
    "model_version": '"v3"',
    "tenant_id": '"acme"',
    "predicted_at": "1772416800000",
    "score": "0.5",
}
OUTCOME = {"prediction_id": '"p-1"', "actual": "true", "observed_at": "1772416800000"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _json(fields: dict[str, str], **changed: str | None) -> bytes:
    """A record of JSON fragments; ``None`` leaves a field out."""
    rows = {**fields, **changed}
    return ("{" + ",".join(f'"{k}":{v}' for k, v in rows.items() if v is not None) + "}").encode()


def _refused(value: bytes, decoder: Any = PREDICTION_DECODER) -> tuple[str, str]:
    with pytest.raises((msgspec.DecodeError, UnicodeError)) as caught:
        decoder.decode(value)
    return deadletters.explain(caught.value)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"prediction_id": None}, "prediction_id"),
        ({"prediction_id": '""'}, "prediction_id"),
        ({"prediction_id": "7"}, "prediction_id"),
        ({"prediction_id": "null"}, "prediction_id"),
        ({"prediction_id": f'"{"x" * 129}"'}, "prediction_id"),
        ({"model_type": '""'}, "model_type"),
        ({"model_type": f'"{"x" * 129}"'}, "model_type"),
        ({"model_version": "3"}, "model_version"),
        ({"tenant_id": '""'}, "tenant_id"),
        ({"tenant_id": "{}"}, "tenant_id"),
        ({"score": None}, "score"),
        ({"score": "null"}, "score"),
        ({"score": "true"}, "score"),
        ({"score": '"0.5"'}, "score"),
        ({"score": "1.0000000000000002"}, "score"),
        ({"score": "-1e-300"}, "score"),
        ({"score": "1e999"}, "score"),
        ({"score": "-1e999"}, "score"),
        ({"score": "9" * 400}, "score"),
        ({"threshold": "1.1"}, "threshold"),
        ({"threshold": "null"}, "threshold"),
        ({"ci_lower": "-0.1"}, "ci_lower"),
        ({"ci_upper": "2"}, "ci_upper"),
        ({"predicted": "2"}, "predicted"),
        ({"predicted": "-1"}, "predicted"),
        ({"predicted": "1.0"}, "predicted"),
        ({"predicted": '"true"'}, "predicted"),
        ({"role": '"champion"'}, "role"),
        ({"role": "null"}, "role"),
        ({"predicted_at": '"2026-03-02T02:00:00"'}, "predicted_at is a time without an offset"),
        ({"predicted_at": '"2026-03-02"'}, "predicted_at is neither"),
        ({"predicted_at": '"20260302T020000Z"'}, "predicted_at is neither"),
        ({"predicted_at": '"2026-02-30T00:00:00Z"'}, "predicted_at is neither"),
        ({"predicted_at": '"1772416800000"'}, "predicted_at is neither"),
        ({"predicted_at": '"now"'}, "predicted_at is neither"),
        ({"predicted_at": "1772416800000.5"}, "predicted_at"),
        ({"predicted_at": "1.7e12"}, "predicted_at"),
        ({"predicted_at": "-1"}, "predicted_at"),
        ({"predicted_at": str(MAX_MS + 1)}, "predicted_at"),
        ({"predicted_at": "1" + "0" * 30}, "predicted_at"),
        ({"predicted_at": "true"}, "predicted_at"),
        ({"predicted_at": "null"}, "predicted_at"),
    ],
)
def test_a_fault_in_a_prediction_is_refused_and_its_field_named(changed: dict[str, str | None], names: str) -> None:
    reason, text = _refused(_json(PREDICTION, **changed))
    assert reason == deadletters.INVALID_FIELD
    assert names in text


@pytest.mark.parametrize(
    "changed",
    [
        {"prediction_id": f'"{"x" * 128}"'},
        {"prediction_id": '"é\\u0000 /"'},
        {"model_type": '"not a name"'},  # core judges names, once for each
        {"tenant_id": None},
        {"tenant_id": "null"},
        {"score": "0"},
        {"score": "1"},
        {"score": "-0.0"},
        {"score": "1e-400"},
        {"score": "0." + "3" * 400},
        {"threshold": "0"},
        {"ci_lower": "0", "ci_upper": "1"},
        {"ci_lower": "null"},
        {"predicted": "0"},
        {"predicted": "false"},
        {"predicted": "null"},
        {"role": '"shadow"'},
        {"predicted_at": "0"},
        {"predicted_at": str(MAX_MS)},
        {"predicted_at": '"2026-03-02T02:00:00Z"'},
        {"predicted_at": '"2026-03-02t02:00:00.123456z"'},
        {"predicted_at": '"2026-03-02T02:00:00-00:00"'},
        {"predicted_at": '"2026-03-02T02:00:00+14:00"'},
        {"features": '{"amount":1e3,"deep":[[[{}]]]}'},
        {"anything": '"else"', "and": "[null]"},
    ],
)
def test_what_is_just_within_the_bounds_is_taken(changed: dict[str, str | None]) -> None:
    assert isinstance(PREDICTION_DECODER.decode(_json(PREDICTION, **changed)), Prediction)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"actual": None}, "actual"),
        ({"actual": "null"}, "actual"),
        ({"actual": "2"}, "actual"),
        ({"actual": "1.0"}, "actual"),
        ({"actual": '"yes"'}, "actual"),
        ({"observed_at": None}, "observed_at"),
        ({"observed_at": '"2026-03-02T02:00:00"'}, "observed_at is a time without an offset"),
        ({"prediction_id": "[]"}, "prediction_id"),
    ],
)
def test_a_fault_in_an_outcome_is_refused_and_its_field_named(changed: dict[str, str | None], names: str) -> None:
    reason, text = _refused(_json(OUTCOME, **changed), OUTCOME_DECODER)
    assert reason == deadletters.INVALID_FIELD
    assert names in text


@pytest.mark.parametrize("actual", ["true", "false", "0", "1"])
def test_actual_is_a_boolean_or_0_or_1(actual: str) -> None:
    assert bool(OUTCOME_DECODER.decode(_json(OUTCOME, actual=actual)).actual) == (actual in ("true", "1"))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b'{"prediction_id"',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        _json(PREDICTION) + b"{}",
        _json(PREDICTION, score="NaN"),
        _json(PREDICTION, score="Infinity"),
        _json(PREDICTION, score="-Infinity"),
        _json(PREDICTION, score=".5"),
        _json(PREDICTION, score="0x1"),
        _json(PREDICTION, features='{"a":NaN}'),
        _json(PREDICTION, prediction_id='"\\ud800"'),
        _json(PREDICTION, prediction_id='"p\x01"'),
        b'{"prediction_id":"p\xff"}',
        _json(PREDICTION)[:-1] + b',"unknown":"\xff"}',
        _json(PREDICTION)[:-1] + b',"unknown":"\xed\xa0\x80"}',
        _json(PREDICTION, unknown="[" * 100_000 + "]" * 100_000),
    ],
)
@pytest.mark.parametrize("decoder", [PREDICTION_DECODER, PREDICTION_WITH_FEATURES_DECODER])
def test_what_is_no_json_in_utf8_is_refused_also_in_fields_that_are_passed_over(value: bytes, decoder: Any) -> None:
    # Two of the values fail while fields are missing as well; either way the record is refused.
    reason, text = _refused(value, decoder)
    assert reason in (deadletters.INVALID_JSON, deadletters.INVALID_FIELD)
    assert text


@pytest.mark.parametrize("value", [b"null", b"[]", b"1", b'"x"'])
def test_json_that_is_no_object_is_refused(value: bytes) -> None:
    assert _refused(value)[0] == deadletters.INVALID_FIELD


def test_a_record_without_a_value_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        PREDICTION_DECODER.decode(None)  # type: ignore[arg-type]


def test_features_are_for_the_trainer_alone() -> None:
    value = _json(PREDICTION, features='{"amount":12.5}')
    assert not hasattr(PREDICTION_DECODER.decode(value), "features")
    assert PREDICTION_WITH_FEATURES_DECODER.decode(value).features == {"amount": 12.5}
    assert _refused(_json(PREDICTION, features="[]"), PREDICTION_WITH_FEATURES_DECODER)[0] == deadletters.INVALID_FIELD


_units = st.floats(0, 1, allow_nan=False)
_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=32)
_times = st.integers(0, MAX_MS) | st.datetimes(datetime(1970, 1, 2), datetime(2140, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        Prediction,
        prediction_id=_names,
        model_type=_names,
        model_version=_names,
        predicted_at=_times,
        score=_units,
        tenant_id=st.none() | _names,
        predicted=st.none() | st.booleans(),
        threshold=_units,
        ci_lower=st.none() | _units,
        ci_upper=st.none() | _units,
        role=st.sampled_from(["active", "shadow"]),
    )
)
def test_a_prediction_survives_the_wire(prediction: Prediction) -> None:
    raw = encode(prediction)
    again = PREDICTION_DECODER.decode(raw)
    assert again == prediction
    assert encode(again) == raw
    assert encode(json.loads(raw)) == raw


@given(st.builds(Outcome, prediction_id=_names, actual=st.booleans(), observed_at=_times))
def test_an_outcome_survives_the_wire(outcome: Outcome) -> None:
    assert OUTCOME_DECODER.decode(encode(outcome)) == outcome


@given(
    st.integers(-62_000_000_000_000_000, 250_000_000_000_000_000),
    st.integers(-14 * 60, 14 * 60),
)
def test_times_are_cut_to_whole_milliseconds_in_integers(microseconds: int, minutes: int) -> None:
    when = (EPOCH + timedelta(microseconds=microseconds)).astimezone(timezone(timedelta(minutes=minutes)))
    assert time_ms(when) == microseconds // 1000
    assert time_ms(microseconds) == microseconds


def test_text_and_integers_name_the_same_time() -> None:
    for text in ("2026-03-02T02:00:00.007Z", "2026-03-02T03:00:00.0079+01:00", "2026-03-01T20:30:00.007999-05:30"):
        decoded = PREDICTION_DECODER.decode(_json(PREDICTION, predicted_at=f'"{text}"')).predicted_at
        assert time_ms(decoded) == parse_ms(text) == 1_772_416_800_007


@given(st.integers(0, MAX_MS))
def test_times_are_written_as_they_are_read(ms: int) -> None:
    assert parse_ms(rfc3339(ms)) == parse_ms(ms) == ms
    assert rfc3339(ms) == (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def test_times_before_1970_are_rounded_down_too() -> None:
    assert to_ms(EPOCH - timedelta(microseconds=1)) == -1
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"
    assert rfc3339(-62_135_596_800_000) == "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("2026-03-02T02:00:00", "no offset"),
        ("2026-03-02", "not RFC 3339"),
        ("2026-W10-1T00:00:00Z", "not RFC 3339"),
        ("", "not RFC 3339"),
        ("9999-01-01T00:00:00Z", "outside"),
        ("1969-12-31T23:59:59Z", "outside"),
        (-1, "outside"),
        (MAX_MS + 1, "outside"),
        (True, "neither"),
        (1.5, "neither"),
        (None, "neither"),
    ],
)
def test_a_time_that_is_none_is_refused_with_its_fault(value: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_ms(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'{"at":5}',
        b'{"at":"2026-03-02T02:00:00"}',
        b'{"at":"9999-01-01T00:00:00Z"}',
        b'{"at":"2026-03-02T02:00:00Z","ends_epoch":false,"end_offsets":{"x":-1}}',
        b'{"at":"2026-03-02T02:00:00Z","ends_epoch":false,"end_offsets":{"x":9223372036854775808}}',
        b'{"at":"2026-03-02T02:00:00Z","ends_epoch":false,"end_offsets":{"x":1.5}}',
        b'{"at":"2026-03-02T02:00:00Z","end_offsets":{},"ends_epoch":true,"mode":"fast"}',
        b'{"at":"2026-03-02T02:00:00Z","end_offsets":{},"ends_epoch":1}',
        b'{"at":"2026-03-02T02:00:00Z","ends_epoch":true}',
        b'{"at":"2026-03-02T02:00:00Z","end_offsets":{}}',
        b'{"at":"2026-03-02T02:00:00Z","line":true,"barrier":{}}',
        b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_tick_that_cannot_be_read_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - which of them is of no interest to the lane
        decode_tick(value, 0)
    assert str(caught.value)
