"""Bounds of outputs and commands, one way to write JSON, placement by key."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import given
from hypothesis import strategies as st

from schemas import deadletters
from schemas.catalogue import CE_HEADERS, FAMILIES, records
from schemas.common import ModelId, ModelIdOrAll, Name, ce_headers, encode, uuid5
from schemas.partitioning import murmur2, partition_for
from schemas.snapshots import DriftSummary, MetricSnapshot
from stream_app.kafka.topics import Topics

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


def _message(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def _read(content: dict[str, Any], record: type[msgspec.Struct]) -> msgspec.Struct:
    return msgspec.json.decode(json.dumps(content), type=record)


_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("metric-snapshot.closed", {"schema": "io.plumbline.metric-snapshot.v2"}),
    ("metric-snapshot.closed", {"id": "not-a-uuid"}),
    ("metric-snapshot.closed", {"at": "2026-03-02T02:00:00Z"}),
    ("metric-snapshot.closed", {"at": "2026-03-02T02:00:00.000Z\n"}),
    ("metric-snapshot.closed", {"model": "fraud"}),
    ("metric-snapshot.closed", {"model": "*"}),
    ("metric-snapshot.closed", {"model": "fraud:acme\n"}),
    ("metric-snapshot.closed", {"model_type": "fra ud"}),
    ("metric-snapshot.closed", {"date": "2026-3-1"}),
    ("metric-snapshot.closed", {"state": "shut"}),
    ("metric-snapshot.closed", {"revision": -1}),
    ("metric-snapshot.closed", {"predictions": 1.5}),
    ("metric-snapshot.closed", {"predictions": 2**63}),
    ("metric-snapshot.closed", {"accuracy": 1.1}),
    ("metric-snapshot.closed", {"narrow_interval_pct": 100.1}),
    ("metric-snapshot.closed", {"pr_auc": "0.5"}),
    ("metric-snapshot.closed", {"drift": {"p_value": 2}}),
    ("model-lifecycle.first", {"how": "guessed"}),
    ("model-lifecycle.first", {"active_version": None}),
    ("drift-event.statistical", {"verdict": "maybe"}),
    ("drift-event.statistical", {"severity": "LOW"}),
    ("drift-event.statistical", {"second_opinion": "none"}),
    ("drift-event.statistical", {"settings_hash": "xyz"}),
    ("alert.opened", {"escalation_level": 2}),
    ("alert.opened", {"revision": 0}),
    ("alert.opened", {"summary": "x" * 4_001}),
    ("training-command.train", {"command": "retrain"}),
    ("training-command.train", {"attempt": 0}),
    ("training-command.train", {"reply_partition": -1}),
    ("training-result.succeeded", {"model": "*"}),
    ("training-result.succeeded", {"status": "done"}),
    ("training-result.succeeded", {"training_samples": -1}),
    ("training-result.succeeded", {"candidate_metrics": {"pr_auc": "good"}}),
    ("operator-command.register", {"model": "fraud"}),
    ("operator-command.register", {"model": "fraud:acme\n"}),
    ("operator-command.register", {"command": "delete"}),
    ("operator-command.register", {"actor": ""}),
    ("operator-command.register", {"id": "x" * 129}),
    ("operator-command.register", {"arguments": []}),
    ("setting.model", {"key": "Auto Retrain"}),
    ("audit-record.refused", {"decision": "No!"}),
]


@pytest.mark.parametrize(("name", "changed"), _FAULTS, ids=lambda value: str(value)[:60])
def test_a_value_out_of_bounds_is_refused_and_its_field_named(name: str, changed: dict[str, Any]) -> None:
    record = records()[name.partition(".")[0]]
    good = _message(name)
    assert set(changed) <= set(good)
    _read(good, record)
    with pytest.raises(msgspec.ValidationError, match=re.escape(f"$.{next(iter(changed))}")):
        _read({**good, **changed}, record)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_without_a_field_it_must_have_is_refused(path: Path) -> None:
    record = records()[path.name.partition(".")[0]]
    good = _message(path.stem)
    for field in msgspec.structs.fields(record):
        if field.required:
            with pytest.raises(msgspec.ValidationError, match=f"`{field.encode_name}`"):
                _read({k: v for k, v in good.items() if k != field.encode_name}, record)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Name, ["a", "A.b-c_9", "x" * 128], ["", "a b", "a\n", "é", "x" * 129, "a:b"]),
        (ModelId, ["a:b", "a:global"], ["a", "a:", ":b", "a:b:c", "*", "a:b\n"]),
        (ModelIdOrAll, ["*", "a:b"], ["", "**", "*:b", "*\n"]),
    ],
)
def test_names_and_models_hold_nothing_but_what_the_contract_allows(kind: Any, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert msgspec.convert(text, kind) == text
    for text in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, kind)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=20,
    )
)
def test_the_same_content_always_gives_the_same_bytes(content: Any) -> None:
    raw = encode({"content": content})
    assert encode(json.loads(raw)) == raw
    assert json.loads(raw) == {"content": content}


def test_keys_are_sorted_on_every_level_and_unset_fields_are_absent() -> None:
    assert encode({"b": {"z": 1, "a": 2}, "a": [{"y": 1, "x": 2}]}) == b'{"a":[{"x":2,"y":1}],"b":{"a":2,"z":1}}'
    assert encode({"p": {11: 1, 2: 2}}) == b'{"p":{"11":1,"2":2}}'
    assert encode(DriftSummary(p_value=0.5)) == (
        b'{"is_degraded":null,"ks_statistic":null,"p_value":0.5,"performance_delta":null}'
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_never_written_as_null(number: float) -> None:
    for content in (DriftSummary(performance_delta=number), {"a": [{"b": number}]}, {"a": (1, number)}):
        with pytest.raises(ValueError, match="cannot be written as JSON"):
            encode(content)


def test_schema_names_agree_with_the_kinds_of_the_headers() -> None:
    for family in FAMILIES:
        if family.headers[:7] == CE_HEADERS:
            assert family.record is not None
            schema = next(f for f in msgspec.structs.fields(family.record) if f.name == "schema")
            assert schema.type.__args__ == (f"io.plumbline.{family.name}.v1",)
    assert MetricSnapshot in {family.record for family in FAMILIES}


def test_cloud_events_headers_are_those_of_the_catalogue() -> None:
    headers = ce_headers("alert", "id-1", "fraud:acme", 7, "/plumbline/app")
    assert tuple(name for name, _ in headers) == CE_HEADERS
    assert dict(headers)["ce_type"] == b"io.plumbline.alert.v1"
    assert dict(headers)["ce_time"] == b"1970-01-01T00:00:00.007Z"


def test_ids_depend_on_every_part_and_where_it_ends() -> None:
    assert uuid5("a", "b") == uuid5("a", "b")
    assert len({uuid5("a", "b"), uuid5("ab"), uuid5("b", "a"), uuid5("a", "b", "")}) == 4
    # RFC 9562 section 5.5 manually: SHA-1 of namespace and name, with version 5 and the variant set
    space = hashlib.sha1(uuid.NAMESPACE_URL.bytes + b"urn:plumbline").digest()[:16]
    space = bytes([*space[:6], space[6] & 15 | 80, space[7], space[8] & 63 | 128, *space[9:]])
    digest = hashlib.sha1(space + b"alert\x1ffraud").digest()[:16]
    digest = bytes([*digest[:6], digest[6] & 15 | 80, digest[7], digest[8] & 63 | 128, *digest[9:]])
    assert uuid5("alert", "fraud").replace("-", "") == digest.hex()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(key: bytes, value: int) -> None:
    assert murmur2(key) == value & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 512))
def test_placement_agrees_with_aiokafka(key: bytes, partitions: int) -> None:
    assert partition_for(key, partitions) == (murmur2_of_aiokafka(key) & 0x7FFFFFFF) % partitions


def test_topics_and_catalogue_agree() -> None:
    topics = Topics("", "", 12, 4)
    families = {family.topic: family for family in FAMILIES}
    public = topics.specs()
    assert len(public) > 5
    for spec in public:
        family = families[spec.name]
        assert spec.config["cleanup.policy"] == ",".join(family.cleanup)
        assert spec.partitions == {"inputs": 12, "models": 4, "one": 1}[family.placed]
        if family.retention_ms is not None:
            assert spec.config["retention.ms"] == str(family.retention_ms)


#: Given by the labels lanes' bound on names.
_BY_NUMBER = ("too_many_models",)


def test_every_reason_that_a_dead_letter_gives_is_explained_and_documented() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "stream_app").rglob("*.py"))
    documented = (ROOT / "docs" / "operations" / "README.md").read_text()
    for reason, meaning in deadletters.REASONS.items():
        given = f'"{reason}"' in sources or reason.upper() in sources or reason in _BY_NUMBER
        assert given, f"nothing gives {reason}"
        assert f"`{reason}`" in documented
        assert meaning
    assert {reason for reason in _reasons_given() if reason not in deadletters.REASONS} == set()


def _reasons_given() -> Iterator[str]:
    """Literal reasons in calls that refuse a record: where the argument stands, by the function's name."""
    place = {"_refuse": 2, "dead_letter": 2, "BadName": 0}
    for path in (ROOT / "stream_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                argument = node.args[place[name]] if name in place and len(node.args) > place[name] else None
                if isinstance(argument, ast.Constant):
                    yield str(argument.value)
