"""Laws that hold for everything of a kind. What is checked is found in the package, not listed: a new sketch, codec or
stage fails here until it is covered, or excluded with a reason."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stream_app.core
from stream_app.core.counts import cells, cells_codec, deltas, score_sketch
from stream_app.core.counts.cells import Cell, Counts
from stream_app.core.counts.deltas import DeltaRecord
from stream_app.core.counts.score_sketch import ScoreSketch
from stream_app.core.hourly import hours_codec
from stream_app.core.kit.codec import Codec
from tests.laws.examples import content, counts, natural, of_type, parts, stored_cells

LAWFUL = settings(derandomize=True, max_examples=40, deadline=None, database=None)


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(stream_app.core.__path__, "stream_app.core.")
    return [importlib.import_module(m.name) for m in found]


# -- examples of each kind ---------------------------------------------------------------------------------------


ADDITIVE: dict[type, st.SearchStrategy[Any]] = {ScoreSketch: counts().map(lambda c: c.scores), Counts: counts()}


@st.composite
def days_by_hours(draw: st.DrawFn) -> Any:
    found = np.zeros((24, 36), dtype=np.int64)
    for hour, column, count in draw(
        st.lists(st.tuples(st.integers(0, 23), st.integers(0, 35), st.integers(0, 2**62)), max_size=20)
    ):
        found[hour, column] = count >> draw(st.integers(0, 62))
    return found


#: by module: what is stored as arrays
ARRAYS: dict[str, st.SearchStrategy[Any]] = {
    cells_codec.__name__: stored_cells(),
    hours_codec.__name__: days_by_hours(),
    deltas.__name__: st.builds(DeltaRecord, natural, st.lists(parts(), max_size=3)),
}


# -- what is found -------------------------------------------------------------------------------------------------


def additions() -> list[tuple[Callable[[Any, Any], Any], type]]:
    out: list[tuple[Callable[[Any, Any], Any], type]] = []
    for module in modules():
        function = getattr(module, "add", None)
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            kind = inspect.get_annotations(function, eval_str=True)["return"]
            out.append((function, kind))
    return out


def codecs() -> list[ModuleType]:
    return [m for m in modules() if all(hasattr(m, name) for name in ("FORMAT", "encode", "decode"))]


def stored() -> list[tuple[str, Any, st.SearchStrategy[Any]]]:
    """(what, what encodes and decodes it, examples): each codec of a type by its fields, arrays by their modules."""
    out: list[tuple[str, Any, st.SearchStrategy[Any]]] = [
        (m.__name__, m, ARRAYS[m.__name__]) for m in codecs() if m.__name__ in ARRAYS
    ]
    for module in modules():
        if module.__name__ not in ARRAYS:
            found = [one for one in vars(module).values() if isinstance(one, Codec)]
            out += [(codec.what, codec, of_type(codec.kind)) for codec in found]
    return out


def test_everything_found_is_covered_or_excluded_with_a_reason() -> None:
    assert {kind for _, kind in additions()} == set(ADDITIVE)
    by_type = {m.__name__ for m in modules() if any(isinstance(one, Codec) for one in vars(m).values())}
    assert {m.__name__ for m in codecs()} - by_type | {deltas.__name__} == set(ARRAYS)


# -- the laws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("add", "kind"), additions(), ids=lambda x: getattr(x, "__name__", ""))
def test_addition_is_commutative_associative_and_leaves_its_inputs_alone(
    add: Callable[[Any, Any], Any], kind: type
) -> None:
    @LAWFUL
    @given(ADDITIVE[kind], ADDITIVE[kind], ADDITIVE[kind])
    def law(a: Any, b: Any, c: Any) -> None:
        before = content(a), content(b), content(c)
        assert content(add(a, b)) == content(add(b, a))
        assert content(add(add(a, b), c)) == content(add(a, add(b, c)))
        assert (content(a), content(b), content(c)) == before

    law()


@pytest.mark.parametrize(("add", "kind"), additions(), ids=lambda x: getattr(x, "__name__", ""))
def test_adding_nothing_changes_nothing(add: Callable[[Any, Any], Any], kind: type) -> None:
    empty = {ScoreSketch: score_sketch.EMPTY, Counts: cells.EMPTY}[kind]

    @LAWFUL
    @given(ADDITIVE[kind])
    def law(a: Any) -> None:
        assert content(add(a, empty)) == content(a)

    law()


@pytest.mark.parametrize(("what", "codec", "examples"), stored(), ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_stored_comes_back_the_same_and_gives_the_same_bytes(
    what: str, codec: Any, examples: st.SearchStrategy[Any]
) -> None:
    @LAWFUL
    @given(examples)
    def law(value: Any) -> None:
        stored = codec.encode(value)
        assert stored[0] == (codec.format if isinstance(codec, Codec) else codec.FORMAT)
        back = codec.decode(stored)
        assert content(back) == content(value)
        assert codec.encode(back) == stored

    law()


@pytest.mark.parametrize("codec", codecs(), ids=lambda m: m.__name__)
def test_a_format_from_another_release_is_refused_by_name(codec: Any) -> None:
    for value in (bytes((codec.FORMAT + 1,)) + b"\x80" * 40, b"\x00"):
        with pytest.raises(Exception, match="format") as refusal:
            codec.decode(value)
        assert not isinstance(refusal.value, msgspec.DecodeError)


@LAWFUL
@given(st.lists(counts(), min_size=1, max_size=6))
def test_a_cell_never_grows_beyond_its_bound(changes: list[Counts]) -> None:
    cell = Cell(cells.EMPTY)
    for i, change in enumerate(changes):
        cell = cells.fold(cell, change, i)
    wide = np.unique(np.random.default_rng(0).random(9000))
    many = deltas.aggregate(np.zeros(9000), np.ones(9000), wide, np.ones(9000))
    cell = cells.fold(cell, cells.changes(1, many, [])[0], 99)
    assert len(cell.counts.scores.values) <= score_sketch.EXACT_LIMIT
    assert len(cells_codec.encode(cell)) <= 18 + 496 + 20 * score_sketch.EXACT_LIMIT + 1024
