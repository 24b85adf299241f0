"""Messages of every record, kept as bytes: a release that reads or writes them otherwise breaks its users."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schemas.catalogue import records
from schemas.common import encode

FOLDER = Path(__file__).parent
MESSAGES = sorted(FOLDER.glob("*.json"))


def _record(path: Path) -> type[msgspec.Struct]:
    return records()[path.name.partition(".")[0]]


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_a_golden_message_decodes_and_encodes_to_the_same_bytes(path: Path) -> None:
    raw = path.read_bytes().removesuffix(b"\n")
    assert encode(msgspec.json.decode(raw, type=_record(path))) == raw


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_fields_of_a_later_release_are_passed_over(path: Path) -> None:
    raw = path.read_bytes().removesuffix(b"\n")
    later = raw[:-1] + (b"," if raw != b"{}" else b"") + b'"added_later":{"a":[1,null]}}'
    assert encode(msgspec.json.decode(later, type=_record(path))) == raw


def test_every_record_has_a_golden_message() -> None:
    assert {path.name.partition(".")[0] for path in MESSAGES} == set(records())


def test_every_field_stands_in_a_golden_message() -> None:
    seen: dict[str, set[str]] = {}
    for path in MESSAGES:
        seen.setdefault(path.name.partition(".")[0], set()).update(msgspec.json.decode(path.read_bytes()))
    wanted = {name: {field.encode_name for field in msgspec.structs.fields(r)} for name, r in records().items()}
    assert {name: fields - seen[name] for name, fields in wanted.items() if fields - seen[name]} == {}
