from __future__ import annotations

import random

import numpy as np
import pytest
import zstandard

from stream_app.core.comparisons.scores import histogram
from stream_app.core.counts import cells, cells_codec, deltas, score_sketch
from stream_app.core.counts.cells import Cell, Counts, DriftNote
from stream_app.core.counts.deltas import FIXED, Intervals, Rows
from stream_app.core.counts.figures import figures
from stream_app.core.counts.summing import total
from stream_app.core.metrics_stage.keys import cell_key
from stream_app.core.metrics_stage.pending import Changes
from stream_app.errors import Broken, Incompatible

GOLDEN = bytes.fromhex(
    "02060068e5cf8b0100000300000002000000000000000000c03f000000000000f87f9a9999999999a9bf00710028b52ffd60"
    "f0003d0300940201000200010001000200cdcccc4c00000030a001000200400080010000010001004000c000010001001e00"
    "600a100e0c060401e280c0c010205c401810048c030203d700dbc010205c401810048c030283632b1b29edbeb86427276060"
    "30602063203106b028b52ffd2030150100c0000000000000d03f00e83f01000000020000000102000000030080835dfa161c"
    "01"
)


def rows(*events: tuple[int, int, float, int]) -> Rows:
    """(cell, kind, score, count)…"""
    return deltas.aggregate(*(list(column) for column in zip(*events, strict=True)))


def small() -> Cell:
    change = cells.changes(
        1,
        rows((0, 1, 0.75, 2), (0, 0, 0.25, 1), (0, deltas.LABEL_TP, 0.75, 1), (0, deltas.LABEL_FN, 0.25, 1)),
        [Intervals(0, 2, round(0.3 * FIXED), 1)],
    )[0]
    return cells.fold(Cell(cells.EMPTY), change, 1_700_000_000_000)


def same(a: Counts, b: Counts) -> bool:
    return (
        a.scores.binned == b.scores.binned
        and np.array_equal(a.vector, b.vector)
        and np.array_equal(a.scores.values, b.scores.values)
        and np.array_equal(a.scores.counts, b.scores.counts)
    )


def test_every_sum_of_a_cell_is_its_hand_calculation() -> None:
    v = small().counts.vector
    assert v[:6].tolist() == [1, 2, 0, 1, 0, 1]
    assert v[cells.INTERVALS : cells.NARROW + 1].tolist() == [2, round(0.3 * FIXED), 1]
    assert v[cells.SQUARES] == (2 * 0.5625 + 0.0625) * FIXED
    assert v[cells.SQUARES_LABELLED] == (0.5625 + 0.0625) * FIXED
    assert v[cells.BRIER] == (0.0625 + 0.5625) * FIXED
    assert v[cells.BIN_PREDICTIONS + 7] == 2
    assert v[cells.BIN_SCORES + 7] == 1.5 * FIXED
    assert v[cells.BIN_LABELLED + 2] == 1
    assert v[cells.BIN_LABELLED_SCORES + 2] == 0.25 * FIXED
    assert (v[cells.BIN_POSITIVES + 2], v[cells.BIN_POSITIVES + 7]) == (1, 1)
    assert small().counts.predictions == 3
    assert small().counts.labelled == 2
    assert small().counts.scores.decided.tolist() == [0, 2]


def test_the_day_of_a_delta_is_the_sum_of_its_hours_and_says_by_score_what_was_decided_positive() -> None:
    draw = random.Random(1)
    made = [(draw.randrange(24), draw.randrange(6), draw.choice([0.2, 0.4, 0.4, 0.9]), 1) for _ in range(500)]
    hours = [deltas.CellId("churn:a", "v1", 20_500 * 24 + hour) for hour in range(24)]
    columns = rows(*made)
    part = deltas.Part(
        0, cells=hours, cell=columns.cells.tobytes(), kind=columns.kinds.tobytes(), score=columns.scores.tobytes(),
        count=columns.counts.tobytes(),
    )  # fmt: skip
    found = Changes([part], 0)
    assert found.keys == [cell_key("churn:a", "v1", 20_500)]
    whole = cells.changes(1, rows(*((0, *row[1:]) for row in made)), [])[0]
    assert same(found.take(0, 1)[0], whole)
    wanted = {score: sum(kind == 1 for _, kind, value, _ in made if value == score) for score in (0.2, 0.4, 0.9)}
    assert dict(zip(whole.scores.values.tolist(), whole.scores.decided.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("k", range(1, 10))
def test_a_tenth_belongs_to_the_calibration_bin_above_it_and_its_neighbour_to_the_one_below(k: int) -> None:
    change = cells.changes(1, rows((0, 1, k / 10, 1), (0, 1, float(np.nextafter(k / 10, 0)), 1)), [])[0]
    filled = change.vector[cells.BIN_PREDICTIONS : cells.BIN_PREDICTIONS + 10]
    assert np.flatnonzero(filled).tolist() == [k - 1, k]


def test_fixed_point_is_rounded_per_event_so_grouping_rows_changes_nothing() -> None:
    grouped = cells.changes(1, rows((0, deltas.LABEL_TP, 0.1, 1000)), [])[0]
    single = cells.EMPTY
    for _ in range(1000):
        single = cells.add(single, cells.changes(1, rows((0, deltas.LABEL_TP, 0.1, 1)), [])[0])
    assert same(grouped, single)


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_is_the_same_however_its_rows_were_cut_and_ordered(seed: int) -> None:
    rng = random.Random(seed)
    events = [(0, rng.randrange(2), rng.random(), 1) for _ in range(6000)]
    whole = cells.fold(Cell(cells.EMPTY), cells.changes(1, rows(*events), [])[0], 1)
    rng.shuffle(events)
    cut = Cell(cells.EMPTY)
    while events:
        n = rng.randint(1, 2500)
        cut = cells.fold(cut, cells.changes(1, rows(*events[:n]), [])[0], 1)
        del events[:n]
    assert whole.counts.scores.binned
    assert cells_codec.encode(cut) == cells_codec.encode(whole)


def test_a_correction_moves_counts_from_one_class_to_the_other() -> None:
    wrong = [(0, 1, 0.7, 1), (0, deltas.LABEL_FP, 0.7, 1)]
    fix = [(0, deltas.LABEL_FP, 0.7, -1), (0, deltas.LABEL_TP, 0.7, 1)]
    right = [(0, 1, 0.7, 1), (0, deltas.LABEL_TP, 0.7, 1)]
    corrected = cells.add(cells.changes(1, rows(*wrong), [])[0], cells.changes(1, rows(*fix), [])[0])
    assert same(corrected, cells.changes(1, rows(*right), [])[0])


def test_changes_of_several_cells_do_not_mix() -> None:
    both = cells.changes(3, rows((0, 1, 0.7, 1), (2, 0, 0.2, 5)), [Intervals(2, 1, 7, 0)])
    assert same(both[0], cells.changes(1, rows((0, 1, 0.7, 1)), [])[0])
    assert same(both[1], cells.EMPTY)
    assert same(both[2], cells.changes(1, rows((0, 0, 0.2, 5)), [Intervals(0, 1, 7, 0)])[0])


def test_a_stored_cell_of_this_format_is_read_for_ever() -> None:
    """Bytes written by format 2; compressors differ, so what is kept is that they decode to the same cell."""
    stored = cells_codec.decode(GOLDEN)
    assert same(stored.counts, small().counts)
    assert (stored.folded_to, stored.revision, stored.assume_negative) == (1_700_000_000_000, 3, True)
    assert stored.drift == DriftNote(0.125, None, -0.05, False)
    light = cells_codec.decode(GOLDEN, scores=False)
    assert light.counts.vector.tolist() == stored.counts.vector.tolist()
    assert (light.drift, cells_codec.folded_to(GOLDEN)) == (stored.drift, stored.folded_to)


def test_head_and_body_of_a_stored_cell_have_the_documented_layout() -> None:
    value = cells_codec.encode(small())
    assert value[:18].hex() == "0200" + "0068e5cf8b010000" + "00000000" + "02000000"
    unpack = zstandard.ZstdDecompressor().decompress
    end = 20 + int.from_bytes(value[18:20], "little")
    assert unpack(value[20:end]) == small().counts.vector.astype("<i8").tobytes()
    body = unpack(value[end:])
    assert body[:16] == np.array([0.25, 0.75], dtype="<f8").tobytes()
    assert body[16:] == np.array([[1, 2], [1, 1], [0, 0], [0, 2]], dtype="<i4").tobytes()


@pytest.mark.parametrize("kinds", ["eee", "bbb", "ebe", "e", "b"])
def test_stored_cells_add_up_to_what_their_counts_add_up_to(kinds: str) -> None:
    rng = np.random.default_rng(6)
    found = []
    for kind in kinds:
        events = [
            (0, int(rng.integers(0, 6)), float(rng.integers(0, 40) / 40), int(rng.integers(1, 9))) for _ in range(60)
        ]
        counts = cells.changes(1, rows(*events), [])[0]
        found.append(Counts(counts.vector, score_sketch.to_bins(counts.scores)) if kind == "b" else counts)
    stored = [cells_codec.encode(Cell(c, drift=DriftNote(0.1) if i else None)) for i, c in enumerate(found)]
    assert same(cells_codec.add_up(stored), total(found))
    assert histogram(cells_codec.add_up(stored, ordered=False).scores) == histogram(total(found).scores)


@pytest.mark.parametrize("value", [b"", b"\x01", b"\xff" + bytes(40)])
def test_a_cell_of_an_unknown_format_is_a_named_error_that_says_what_to_do(value: bytes) -> None:
    with pytest.raises(Incompatible, match=r"cell has format .*, this release reads 2: .*PLUMBLINE_APP_ID"):
        cells_codec.decode(value)


def test_a_count_that_does_not_fit_is_refused_not_wrapped() -> None:
    counts = cells.changes(1, rows((0, 1, 0.5, 2**31 - 1)), [])[0]
    assert cells_codec.decode(cells_codec.encode(Cell(counts))).counts.predictions == 2**31 - 1
    with pytest.raises(Broken, match="32 bits"):
        cells_codec.encode(Cell(cells.add(counts, counts)))


def test_a_cell_of_any_size_stays_below_the_stated_bound() -> None:
    rng = np.random.default_rng(0)
    for n in (4096, 4097, 200_000):
        scores = rng.permutation(n) / n if n <= 4096 else np.unique(rng.random(n))
        events = rows(*((0, 1, float(s), 1) for s in scores))
        cell = cells.fold(Cell(cells.EMPTY), cells.changes(1, events, [])[0], 1)
        assert len(cell.counts.scores.values) <= score_sketch.EXACT_LIMIT
        assert len(cells_codec.encode(cell)) <= 18 + 496 + 24 * 4096 + 1024


def test_figures_survive_storage() -> None:
    cell = small()
    assert figures(cells_codec.decode(cells_codec.encode(cell)).counts) == figures(cell.counts)
