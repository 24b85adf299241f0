"""Examples of counts, for laws that hold of whatever is stored."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import numpy as np
from hypothesis import strategies as st

from stream_app.core.counts import cells, deltas, score_sketch
from stream_app.core.counts.cells import Cell, Counts, DriftNote
from stream_app.core.counts.score_sketch import ScoreSketch

natural = st.integers(0, 2**60)
unit = st.floats(0, 1)
names = st.text("abc.-_", min_size=1, max_size=8)
scores = st.one_of(st.integers(0, 20).map(lambda k: k / 20), st.floats(0, 1).map(lambda x: x + 0.0))
#: of a field without more to its type
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: names, int: natural, float: unit, bool: st.booleans(), bytes: st.binary(max_size=40), NoneType: st.none(),
    Any: natural | names | st.lists(names, max_size=2),
}  # fmt: skip
events = st.lists(st.tuples(st.just(0), st.integers(0, 5), scores, st.integers(-3, 5)), min_size=1, max_size=30)


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    rows = deltas.aggregate(*(list(column) for column in zip(*draw(events), strict=True)))
    found = cells.changes(1, rows, [])[0]
    if draw(st.booleans()):
        return found
    return Counts(found.vector, score_sketch.to_bins(found.scores))


@st.composite
def stored_cells(draw: st.DrawFn) -> Cell:
    note = st.builds(DriftNote, st.none() | unit, st.none() | unit, st.none() | unit, st.none() | st.booleans())
    return Cell(
        draw(counts()), draw(natural), draw(st.integers(0, 2**31 - 1)), draw(st.booleans()), draw(st.none() | note)
    )


@st.composite
def parts(draw: st.DrawFn) -> deltas.Part:
    known = draw(st.lists(st.builds(deltas.CellId, names, names, natural), max_size=3))
    of_cell = st.integers(0, max(0, len(known) - 1))
    rows = draw(st.lists(st.tuples(of_cell, st.integers(0, 5), scores, st.integers(-3, 5)), max_size=5 * len(known)))
    columns = zip(*rows, strict=True) if rows else ((),) * 4
    cell, kind, score, count = (
        np.array(c, d).tobytes() for c, d in zip(columns, ("<u4", "u1", "<f8", "<i4"), strict=True)
    )
    intervals = st.lists(st.builds(deltas.Intervals, of_cell, natural, natural, natural), max_size=len(known))
    return deltas.Part(
        draw(natural), draw(st.none() | natural), {}, {}, known, cell, kind, score, count, draw(intervals)
    )


def content(x: Any) -> Any:
    """Comparable content of values that hold arrays."""
    if isinstance(x, ScoreSketch):
        return (x.binned, x.values.tobytes(), x.counts.tobytes())
    if isinstance(x, Counts):
        return (x.vector.tobytes(), content(x.scores))
    if isinstance(x, np.ndarray):
        return (x.shape, x.tobytes())
    if isinstance(x, Cell):
        return (content(x.counts), x.folded_to, x.revision, x.assume_negative, x.drift)
    return x


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, field by field, so that a field or an entry that comes later is drawn as well."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _within(inner[0], [meta for meta in inner[1:] if isinstance(meta, msgspec.Meta)])
    if origin in (Union, UnionType):
        return st.one_of([of_type(one) for one in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is list:
        return st.lists(of_type(inner[0]), max_size=3)
    if origin is tuple and inner[1:] == (...,):
        return st.lists(of_type(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[of_type(one) for one in inner])
    if origin in (dict, Mapping):
        return st.dictionaries(of_type(inner[0]), of_type(inner[1]), max_size=2)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.deferred(lambda: st.builds(hint, **{f.name: of_type(f.type) for f in msgspec.structs.fields(hint)}))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    return PLAIN[hint]


def _within(hint: Any, annotated: list[msgspec.Meta]) -> st.SearchStrategy[Any]:
    """Values of a type that keep to what is annotated about it; a pattern says its lengths itself."""
    (meta,) = annotated
    least = meta.min_length or 0
    if meta.pattern is not None:
        return st.from_regex(meta.pattern, fullmatch=True)
    if hint is str:
        return st.text("abc.-_", min_size=least, max_size=least + 8)
    if get_origin(hint) is list:
        return st.lists(of_type(get_args(hint)[0]), min_size=least, max_size=least + 3)
    if hint is int:
        return st.integers(*(None if end is None else int(end) for end in (meta.ge, meta.le)))
    assert hint is float, f"no values of {hint} with {meta}"
    return st.floats(meta.ge, meta.le)
