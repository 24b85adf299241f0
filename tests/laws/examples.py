"""Examples of counts, for laws that hold of whatever is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from stream_app.core.counts import cells, deltas, score_sketch
from stream_app.core.counts.cells import Cell, Counts, DriftNote
from stream_app.core.counts.score_sketch import ScoreSketch

natural = st.integers(0, 2**60)
unit = st.floats(0, 1)
names = st.text("abc.-_", min_size=1, max_size=8)
scores = st.one_of(st.integers(0, 20).map(lambda k: k / 20), st.floats(0, 1).map(lambda x: x + 0.0))
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
