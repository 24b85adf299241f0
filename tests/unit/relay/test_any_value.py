"""Whatever stands in a record, a function makes something of it or says why not: what escaped would stop the relay."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.ingest.relay.expressions import Names, compile_expression
from stream_app.ingest.relay.functions import FUNCTIONS
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import load_map
from stream_app.ingest.relay.source import Source, Unmappable
from tests.unit.relay.records import evaluate, record
from tests.unit.relay.test_labels import capture, fault, made, table

LONG = "1" * 5_000
FIELD = "a" * 200_000
#: Values that no endpoint should send, by the function that would meet them first.
VALUES: tuple[Any, ...] = (
    True, 0, -1, 2**70, 10**4_000, 0.5, 1e308, "", "x", "1", "nan", LONG, "²", FIELD, '"' + "a\n" * 9, "a\0b",
    "2026-03-02T10:00:00Z", "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00", [], {}, [[]], [{}], [1, [2]],
    [[1], 2], [None], ["a", 1], {"a": 1}, {"a": None}, {"a": [1]}, {"a": "b"}, {"label": [], "score": {}},
    [{"label": {}, "score": 0.5}] * 2, {"data": LONG, "encoding": "CSV"}, {"data": FIELD, "encoding": "CSV"},
    {"data": 1, "encoding": "CSV"}, {"data": [1], "encoding": "JSON"}, {"data": "@", "encoding": "BASE64"},
    {"data": "1", "encoding": []}, {"data": {"a": 1}, "encoding": "JSON", "observedContentType": 5},
    {"dataframe_split": {"columns": 5, "data": [[1]]}}, {"dataframe_split": {"columns": ["a"], "data": 5}},
    {"dataframe_split": {"columns": ["a"], "data": [5]}}, {"dataframe_split": {"columns": [["a"]], "data": [[5]]}},
    {"dataframe_split": {"columns": ["a"], "data": {"a": 1}}}, {"dataframe_split": None}, {"dataframe_records": 5},
    {"inputs": {"a": 1}}, {"inputs": {"a": "text"}}, {"inputs": {"a": None}}, {"inputs": {"a": [1], "b": [1, 2]}},
    {"shape": [0], "data": []}, {"shape": [10**10, 0], "data": []}, {"shape": [True], "data": [1]},
    {"shape": [1], "datatype": "FP32", "data": [2**2_000]}, {"shape": [2], "data": [{}, []]},
    [{"name": ["x"], "shape": [1], "data": [1]}], [5],
)  # fmt: skip
ARGUMENTS: tuple[Any, ...] = (None, True, 0, 5, 0.5, "", "x", "a,b", "s", "%", "../x", [], {}, -(10**6))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_uses_a_value_or_refuses_it(name: str) -> None:
    function = FUNCTIONS[name]
    for count in range(function.least, min(function.most, 2) + 1):
        written = f"value.v | {name}({', '.join(f'value.a{at}' for at in range(count))})"
        compiled = compile_expression(written, Names({}))
        for value, arguments in itertools.product(VALUES, itertools.product(ARGUMENTS, repeat=count)):
            row = {"v": value, **{f"a{at}": item for at, item in enumerate(arguments) if item is not None}}
            source = Source(0)
            source.load(record(json.dumps(row).encode()))
            with contextlib.suppress(Unmappable):
                compiled.evaluate(source)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["data", "encoding", "columns", "dataframe_split", "inputs", "shape", "label", "score"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(FUNCTIONS)), value=JSON, first=JSON, second=JSON)
def test_a_function_uses_anything_or_refuses_it(name: str, value: Any, first: Any, second: Any) -> None:
    function = FUNCTIONS[name]
    for count in range(function.least, min(function.most, 2) + 1):
        written = f"value.v | {name}({', '.join(('value.a', 'value.b')[:count])})"
        with contextlib.suppress(Unmappable):
            evaluate(written, json.dumps({"v": value, "a": first, "b": second}).encode())


def test_numbers_of_thousands_of_digits_go_nowhere() -> None:
    row = b'{"a": %d, "b": 2}' % (10**4_000)
    for written in ("{value.a}-{value.b}", "value.a | text", "value.a | id", "value.a + 1"):
        assert len(str(evaluate(written, row))) < 4_300
    with pytest.raises(Unmappable, match="thousands of digits"):
        evaluate("value.a * value.a", row)


def test_a_captured_field_may_be_as_long_as_its_record_and_a_number_of_any_length_is_text() -> None:
    (row,) = made("sagemaker-capture", capture("0.5", f"1,{FIELD}"), model_type="churn")
    assert row["score"] == 0.5
    assert row["features"]["x1"] == FIELD
    assert "score: " in fault("sagemaker-capture", capture(LONG), model_type="churn")


@pytest.mark.parametrize(
    ("request_", "features"),
    [
        ({"inputs": {"a": 1, "b": "text"}}, [{"a": 1, "b": "text"}]),
        ({"inputs": {"a": [1, 2], "b": [3, 4]}}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}, [{"a": 1, "b": 2}]),
        ({"dataframe_split": {"columns": [["a", "b"]], "data": [[1]]}}, [{"['a', 'b']": 1}]),
    ],
)
def test_requests_to_a_model_server_become_rows(request_: Any, features: list[dict[str, Any]]) -> None:
    value = {**table(client_request_id="r"), "request": json.dumps(request_)}
    value["response"] = json.dumps({"predictions": [0.5] * len(features)})
    assert [row["features"] for row in made("databricks-inference-table", value)] == features


@pytest.mark.parametrize(
    "request_",
    [
        {"dataframe_split": {"columns": 5, "data": [[1]]}}, {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, {"dataframe_split": {"columns": ["a"], "data": 5}},
        {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["a"], "data": ["x"]}}, {"inputs": {"a": [1], "b": [1, 2]}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["databricks-inference-table", "mlflow-inference-table"])
def test_a_request_that_is_no_table_is_a_fault(name: str, request_: Any) -> None:
    value = {**table(client_request_id="r"), "request": json.dumps(request_)}
    value["response"] = json.dumps({"predictions": [0.5]})
    said = fault(name, value)
    assert "dataframe_split " in said or "different lengths" in said


def test_a_copied_record_keeps_integers_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('[[emit]]\nto = "outcomes"\ncopy = "value.row"\n')
    mapper = Mapper(load_map(str(path)), 4_000)
    row = b'{"prediction_id": "p", "actual": true, "observed_at": 5, "note": %d}' % 2**70
    (item,) = mapper.map(record(b'{"row": %s}' % row))
    assert json.loads(item.value)["note"] == 2**70


@pytest.mark.parametrize(("text", "wanted"), [("1_0", 10), ("1_000", "1000")])
def test_underscores_make_no_labels_of_numbers(text: str, wanted: Any) -> None:
    with pytest.raises(Unmappable, match="is no label beside"):
        evaluate("value.y | equals($c)", {"y": text}, {"c": wanted})
