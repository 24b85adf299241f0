"""The generated reference is that of the structs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.catalogue import FAMILIES, records
from schemas.common import NAME
from schemas.generate import TARGET, asyncapi, documents, write


def test_the_committed_reference_is_what_the_structs_say() -> None:
    stale = [name for name, content in documents().items() if (TARGET / name).read_bytes() != content]
    assert stale == [], "run python -m schemas.generate"
    assert {path.name for path in TARGET.iterdir()} == set(documents()), "files that nothing generates"


def test_generating_again_changes_nothing_and_mends_what_was_changed(tmp_path: Path) -> None:
    assert sorted(write(tmp_path)) == sorted(documents())
    assert write(tmp_path) == []
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "notes.json").write_text("somebody's")
    assert write(tmp_path) == ["asyncapi.json"]
    assert (tmp_path / "notes.json").read_text() == "somebody's"


def test_every_record_has_a_schema_of_its_own_with_bounds() -> None:
    for name in records():
        schema = json.loads(documents()[f"{name}.schema.json"])
        assert schema["title"] == name
        assert schema["type"] == "object"
        assert schema["description"]
        assert len(schema["properties"]) > 2
    prediction = json.loads(documents()["prediction.schema.json"])["properties"]
    assert (prediction["score"]["minimum"], prediction["score"]["maximum"]) == (0, 1)
    assert prediction["model_type"]["pattern"].startswith(f"^{NAME}")
    assert "128 bytes" in prediction["prediction_id"]["description"]


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = list(_references(document))
    assert len(found) > 40
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]
        assert place


def test_every_topic_is_a_channel_with_key_and_headers() -> None:
    document = asyncapi()
    assert set(document["channels"]) == {family.topic for family in FAMILIES}
    for family in FAMILIES:
        message = document["components"]["messages"][family.topic]
        assert message["bindings"]["kafka"]["key"]["description"]
        assert set(message.get("headers", {}).get("required", [])) == set(family.headers)
        assert document["channels"][family.topic]["address"] == f"ml.{family.topic}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
