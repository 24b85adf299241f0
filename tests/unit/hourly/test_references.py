"""References: what they are made of, that they equal a plain reckoning, and why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from schemas.drift import Severity
from stream_app.core.hourly.evidence import fresh
from stream_app.core.hourly.evidence_state import HourlyEpisode, ModelEvidence
from stream_app.core.hourly.reference import ReferenceDays, make_references, reference_days
from stream_app.core.hourly.references import HourlyReference, ModelReferences
from stream_app.core.hourly.rules import HourlyRules
from tests.unit.hourly import plain

DAY = 20_100
RULES = HourlyRules()


def healthy(seed: int = 1, per_day: float = 400, days: range = range(DAY - 60, DAY)) -> dict[int, Any]:
    rng = np.random.default_rng(seed)
    return {day: plain.day_counts(rng, per_day, 0.17 + 0.03 * (day % 7 > 4)) for day in days}


def made(hours: dict[int, Any], first_day: int = 0, **known: Any) -> ModelReferences:
    asked = ReferenceDays("v", DAY, first_day, hours, known.get("errors", ()), known.get("scores", ()))
    return make_references(asked, known.get("state"), known.get("before"), known.get("rules", RULES))


@pytest.mark.parametrize("per_day", [40, 400, 20_000])
@pytest.mark.parametrize("kind", ["errors", "missed", "scores"])
def test_a_reference_is_what_a_plain_reckoning_says(kind: str, per_day: int) -> None:
    hours = healthy(3, per_day)
    days = list(range(DAY - 35, DAY - 7))
    found = made(hours, rules=HourlyRules(positives_only=kind == "missed"))
    mine = found.scores[0] if kind == "scores" else found.errors[0]
    assert (mine.day, mine.first, mine.last, mine.days, mine.reason) == (DAY, DAY - 35, DAY - 8, 28, None)
    channels = mine.channels()
    edge = (0.05, (0.10, 0.14, 0.20, 0.32)) if kind == "errors" else (0.10, (0.14, 0.18, 0.24, 0.36))
    for c, (slot, at) in enumerate(zip(mine.slots, mine.edges, strict=True)):
        pairs = plain.strata(kind, np.stack([hours[day] for day in days]), at, slot >= 5)
        wanted = plain.reference(pairs, days, DAY, *edge)
        assert channels.hourly[c] == pytest.approx(np.array(wanted["p"]), rel=1e-6)
        for name in ("tau", "phi", "error", "dispersion"):
            assert getattr(channels, name)[c] == pytest.approx(wanted[name], rel=1e-5)
        assert channels.tolerated[c] == pytest.approx(wanted["b0"], rel=1e-5)
        assert channels.shifts[c][~np.isnan(channels.shifts[c])] == pytest.approx(wanted["shifts"], rel=1e-5)


def test_scores_are_cut_at_the_edges_nearest_to_five_quantiles_and_in_both_directions() -> None:
    hours = healthy(4)
    bins = sum(hours[day][:, 4:].sum(axis=0) for day in range(DAY - 35, DAY - 7))
    below = np.cumsum(bins)[:-1] / bins.sum()
    nearest = [int(np.abs(below - q).argmin()) for q in (0.1, 0.25, 0.5, 0.75, 0.9)]
    found = made(hours).scores[0]
    up = [(i, edge) for i, edge in enumerate(nearest) if below[edge] <= 0.8]
    down = [(i + 5, edge) for i, edge in enumerate(nearest) if below[edge] >= 0.2]
    assert list(zip(found.slots, found.edges, strict=True)) == up + down


def _lowest_bin() -> dict[int, Any]:
    """Every score below the first edge."""
    day = plain.day_counts(np.random.default_rng(5), 400)
    day[:, 4] = day[:, 4:].sum(axis=1)
    day[:, 5:] = 0
    return dict.fromkeys(range(DAY - 60, DAY), day)


@pytest.mark.parametrize(
    ("known", "errors", "scores"),
    [
        ({"hours": healthy(6, 400, range(DAY - 20, DAY))}, "13 healthy days with rows, 14 are needed", "13 healthy"),
        ({"hours": healthy(6, 5)}, "outcomes of", "scores in healthy days, 1,000 are needed"),
        ({"hours": healthy(6), "rules": HourlyRules(label_delay_days=8)}, "more than 7 days", None),
        ({"hours": healthy(6), "errors": range(DAY - 60, DAY - 20)}, "13 healthy days", None),
        ({"hours": healthy(6), "scores": range(DAY - 60, DAY - 20)}, None, "13 healthy days"),
        ({"hours": _lowest_bin()}, None, "scores too concentrated"),
        ({"hours": {}}, "0 healthy days", "0 healthy days"),
        ({"hours": {day: value * ~np.isin(np.arange(36), [0, 3]) for day, value in healthy(6).items()}},
         "errors leave no room for a loss", None),
    ],
)  # fmt: skip
def test_a_channel_that_is_off_says_why(known: dict[str, Any], errors: str | None, scores: str | None) -> None:
    hours = known["hours"]
    found = made(hours, **{k: v for k, v in known.items() if k != "hours"})
    for reference, reason in ((found.errors[0], errors), (found.scores[0], scores)):
        assert (reference.reason is None) == (reason is None)
        assert reason is None or reason in str(reference.reason)
        assert bool(reference.slots) == (reason is None)


def test_the_days_lie_8_to_35_days_back_and_of_a_young_version_from_its_label_delay_on() -> None:
    assert reference_days(DAY, 0, RULES) == range(DAY - 35, DAY - 7)
    assert reference_days(DAY, DAY - 36, RULES) == range(DAY - 35, DAY - 7)
    assert reference_days(DAY, DAY - 35, RULES) == range(DAY - 35, DAY - 2)
    assert reference_days(DAY, DAY - 17, HourlyRules(label_delay_days=3)) == range(DAY - 17, DAY - 4)
    hours = healthy(7)
    assert made(hours, DAY - 16).errors[0].days == 14
    assert made(hours, DAY - 15).errors[0].reason is not None
    assert made(hours, DAY - 35).errors[0].last == DAY - 3


def test_days_of_an_episode_of_the_kind_are_not_healthy_for_it_alone() -> None:
    ended = replace(fresh(DAY * 24), touched=[(DAY - 20, DAY - 18)])
    still = replace(fresh(DAY * 24), episode=HourlyEpisode(0, (DAY - 10) * 24 + 5, Severity.HIGH))
    state = ModelEvidence("v", fresh(5), fresh(5)).having("errors", ended).having("scores", still)
    found = made(healthy(8), state=state)
    assert (found.errors[0].days, found.scores[0].days) == (25, 25)
    assert found.scores[0].last == DAY - 11
    assert made(healthy(8), state=replace(state, version="w")).errors[0].days == 28
    assert still.episode is not None
    cleared = replace(still, episode=replace(still.episode, acquitted=True))
    assert made(healthy(8), state=state.having("scores", cleared)).scores[0].days == 28


def test_the_reference_before_stays_with_its_dates_by_the_blocks_of_the_week_where_days_are_too_few() -> None:
    hours = healthy(9)
    before = made(hours)
    tainted = range(DAY - 60, DAY)
    for day in range(DAY + 1, DAY + 8):
        asked = ReferenceDays("v", day, 0, hours, tainted, tainted)
        after = make_references(asked, None, before, RULES)
        for old, new in ((before.errors[-1], after.errors[-1]), (before.scores[-1], after.scores[-1])):
            assert (new.day, new.first, new.last, new.days) == (day, old.first, old.last, old.days)
            a, b = old.channels(), new.channels()
            assert (b.tolerated == a.tolerated).all()
            weekend = (day + 3) % 7 >= 5
            assert (b.hourly == a.blocks[:, :, 6 * weekend + np.arange(24) // 4]).all()
    other = make_references(ReferenceDays("w", DAY + 1, 0, hours, tainted, tainted), None, before, RULES)
    assert other.errors[-1].reason is not None


def test_references_of_days_in_flight_are_kept_and_no_others() -> None:
    def old(day: int) -> HourlyReference:
        return HourlyReference(day, 1, 2, 3, 4, None)

    before = ModelReferences("v", [old(d) for d in range(DAY - 9, DAY)], [old(d) for d in range(DAY - 9, DAY)])
    found = made(healthy(10), before=before, rules=HourlyRules(label_delay_days=3))
    assert [x.day for x in found.errors] == [*range(DAY - 4, DAY), DAY]
    assert [x.day for x in found.scores] == [DAY - 2, DAY - 1, DAY]
    late = ModelEvidence("v", replace(fresh(0), frozen_to=DAY - 7), fresh(DAY * 24))
    assert made(healthy(10), before=before, state=late).errors[0].day == DAY - 7
    again = make_references(ReferenceDays("v", DAY, 0, healthy(10)), None, found, HourlyRules(label_delay_days=3))
    assert again == found
