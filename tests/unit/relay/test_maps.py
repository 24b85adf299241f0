"""Map files: nonsense is refused by its key; records are mapped whole or refused with field and path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.errors import Incompatible
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import load_map
from stream_app.ingest.relay.source import Unmappable
from tests.unit.relay.records import record

OUTCOME = 'fields = { prediction_id = "value.id", actual = "value.y", observed_at = "value.at" }'
FIELDS = """
[emit.fields]
prediction_id = "{value.id}{part}"
model_type = "'churn'"
model_version = "value.version ?? 'v1'"
predicted_at = "value.at"
score = "item.p ?? value.p"
tenant_id = "value.tenant"
features = "joined ?? value.x"
"""
LIST = '[[emit]]\nto = "predictions"\neach = "value.rows"' + FIELDS
JOIN = (
    '[join]\nid = "header.id"\nhold = { "header.kind" = "request" }\nkeep = "value.x"\nwithin = 10\n'
    '[[emit]]\nto = "predictions"\nwhen = { "header.kind" = ["response", "answer"] }' + FIELDS
)


def mapper(folder: Path, text: str, **parameters: Any) -> Mapper:
    path = folder / "test.toml"
    path.write_text(text)
    return Mapper(load_map(str(path), parameters), 4_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emits = 1", "unknown key emits, did you mean emit?"),
        ("", "emit: a map needs at least one [[emit]]"),
        ('[[emit]]\nto = "ml.predictions"', "emit[0].to is 'ml.predictions': predictions or outcomes"),
        ('[[emit]]\nto = "outcomes"\nwehn = {}\n' + OUTCOME, "unknown key emit[0].wehn, did you mean when?"),
        ('[[emit]]\nto = "outcomes"', "emit[0] has either fields or copy"),
        ('[[emit]]\nto = "outcomes"\ncopy = "value"\n' + OUTCOME, "emit[0] has either fields or copy"),
        ('[[emit]]\nto = "outcomes"\nfields = { scoer = "value.p" }', "unknown key emit[0].fields.scoer"),
        ('[[emit]]\nto = "outcomes"\nfields = { actual = "value.y" }', "emit[0].fields.prediction_id is missing"),
        ('[[emit]]\nto = "outcomes"\nwhen = "x"\n' + OUTCOME, "emit[0].when is a table"),
        (
            '[[emit]]\nto = "outcomes"\nwhen = { "value.x" = { presnt = true } }\n' + OUTCOME,
            "presnt, did you mean present",
        ),
        ('[[emit]]\nto = "outcomes"\nwhen = { "valu.x" = 1 }\n' + OUTCOME, "emit[0].when: valu.x: a path begins with"),
        ('[let]\nx = "value.a | nope"\n[[emit]]\nto = "outcomes"\n' + OUTCOME, "let.x: 'value.a | nope'"),
        ('[join]\nid = "key"\n[[emit]]\nto = "outcomes"\n' + OUTCOME, "join.hold is missing"),
        (JOIN.replace("within = 10", "within = 0"), "join.within is a number of records"),
        (
            '[parameters]\nm = { required = "nobody knows it" }\n[[emit]]\nto = "outcomes"\n' + OUTCOME,
            "--set m=…: nobody",
        ),
        ("x = [", "test.toml"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused_by_the_name_of_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Incompatible) as caught:
        mapper(tmp_path, text)
    assert said in str(caught.value)


def test_a_parameter_that_a_map_does_not_have_is_refused() -> None:
    with pytest.raises(Incompatible, match=r"modeltype is no parameter of this map, did you mean model_type\?"):
        load_map("kserve-v1", {"modeltype": "x"})
    with pytest.raises(Incompatible, match=r"'kserve-v3' is no shipped map and no file, did you mean kserve-v2\?"):
        load_map("kserve-v3")


def test_rows_of_a_list_become_predictions_of_their_own_and_one_alone_keeps_the_id(tmp_path: Path) -> None:
    one = mapper(tmp_path, LIST)
    made = one.map(record({"id": "r", "at": 5, "rows": [{"p": 0.1}, {"p": 0.9}]}))
    assert [item.key for item in made] == [b"r-0", b"r-1"]
    assert [orjson.loads(item.value)["score"] for item in made] == [0.1, 0.9]
    assert [item.key for item in one.map(record({"id": "r", "at": 5, "rows": [{"p": 0.1}]}))] == [b"r"]
    assert one.map(record({"id": "r", "at": 5, "rows": []})) == []


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"rows": [{"p": 0.1}, {"q": 1}]}, "unmappable", "item 1 of 2, score: nothing at item.p ?? value.p"),
        ({"rows": [{"p": 1.5}]}, "unmappable", "score: item.p ?? value.p: Expected `float` <= 1.0"),
        ({"rows": [{"p": "0.5"}]}, "unmappable", "score: item.p ?? value.p: Expected `float`, got `str`"),
        ({"rows": {"p": 1}}, "unmappable", "each: value.rows is no list"),
        ({"rows": None}, "unmappable", "each: value.rows is missing"),
        ({"id": None}, "unmappable", "prediction_id: nothing at {value.id}{part}"),
        ({"id": "é" * 65}, "unmappable", "prediction_id: {value.id}{part} is longer than 128 bytes"),
        ({"at": "2026-03-02T02:00:00"}, "unmappable", "predicted_at: value.at: predicted_at is a time without"),
        ({"tenant": "global"}, "bad_name", "tenant_id: value.tenant is 'global', which is no name"),
        ({"version": "a b"}, "bad_name", "model_version: value.version ?? 'v1' is 'a b', which is no name"),
        ({"x": [1, 2]}, "unmappable", "features: joined ?? value.x is no object"),
        ({"x": {"a": 2**70}}, "invalid_json", "value: not JSON"),
        ({"x": {"blob": "y" * 5_000}}, "oversized", "max_record_bytes is 4000"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_mapped_is_refused_whole_with_its_field_and_path(
    tmp_path: Path, changes: dict[str, Any], reason: str, said: str
) -> None:
    value = {"id": "r", "at": 5, "rows": [{"p": 0.1}], **changes}
    raw = orjson.dumps(value) if changes != {"x": {"a": 2**70}} else b'{"x": {"a": 1e999}}'
    with pytest.raises(Unmappable) as caught:
        mapper(tmp_path, LIST).map(record(raw))
    assert caught.value.reason == reason
    assert said in str(caught.value)


def test_a_response_finds_its_request_by_offsets_alone(tmp_path: Path) -> None:
    def ask(one: Mapper, offset: int, name: str) -> Any:
        (made,) = one.map(record({"id": name, "at": 5, "p": 0.5}, offset, id=name, kind="response"))
        return orjson.loads(made.value).get("features")

    one = mapper(tmp_path, JOIN)
    for offset, name in enumerate("abc"):
        assert one.map(record({"x": {"n": offset}}, offset, id=name, kind="request")) == []
    assert ask(one, 3, "b") == {"n": 1}
    assert ask(one, 10, "a") == {"n": 0}
    assert ask(one, 11, "a") is None, "the request stands eleven offsets before it"
    assert ask(one, 11, "unknown") is None
    again = mapper(tmp_path, JOIN)
    for offset, name in enumerate("abc"):
        again.remember(record({"x": {"n": offset}}, offset, id=name, kind="request"))
    assert again.look_back == 10
    assert ask(again, 12, "c") == {"n": 2}, "a relay that starts again finds what it would have found"


def test_records_that_have_the_right_shape_keep_their_bytes() -> None:
    raw = b'{ "prediction_id":"p", "actual":1, "observed_at":"2026-03-02T02:00:00Z", "more":"kept" }'
    (made,) = Mapper(load_map("re-key"), 4_000).map(record(raw, key=b"other"))
    assert made == ("outcomes", b"p", raw)
