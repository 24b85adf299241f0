"""A seeded random walk over the bare ``step``: every promise of ``World`` after each of its events."""

from __future__ import annotations

import random

import pytest

from stream_app.core.retrain import ModelConfig, RetrainRules
from stream_app.core.retrain.transitions import STATES
from tests.machine.world import FLOORS, MODEL, ON, RULES, World, walk

#: the contract's numbers; a person's approval and no thresholds; short times, so that everything meets everything
CONFIGS = (
    RULES,
    RetrainRules(require_manual_approval=True),
    RetrainRules(validation_floors=FLOORS, retrain_cooldown_days=0, retrain_backoff_h=0.25, probation_days=2),
)


def _walk(steps: int) -> None:
    reached: set[str] = set()
    refused: set[str] = set()
    for seed, rules in enumerate(CONFIGS):
        world = walk(World(ModelConfig(MODEL, rules, ON)), random.Random(seed), steps // len(CONFIGS))
        reached |= world.reached
        refused |= world.refused
    assert reached == set(STATES), "the walk did not come everywhere"
    assert refused >= {"severity", "maturity", "cooldown", "samples", "coverage", "active_job", "approval", "circuit"}


def test_a_walk_of_100_000_events_breaks_no_promise() -> None:
    _walk(100_000)


@pytest.mark.long
def test_a_walk_of_a_million_events_breaks_no_promise() -> None:
    _walk(1_000_000)
