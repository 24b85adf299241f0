"""False alerts in worlds without a loss, found losses in worlds with one: some models here, many in the benchmark."""

from __future__ import annotations

import pytest

from benchmarks.verdict_worlds import WORLDS, play

BY_NAME = {world.name: world for world in WORLDS}


@pytest.mark.parametrize("world", ["weekend"])
def test_a_world_without_a_loss_is_quiet(world: str) -> None:
    found = play(BY_NAME[world], 1, 150, 190)
    assert found.alerts == [[]]


@pytest.mark.long
@pytest.mark.parametrize("per_day", [190, 1_000])
@pytest.mark.parametrize("world", ["stationary", "ar1", "weekend", "annual-4", "ramp", "late-positives", "late-labels"])
def test_worlds_without_a_loss_are_quiet(world: str, per_day: int) -> None:
    found = play(BY_NAME[world], 20, 365, per_day)
    rate, share = found.false()
    print(found.row())
    assert rate <= (0.15 if (world, per_day) == ("annual-4", 190) else 0.1)
    assert share <= 0.01


@pytest.mark.long
@pytest.mark.parametrize("world", ["step-10", "step-12", "step-15", "step-25", "slope-30", "both"])
def test_losses_are_found(world: str) -> None:
    found = play(BY_NAME[world], 10, 160, 1_000)
    print(found.row())
    assert len(found.delays()) >= (5 if world == "step-10" else 10)
