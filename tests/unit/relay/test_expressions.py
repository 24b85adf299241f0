"""The map language: what expressions give, and what is refused while they are compiled."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.ingest.relay.expressions import BadExpression
from stream_app.ingest.relay.source import Unmappable
from tests.unit.relay.records import evaluate

VALUE = {
    "a": {"b": [{"c": 1}, {"c": 2}]}, "odd name": 3, "null": None, "empty": "", "n": "0.25", "p": [0.1, 0.7, 0.2],
    "d": {"cat": 0.9, "dog": 0.1}, "json": '{"x": [5]}', "b64": "eyJ4IjogWzVdfQ==", "csv": "a,1\n\nb,2\n",
    "s": "v1", "when": "02.03.2026 10:15",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("value.a.b[1].c", 2),
        ("value.a.b[-1].c", 2),
        ('value["odd name"]', 3),
        ("value.a.x.y", None),
        ("value.s[9]", None),
        ("value.null ?? value.a.b[0].c", 1),
        ("value.x ?? value.y ?? 'none of them'", "none of them"),
        ("value.x ?? false", False),
        ("header.content-type", "text/x"),
        ("header.Content-Type", "text/x"),
        ("timestamp", 7),
        ("key", None),
        ("topic", "app.events"),
        ("{value.s}-{value.a.b[0].c}", "v1-1"),
        ("100%/{value.s}", "100%/v1"),
        ("{value.s}-{value.missing}", None),
        ("'a literal {not a hole}'", "a literal {not a hole}"),
        ("$cut", 0.5),
        (0.5, 0.5),
        (True, True),
        ("-3", -3),
        ("1e-3", 0.001),
        ("value.n | number", 0.25),
        ("value.n | threshold($cut)", False),
        ("value.n | threshold(0.25)", True),
        ("(value.x ?? value.n) | number", 0.25),
        ("value.missing | number", None),
        ("value.p | argmax", 1),
        ("value.p | argmax('a, b, c')", "b"),
        ("value.d | argmax", "cat"),
        ("value.p | probability(2)", 0.2),
        ("value.p | probability('b', 'a,b,c')", 0.7),
        ("value.d | probability('dog')", 0.1),
        ("value.n | probability(1)", 0.25),
        ("value.p | argmax_is(1)", True),
        ("value.p | argmax_is('c', 'a,b,c')", False),
        ("value.n | number | argmax_is(1)", None),
        ("value.json | json | at('x') | at(0)", 5),
        ("value.b64 | base64 | text | json", {"x": [5]}),
        ("value.csv | csv", [["a", "1"], ["b", "2"]]),
        ("value.s | equals('v0', 'v1')", True),
        ("1 | equals('1')", True),
        ("'1.0' | equals(1)", True),
        ("'yes' | flag", True),
        ("'2026-03-02T02:00:00+01:00' | time", 1_772_413_200_000),
        ("'2026-03-02T02:00:00' | time('rfc3339', 'UTC')", 1_772_416_800_000),
        ("1772416800 | time('s')", 1_772_416_800_000),
        ("'1772416800.5' | time('s')", 1_772_416_800_500),
        ("1772416800123 | time('ms')", 1_772_416_800_123),
        ("1772416800123456 | time('us')", 1_772_416_800_123),
        ("1772416800123456789 | time('ns')", 1_772_416_800_123),
        ("value.when | time('%d.%m.%Y %H:%M', 'Europe/Berlin')", 1_772_442_900_000),
        ("value.p | features", {"x0": 0.1, "x1": 0.7, "x2": 0.2}),
        ("value.empty | nonempty", None),
        ("'a, b' | split(',')", ["a", "b"]),
    ],
)
def test_an_expression_gives(text: Any, wanted: Any) -> None:
    assert evaluate(text, VALUE, {"cut": 0.5}, **{"Content-Type": "text/x"}) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value.s | number", "value.s: 'v1' is not a number"),
        ("value.s | json", "value.s: 'v1' is not JSON"),
        ("value.s | base64", "value.s: 'v1' is not base64"),
        ("value.when | time", "value.when: time '02.03.2026 10:15' is not RFC 3339"),
        ("value.when | time('%d.%m.%Y %H:%M')", "has no offset: name its zone"),
        ("value.when | time('%d.%m.%Y %H:%M', 'Atlantis/North')", "'Atlantis/North' is no time zone"),
        ("value.p | probability('x', 'a,b,c')", "class 'x' is none of ['a', 'b', 'c']"),
        ("value.p | probability(5)", "class 5 is none of [0, 1, 2]"),
        ("value.a | probability(1)", "is not a number"),
        ("value.s | flag", "'v1' is neither true nor false"),
        ("value.a | rows", "is no tensor"),
        ("'nan' | number | threshold(1)", "not finite"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_path(text: str, said: str) -> None:
    with pytest.raises((Unmappable, BadExpression)) as caught:
        evaluate(text, VALUE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("valeu.a", "a path begins with one of value, data"),
        ("value.a | nmber", "'nmber' is no function"),
        ("value.a | at", "at is written at(INDEX or NAME)"),
        ("value.a | at(1", "a closing parenthesis is missing"),
        ("(value.a", "a closing parenthesis is missing"),
        ("value.a value.b", "'value.b' was not expected"),
        ("value.a ??", "where a path or a value should be"),
        ("value.a | equals(#)", "cannot be read from '#)'"),
        ("$nothing", "$nothing is no parameter"),
        ("", "there is no expression"),
        ("{value.a}-}", "a brace stands alone"),
    ],
)
def test_an_expression_that_makes_no_sense_is_refused_before_anything_runs(text: str, said: str) -> None:
    with pytest.raises(BadExpression) as caught:
        evaluate(text, VALUE)
    assert said in str(caught.value)


def test_bytes_that_are_no_json_are_named_as_such_only_when_the_value_is_looked_at() -> None:
    assert evaluate("header.kind", b"{broken", kind="x") == "x"
    with pytest.raises(Unmappable) as caught:
        evaluate("value.a", b"{broken")
    assert caught.value.reason == "invalid_json"
    with pytest.raises(Unmappable) as caught:
        evaluate("value.a", None)
    assert caught.value.reason == "null_value"
