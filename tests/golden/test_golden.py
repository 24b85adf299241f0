"""Golden messages of every record, and the documents generated from the structs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from schemas import generate
from schemas.catalogue import records
from schemas.common import encode

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.glob("*.json"))
DOCUMENTS = HERE.parents[1] / "docs" / "reference" / "schemas"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_message_is_read_and_written_byte_for_byte(path: Path) -> None:
    record = records()[path.name.partition(".")[0]]
    value = path.read_bytes().rstrip(b"\n")
    assert encode(msgspec.json.decode(value)) == value, "golden messages are in the form encode() gives"
    again = json.loads(encode(msgspec.json.decode(value, type=record)))
    row = json.loads(value)
    assert {key: again[key] for key in row} == row


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_unknown_fields_are_ignored_and_required_ones_are_required(path: Path) -> None:
    record = records()[path.name.partition(".")[0]]
    row = json.loads(path.read_bytes())
    msgspec.json.decode(encode({**row, "brand_new": 1}), type=record)
    for name in [f.encode_name for f in msgspec.structs.fields(record) if f.required]:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(encode({k: v for k, v in row.items() if k != name}), type=record)


def test_every_record_has_a_golden_message() -> None:
    assert {path.name.partition(".")[0] for path in GOLDEN} == set(records())


def test_the_generated_documents_are_up_to_date() -> None:
    stored = {path.name: path.read_bytes() for path in DOCUMENTS.iterdir() if path.suffix == ".json"}
    wanted = {name: text if isinstance(text, bytes) else text.encode() for name, text in generate.documents().items()}
    assert stored == wanted, "run: python -m schemas.generate"
