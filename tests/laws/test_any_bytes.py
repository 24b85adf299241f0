"""Whatever a stranger writes to the input topics, every stage goes on, and every record has its one disposition."""

from __future__ import annotations

from typing import Any

from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.engine.chunks import Chunk
from stream_app.engine.inbox import Clock
from stream_app.engine.protocol import Positions
from stream_app.kafka.record import Record
from tests.support import seeds
from tests.support.fuzz_targets import chain
from tests.support.spoil import spoiled


@settings(max_examples=60, deadline=None)
@given(
    predictions=st.lists(spoiled((seeds.PREDICTION,)), max_size=12),
    outcomes=st.lists(spoiled((seeds.OUTCOME,)), max_size=12),
    commands=st.lists(spoiled(seeds.COMMANDS), max_size=8),
    results=st.lists(spoiled(seeds.RESULTS), max_size=8),
)
def test_no_record_stops_a_stage_and_each_has_one_disposition(
    predictions: list[bytes], outcomes: list[bytes], commands: list[bytes], results: list[bytes]
) -> None:
    sim = chain()
    for turn in range(3):
        at = seeds.NOW_MS + turn * seeds.DAY_MS
        sim.rows("predictions", [(b"p-1", value) for value in predictions], at)
        sim.rows("outcomes", [(b"p-1", value) for value in outcomes], at)
        for value in commands:
            sim.command(value, at)
        for value in results:
            sim.answer(value, at)
        sim.tick(at)
        known = sim.stages["labels"].lane_state.dispositions()
        assert sum(known["predictions"].values()) == (turn + 1) * len(predictions)
        assert sum(known["outcomes"].values()) == (turn + 1) * len(outcomes)


@settings(max_examples=200, deadline=None)
@given(value=spoiled((seeds.TICK,)))
def test_no_clock_record_stops_the_clock(value: bytes) -> None:
    clock = Clock(0, Positions({"clock": 0}), {})
    record: Any = Record("ml.clock", 0, 0, seeds.NOW_MS, 1, None, value)
    clock.put(Chunk(TP("ml.clock", 0), [record], 0, 1, 0))
    assert len(clock.ticks) + len(clock.refused()) <= 1
    assert clock.input.arrived == 1


def test_the_records_that_are_spoiled_are_good_ones() -> None:
    sim = chain()
    sim.rows("predictions", [(b"p-1", seeds.PREDICTION)], seeds.NOW_MS)
    sim.rows("outcomes", [(b"p-1", seeds.OUTCOME)], seeds.NOW_MS)
    for value in seeds.COMMANDS:
        sim.command(value, seeds.NOW_MS)
    for value in seeds.RESULTS:
        sim.answer(value, seeds.NOW_MS)
    sim.tick(seeds.NOW_MS)
    assert sim.emits.get("dead-letters", []) == []
    assert sim.stages["labels"].lane_state.dispositions()["outcomes"]["joined"] == 1
