"""Labels, ids and integers on their way through maps: what is none is a fault, and nothing loses a digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import load_map, shipped
from stream_app.ingest.relay.source import Unmappable
from tests.unit.relay.records import evaluate, record

NO_LABELS: tuple[Any, ...] = (
    "",
    "  ",
    "\n",
    "nan",
    "NaN",
    "None",
    "null",
    "NULL",
    "N/A",
    "<NA>",
    "undefined",
    None,
    [],
    {},
    [1, 0],
    [[]],
)
RESPONSE = {"ce_type": "org.kubeflow.serving.inference.response"}


def made(name: str, value: Any, headers: dict[str, str] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """What a shipped map makes of one record."""
    mapper = Mapper(load_map(name, parameters), 1 << 20)
    return [orjson.loads(item.value) for item in mapper.map(record(value, timestamp=7, **(headers or {})))]


def fault(name: str, value: Any, headers: dict[str, str] | None = None, **parameters: Any) -> str:
    with pytest.raises(Unmappable) as caught:
        made(name, value, headers, **parameters)
    return str(caught.value)


def truth(data: Any, encoding: str = "CSV", event: Any = "g") -> dict[str, Any]:
    return {"groundTruthData": {"data": data, "encoding": encoding}, "eventMetadata": {"eventId": event}}


@pytest.mark.parametrize("data", NO_LABELS)
@pytest.mark.parametrize("wanted", [1, 0, "fraud", True])
def test_what_is_no_label_is_a_fault_whatever_the_class(data: Any, wanted: Any) -> None:
    assert "actual: " in fault("sagemaker-ground-truth", truth(json.dumps(data), "JSON"), **{"class": wanted})
    if isinstance(data, str):
        fault("sagemaker-ground-truth", truth(data), **{"class": wanted})
    if data is not None:  # and in maps of one's own
        with pytest.raises(Unmappable, match="is no label"):
            evaluate("value.y | equals($c)", {"y": data}, {"c": wanted})


@pytest.mark.parametrize(
    ("data", "encoding", "wanted", "actual"),
    [
        ("1", "CSV", 1, True), ("1.0\n", "CSV", 1, True), (" 1 ", "CSV", 1, True), ("True", "CSV", 1, True),
        ("0", "CSV", 1, False), ("0.0", "CSV", 1, False), ("false", "CSV", 1, False), ("2", "CSV", 1, False),
        ("-1", "CSV", 1, False), ("0", "CSV", 0, True), ("False", "CSV", 0, True), ("true", "JSON", 1, True),
        ("false", "JSON", 1, False), ("[1]", "JSON", 1, True), ("[[1]]", "JSON", 1, True), ("[0]", "JSON", 1, False),
        ('"fraud"', "JSON", "fraud", True), ("fraud", "CSV", "fraud", True), ("legit", "CSV", "fraud", False),
        ("1", "CSV", "1", True), ("1", "CSV", True, True), ("yes", "CSV", "yes", True),
    ],
)  # fmt: skip
def test_a_label_is_compared_with_the_class_in_any_form(data: str, encoding: str, wanted: Any, actual: bool) -> None:
    (row,) = made("sagemaker-ground-truth", truth(data, encoding), **{"class": wanted})
    assert row["actual"] is actual


@pytest.mark.parametrize(
    ("data", "wanted"), [("abc", 1), ("yes", 1), ("0.5", 1), ("1e999", 1), ("1", "fraud"), ("true", "fraud")]
)
def test_what_cannot_be_a_label_beside_the_class_is_a_fault(data: str, wanted: Any) -> None:
    assert "is no label beside" in fault("sagemaker-ground-truth", truth(data), **{"class": wanted})


def test_several_labels_for_one_id_and_labels_in_objects_are_faults() -> None:
    for data, encoding in (("1\n0\n1", "CSV"), ("1,0", "CSV"), ('{"label": 1}', "JSON")):
        assert "is no label" in fault("sagemaker-ground-truth", truth(data, encoding))


@given(st.integers(-(10**40), 10**40), st.integers(1, 9))
def test_integers_of_any_length_are_ids_without_losing_a_digit(number: int, add: int) -> None:
    for text in ("{value.id}", "value.id | text", "value.missing ?? value.id | text", "{value.id | integer}"):
        assert str(evaluate(text, b'{"id": %d}' % number)) == str(number)
        assert evaluate(text, b'{"id": %d}' % number) != evaluate(text, b'{"id": %d}' % (number + add))
    assert evaluate("value.text | json | at('id')", {"text": f'{{"id": {number}}}'}) == number
    assert evaluate("value.text | integer", {"text": str(number)}) == number
    assert evaluate("value.id | equals($n)", b'{"id": %d}' % number, {"n": number + add}) is False


def test_features_keep_integers_that_are_longer_than_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        '[[emit]]\nto = "predictions"\n[emit.fields]\nprediction_id = "value.id"\nmodel_type = "\'churn\'"\n'
        'model_version = "\'v1\'"\npredicted_at = 5\nscore = 0.5\nfeatures = "value.x"\n'
    )
    (item,) = Mapper(load_map(str(path)), 4_000).map(record(b'{"id": "p", "x": {"a": %d}}' % 2**70))
    assert json.loads(item.value)["features"] == {"a": 2**70}


def test_samples_for_a_check_keep_every_digit_too(tmp_path: Path) -> None:
    from stream_app.ingest.relay.samples import samples

    path = tmp_path / "s.jsonl"
    path.write_text('{"timestamp": 1, "value": {"id": 123456789012345678901234567891}}\n')
    (sample,) = samples(path)
    assert b"123456789012345678901234567891" in (sample.value or b"")


BLANK: tuple[Any, ...] = ("", "   ", " " * 20, None, "null", "None", "nan")


def table(**ids: Any) -> dict[str, Any]:
    return {
        **ids, "timestamp_ms": 5, "request_time": "2026-03-02T00:00:00Z", "model_name": "churn",
        "request_metadata": {"model_name": "churn", "model_version": "3"}, "request": "{}",
        "response": json.dumps({"predictions": [0.1, 0.9]}),
    }  # fmt: skip


def capture(output: str, given: str | None = None, encoding: str = "CSV", **event: Any) -> dict[str, Any]:
    data = {"endpointOutput": {"data": output, "encoding": encoding}}
    if given is not None:
        data["endpointInput"] = {"data": given, "encoding": "JSON" if given[:1] in "[{" and given else "CSV"}
    return {"captureData": data, "eventMetadata": {"eventId": "e", "inferenceTime": "2026-03-02T00:00:00Z", **event}}


@pytest.mark.parametrize("blank", BLANK)
def test_a_blank_id_falls_back_to_the_next_and_is_refused_where_there_is_none(blank: Any) -> None:
    def ids(name: str, value: Any, **parameters: Any) -> list[str]:
        return [row["prediction_id"] for row in made(name, value, **parameters)]

    databricks = table(client_request_id=blank, databricks_request_id="d-1")
    assert ids("databricks-inference-table", databricks) == ["d-1-0", "d-1-1"]
    assert ids("mlflow-inference-table", table(client_request_id=blank, request_id="d")) == ["d-0", "d-1"]
    assert ids("sagemaker-capture", capture("0.5", inferenceId=blank), model_type="churn") == ["e"]
    nothing = "prediction_id: nothing at"
    assert nothing in fault("databricks-inference-table", table(client_request_id=blank, databricks_request_id=blank))
    assert nothing in fault("mlflow-inference-table", table(request_id=blank))
    assert nothing in fault("sagemaker-capture", capture("0.5", inferenceId=blank, eventId=blank), model_type="churn")
    assert nothing in fault("sagemaker-ground-truth", truth("1", event=blank))
    for name in ("kserve-v1", "kserve-v2"):
        body = {"predictions": [0.5], "outputs": [{"name": "p", "shape": [1], "datatype": "FP64", "data": [0.5]}]}
        envelope = {"specversion": "1.0", "type": RESPONSE["ce_type"], "id": blank, "data": body}
        assert nothing in fault(name, {**envelope, "inferenceservicename": "churn", "time": "2026-03-02T00:00:00Z"})


def test_an_id_is_made_of_text_and_whole_numbers_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    for expression in ("{value.id}", "value.id | text", "value.none ?? value.id | text", "{value.none ?? value.id}-x"):
        path.write_text(
            f'[[emit]]\nto = "outcomes"\n[emit.fields]\nprediction_id = "{expression}"\n'
            "actual = true\nobserved_at = 5\n"
        )
        mapper = Mapper(load_map(str(path)), 4_000)
        for good in ("a", 0, 12, 2**80, "0"):
            (item,) = mapper.map(record(b'{"id": %s}' % json.dumps(good).encode()))
            assert item.key.decode().removesuffix("-x") == str(good)
        for bad in (12.0, 0.5, True, [1], {"a": 1}):
            with pytest.raises(Unmappable, match="neither text nor a whole number"):
                mapper.map(record({"id": bad}))
        for blank in BLANK:
            with pytest.raises(Unmappable, match="nothing at"):
                mapper.map(record({"id": blank}))


def test_a_key_that_is_no_text_is_named() -> None:
    from stream_app.ingest.relay.expressions import Names, compile_expression
    from stream_app.ingest.relay.source import Source

    source = Source(0)
    source.load(record({}, key=b"\xff\xfe"))
    with pytest.raises(Unmappable, match="no text in UTF-8"):
        compile_expression("key", Names({})).evaluate(source)


@pytest.mark.parametrize(
    ("output", "given", "scores"),
    [
        ("0.1,0.9", "1,2\n3,4\n", [0.1, 0.9]),
        ("0.1,0.9\n", "1,2\n", [0.9]),
        ("0.1\n0.9\n", "1,2\n3,4", [0.1, 0.9]),
        ("0.1,0.9,0.3", "1\n2\n3", [0.1, 0.9, 0.3]),
        ("0.2,0.8\n0.6,0.4", "1\n2", [0.8, 0.4]),
        ("0.1,0.9", None, [0.9]),
        ("0.1,0.9", '{"instances": [[1], [2]]}', [0.1, 0.9]),
        ("0.1,0.9", '{"instances": [[1]]}', [0.9]),
        ("[0.1, 0.9]", "1,2", [0.9]),
        ("[0.1, 0.9]", "1\n2", [0.1, 0.9]),
        ("[[0.1, 0.9]]", "1\n2", [0.1, 0.9]),
        ("0.7", "1,2", [0.7]),
        ('{"predictions": [0.1, 0.2]}', '{"instances": [{"a": 1}, {"a": 2}]}', [0.1, 0.2]),
    ],
)
def test_results_of_an_endpoint_are_counted_against_its_input(output: str, given: str | None, scores: Any) -> None:
    value = capture(output, given, "JSON" if output[0] in "[{" else "CSV")
    assert [row["score"] for row in made("sagemaker-capture", value, model_type="churn")] == scores


@pytest.mark.parametrize(
    ("output", "given"),
    [("0.1,0.9,0.3", "1\n2"), ("0.1\n0.9\n0.3", "1\n2"), ("0.1", "1\n2"), ("[[0.1], [0.2]]", "1,2"), ("[]", "1")],
)
def test_results_that_do_not_fit_the_input_are_a_fault(output: str, given: str) -> None:
    value = capture(output, given, "JSON" if output[0] == "[" else "CSV")
    assert "of the input" in fault("sagemaker-capture", value, model_type="churn")


def _texts(*answers: Any) -> dict[str, Any]:
    given: Any = ["a text"] * len(answers) if len(answers) > 1 else "a text"
    return capture(orjson.dumps(list(answers)).decode(), orjson.dumps({"inputs": given}).decode(), "JSON")


def test_a_text_classifiers_score_is_that_of_its_label() -> None:
    yes, no = {"label": "POSITIVE", "score": 0.75}, {"label": "NEGATIVE", "score": 0.75, "index": 0}
    for parameters in ({"class": "POSITIVE"}, {"class": 1, "classes": "NEGATIVE,POSITIVE"}):
        rows = made("sagemaker-capture", _texts(yes, no), model_type="mood", **parameters)
        assert [(row["score"], row["predicted"]) for row in rows] == [(0.75, True), (0.25, False)]
    # all classes with their scores, in the order of likelihood
    whole = [{"label": "b", "score": 0.5}, {"label": "a", "score": 0.3}, {"label": "c", "score": 0.2}]
    rows = made("sagemaker-capture", _texts(whole, whole), model_type="mood", **{"class": "a"})
    assert [(row["score"], row["predicted"]) for row in rows] == [(0.3, False)] * 2


@pytest.mark.parametrize(
    ("answer", "parameters"),
    [
        ({"label": "b", "score": 0.4}, {"class": "a"}),
        ({"label": "b", "score": 0.9}, {"class": "a", "classes": "a,b,c"}),
        ({"label": "b", "score": 0.9}, {"class": 1}),
        ({"label": None, "score": 0.9}, {"class": "a"}),
        ({"label": "b", "score": "high"}, {"class": "b"}),
        ({"label": ["a", "b"], "score": 0.9}, {"class": "a"}),
        ({"label": {"a": 1}, "score": 0.9}, {"class": "a"}),
        ([{"label": ["a", "b"], "score": 0.9}, {"label": "b", "score": 0.1}], {"class": "b"}),
        ([{"label": "a", "score": 0.9}, {"label": "a", "score": 0.1}], {"class": "a"}),
        ([{"label": "a", "score": 0.9}, {"label": "b"}], {"class": "a"}),
    ],
)
def test_a_label_that_says_nothing_of_the_class_is_a_fault(answer: Any, parameters: dict[str, Any]) -> None:
    assert "score: " in fault("sagemaker-capture", _texts(answer), model_type="mood", **parameters)


def _v1(answer: Any) -> tuple[str, Any]:
    return "kserve-v1", {"predictions": [answer]}


def _v2(answer: Any) -> tuple[str, Any]:
    kind = {bool: "BOOL", int: "INT64", str: "BYTES"}.get(type(answer), "FP64")
    return "kserve-v2", {"outputs": [{"name": "y", "shape": [1], "datatype": kind, "data": [answer]}]}


@pytest.mark.parametrize("body", [_v1, _v2])
@pytest.mark.parametrize(
    ("answer", "parameters", "score"),
    [
        (0, {"class": 0}, 1), (1, {"class": 0}, 0), (2, {"class": 0}, 0), (True, {"class": 0}, 0),
        (False, {"class": 0}, 1), (1, {"class": 1}, 1), (0, {"class": 1}, 0), (2, {"class": 2}, 1),
        ("yes", {"class": "yes"}, 1), ("no", {"class": "yes"}, 0), ("yes", {"class": 1, "classes": "no,yes"}, 1),
        ("no", {"class": 0, "classes": "no,yes"}, 1), (1, {"class": "yes", "classes": "no,yes"}, 1),
        (1, {"class": "no", "classes": "no,yes"}, 0), ("1", {"class": 1}, 1), ("0", {"class": 0}, 1),
        (1.0, {"class": 0, "answers": "labels"}, 0), (0.0, {"class": 0, "answers": "labels"}, 1),
        (0.25, {"class": 1}, 0.25), (1.0, {"class": 1}, 1), (1, {"class": 1, "answers": "probabilities"}, 1),
    ],
)  # fmt: skip
def test_a_model_that_answers_with_labels_is_scored_by_the_class_that_was_chosen(
    body: Any, answer: Any, parameters: dict[str, Any], score: float
) -> None:
    name, value = body(answer)
    headers = {**RESPONSE, "ce_id": "k", "ce_time": "2026-03-02T00:00:00Z", "ce_inferenceservicename": "churn"}
    (row,) = made(name, value, headers, **parameters)
    assert row["score"] == score
    labels = parameters.get("answers") != "probabilities" and (type(answer) is not float or "answers" in parameters)
    assert row.get("predicted") == (bool(score) if labels else None)


@pytest.mark.parametrize(
    ("answer", "parameters"),
    [("yes", {"class": 0}), ("maybe", {"class": "yes", "classes": "no,yes"}), (3, {"class": 1, "classes": "no,yes"}),
     (1, {"class": "yes"}), ("", {"class": 1}), ("nan", {"class": 1}), (None, {"class": 1})],
)  # fmt: skip
def test_an_answer_that_is_no_label_beside_the_class_is_a_fault(answer: Any, parameters: dict[str, Any]) -> None:
    headers = {**RESPONSE, "ce_id": "k", "ce_time": "2026-03-02T00:00:00Z", "ce_inferenceservicename": "churn"}
    assert "score: " in fault("kserve-v1", {"predictions": [answer]}, headers, **parameters)


def test_whole_numbers_among_fractions_are_probabilities() -> None:
    headers = {**RESPONSE, "ce_id": "k", "ce_time": "2026-03-02T00:00:00Z", "ce_inferenceservicename": "churn"}
    assert [row["score"] for row in made("kserve-v1", {"predictions": [0, 0.5, 1]}, headers, **{"class": 0})] == [
        0, 0.5, 1,
    ]  # fmt: skip
    alone = made("kserve-v1", {"predictions": [[0], [0.5], [1]]}, headers, **{"class": 0})
    assert [(row["score"], row.get("predicted")) for row in alone] == [(0, None), (0.5, None), (1, None)]
    lines = made("sagemaker-capture", capture("1\n0.5\n0\n", "1\n2\n3\n"), model_type="churn", **{"class": 0})
    assert [(row["score"], row.get("predicted")) for row in lines] == [(1, None), (0.5, None), (0, None)]
    tensor = {"name": "p", "shape": [2], "datatype": "FP32", "data": [0, 1]}
    assert [row["score"] for row in made("kserve-v2", {"outputs": [tensor]}, headers, **{"class": 0})] == [0, 1]


def test_every_shipped_map_with_scores_can_be_told_what_its_answers_are() -> None:
    for name in shipped():
        needed = {"model_type": "churn"} if name == "sagemaker-capture" else {}
        parameters = load_map(name, needed).parameters
        assert ("answers" in parameters) == ("threshold" in parameters)
