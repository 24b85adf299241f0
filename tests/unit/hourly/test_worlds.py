"""The worlds of ``benchmarks/hourly_worlds.py`` say what they are said to."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hourly_worlds import WARM, WORLDS, HourlyWorld, Stream, watch


def test_a_sudden_loss_is_found_and_what_is_none_is_not() -> None:
    by_name = {world.name: world for world in WORLDS}
    lost = watch(by_name["25 points"], 2, 0, 1_000, 7).row()
    assert (lost["found 0.0005"], lost["before 0.0005"]) == (2, 0)
    quiet = watch(by_name["stationary"], 2, 4, 1_000, 7).row()
    assert [quiet[f"{kind} 0.01"] for kind in ("errors", "scores")] == [0, 0]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_what_is_known_grows_with_every_hour_up_to_what_is_final(world: HourlyWorld) -> None:
    stream = Stream(np.random.default_rng(1), 1, WARM + 50, 300)
    onset = np.arange(stream.days * 24) >= (WARM + 40) * 24
    world.change(stream, onset[None])
    stream.draw()
    day, before = WARM + 41, np.zeros((24, 36), dtype=np.int64)
    for hour in range(day * 24 + 1, day * 24 + 72):
        known = stream.at(0, day, hour)
        assert (known >= before).all()
        before = known
    final = stream.final[0, day * 24 : day * 24 + 24]
    assert (before[:, 4:] == final[:, 4:]).all()
    assert (before == final).all() == (stream.late is None)
