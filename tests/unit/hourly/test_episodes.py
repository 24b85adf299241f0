"""Alarm, episode and its end; and how much was lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from schemas.drift import Severity
from stream_app.core.comparisons.hourly_entry import HourlyLoss
from stream_app.core.hourly.episodes import at_issue, end_episode, judge
from stream_app.core.hourly.evidence import HourlyReading, fresh
from stream_app.core.hourly.evidence_state import HourlyEpisode, KindEvidence
from stream_app.core.hourly.loss import estimate_loss, loss_days
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyRules
from tests.unit.hourly import plain
from tests.unit.hourly.test_references import DAY, healthy, made

HOUR = DAY * 24 + 12


def reading(evidence: float | None, in_flight: float | None = None, start: int = HOUR - 5) -> HourlyReading:
    return HourlyReading(evidence, evidence if in_flight is None else in_flight, 3.301, start, HOUR, 0)


def lost(points: float) -> HourlyLoss:
    return HourlyLoss(HOUR - 5, HOUR, points, points - 3, points + 3, 0.7, 0.8, 100, 9_000)


OPEN = replace(fresh(HOUR), episode=HourlyEpisode(HOUR - 2, HOUR - 9, Severity.HIGH, None))
QUIET = replace(fresh(HOUR), episode=HourlyEpisode(HOUR - 60, HOUR - 70, Severity.HIGH, HOUR - 24))


@pytest.mark.parametrize(
    ("state", "found", "loss", "daily", "acquitted", "what", "severity"),
    [
        (fresh(HOUR), reading(3.3), lost(15), Severity.HIGH, False, None, None),
        (fresh(HOUR), reading(None), None, Severity.HIGH, False, None, None),
        (fresh(HOUR), reading(3.301), lost(15), None, False, "opened", Severity.HIGH),
        (fresh(HOUR), reading(5.0), lost(10), None, False, "opened", Severity.MEDIUM),
        (fresh(HOUR), reading(5.0), lost(20.01), None, False, "opened", Severity.CRITICAL),
        (fresh(HOUR), reading(5.0), lost(20), None, False, "opened", Severity.HIGH),
        (fresh(HOUR), reading(5.0), lost(30), None, True, "opened", Severity.MEDIUM),
        (fresh(HOUR), reading(5.0), None, None, False, "opened", Severity.MEDIUM),
        (OPEN, reading(9.0), lost(19), None, False, "goes_on", Severity.HIGH),
        (OPEN, reading(9.0), lost(9), None, False, "goes_on", Severity.HIGH),
        (OPEN, reading(9.0), lost(21), None, False, "raised", Severity.CRITICAL),
        (OPEN, reading(2.0), lost(21), None, False, "goes_on", Severity.HIGH),
        # what the daily check has told is no news, at its severity or below
        (fresh(HOUR), reading(5.0), lost(15), Severity.HIGH, False, "known", Severity.HIGH),
        (fresh(HOUR), reading(5.0), lost(8), Severity.CRITICAL, False, "known", Severity.CRITICAL),
        (fresh(HOUR), reading(5.0), lost(25), Severity.CRITICAL, True, "known", Severity.CRITICAL),
        (fresh(HOUR), reading(5.0), lost(25), Severity.HIGH, False, "opened", Severity.CRITICAL),
        (fresh(HOUR), reading(5.0), lost(15), Severity.MEDIUM, False, "opened", Severity.HIGH),
        (OPEN, reading(9.0), lost(21), Severity.CRITICAL, False, "goes_on", Severity.CRITICAL),
        (OPEN, reading(9.0), lost(21), Severity.MEDIUM, False, "raised", Severity.CRITICAL),
        (OPEN, reading(None), None, None, False, "goes_on", Severity.HIGH),
        (QUIET, reading(4.0, -0.001), lost(12), None, False, "ended", Severity.HIGH),
        (QUIET, reading(4.0, -0.001), lost(12), Severity.HIGH, False, "goes_on", Severity.HIGH),
        (QUIET, reading(4.0, 0.0), lost(12), None, False, "goes_on", Severity.HIGH),
        (QUIET, reading(None), None, None, False, "ended", Severity.HIGH),
    ],
)
def test_an_alarm_opens_an_episode_that_rises_and_ends(
    state: Any,
    found: HourlyReading,
    loss: HourlyLoss | None,
    daily: bool,
    acquitted: bool,
    what: str | None,
    severity: Any,
) -> None:
    judged = judge(state, found, loss, HOUR, daily=daily, acquitted=acquitted)
    assert (judged.what, judged.severity) == (what, severity)
    assert (judged.state.episode is not None) == (what in ("opened", "known", "raised", "goes_on"))
    assert at_issue(state, found) == (what is not None)
    if what in ("opened", "known", "raised"):
        assert judged.state.episode is not None
        assert judged.state.episode.severity == severity
    if what == "ended":
        assert judged.state == replace(fresh(HOUR + 1), frozen_to=(HOUR - 1) // 24, touched=[((HOUR - 70) // 24, DAY)])


def test_an_episode_ends_after_24_quiet_hours_in_a_row() -> None:
    state = OPEN
    for hour in range(HOUR, HOUR + 40):
        quiet = hour - HOUR not in range(10, 13)
        judged = judge(state, reading(1.0, -1.0 if quiet else 0.5), lost(1), hour, daily=None)
        state = judged.state
        if judged.what == "ended":
            assert hour == HOUR + 13 + 24
            break
    else:
        pytest.fail("the episode never ended")


def test_evidence_begins_anew_after_an_episode() -> None:
    full = replace(OPEN, rest=b"x" * 8, burst=3.0, touched=[(3, 4)])
    assert end_episode(full, HOUR) == replace(
        fresh(HOUR + 1), frozen_to=DAY, touched=[(3, 4), ((HOUR - 9) // 24, DAY)]
    )  # fmt: skip
    assert end_episode(fresh(5), HOUR).touched == []


def test_days_that_outcomes_acquitted_teach_the_reference_also_when_their_run_is_over() -> None:
    def look(state: KindEvidence, acquitted: bool | None, in_flight: float = 0.5) -> KindEvidence:
        return judge(state, reading(1.0, in_flight), lost(15), HOUR, daily=None, acquitted=acquitted).state

    run_is_over = look(look(OPEN, True), None)
    assert run_is_over.episode is not None
    assert run_is_over.episode.acquitted
    assert end_episode(run_is_over, HOUR).touched == []
    moved_on = look(look(OPEN, True), False)
    assert end_episode(moved_on, HOUR).touched == end_episode(OPEN, HOUR).touched != []


# -- points ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def references() -> ModelReferences:
    return made(healthy(11, 800))


def since(start: int, end: int, slot: int = 0) -> HourlyReading:
    return HourlyReading(5.0, 5.0, 3.301, start, end, slot)


def day_of(error: float, positives: float, per_hour: int = 50) -> Any:
    out = np.zeros((24, 36), dtype=np.int64)
    pos = round(per_hour * positives)
    out[:, 1], out[:, 2] = round(pos * error), round((per_hour - pos) * error)
    out[:, 3], out[:, 0] = pos - out[:, 1], per_hour - pos - out[:, 2]
    out[:, 20] = per_hour
    return out


@pytest.mark.parametrize("positives", [0.2, 0.5, 0.8])
def test_points_lost_are_errors_above_what_was_expected_whatever_the_mix_of_classes(
    references: ModelReferences, positives: float
) -> None:
    start, end = DAY * 24 + 2, DAY * 24 + 20
    hours = {DAY: day_of(0.4, positives)}
    loss = estimate_loss("errors", since(start, end), references, hours, HourlyRules())
    assert loss is not None
    assert loss.points == pytest.approx(100 * (loss.baseline - loss.recent))
    assert loss.points == pytest.approx(23, abs=3)
    assert loss.lower < loss.points < loss.upper
    assert loss.severity == Severity.CRITICAL
    assert (loss.recent_rows, loss.start, loss.end) == (50 * 18, start, end)
    assert loss.recent == pytest.approx(0.6, abs=0.001)


def test_a_loss_needs_rows_and_a_channel_and_reads_no_more_days_than_are_kept(references: ModelReferences) -> None:
    rules = HourlyRules()
    assert estimate_loss("errors", since(DAY * 24, DAY * 24 + 4), references, {}, rules) is None
    assert estimate_loss("errors", since(DAY * 24, DAY * 24 + 4, 7), references, {DAY: day_of(0.4, 0.5)}, rules) is None
    none = HourlyReading(None, None, 3.3)
    assert estimate_loss("errors", none, references, {}, rules) is None
    assert loss_days(none) == range(0)
    assert loss_days(since(DAY * 24 - 10_000, DAY * 24 + 1)) == range(DAY - 35, DAY + 1)
    assert loss_days(since(DAY * 24 - 1, DAY * 24)) == range(DAY - 1, DAY)
    only = day_of(0.4, 0.5)
    only[:, [1, 3]] = 0
    loss = estimate_loss("errors", since(DAY * 24, DAY * 24 + 4), references, {DAY: only}, rules)
    assert loss is not None
    assert loss.recent == pytest.approx(0.6, abs=0.001)


def test_scores_that_moved_grew_on_one_side_of_their_edges_alone(references: ModelReferences) -> None:
    rng = np.random.default_rng(12)
    moved = {DAY: plain.day_counts(rng, 2_000, 0.17, 0.9)}
    found = references.scores[-1]
    for slot in found.slots:
        loss = estimate_loss("scores", since(DAY * 24, DAY * 24 + 24, slot), references, moved, HourlyRules())
        assert loss is not None
        assert (loss.points > 5) == (slot >= 5)
        assert loss.points == pytest.approx(100 * (loss.recent - loss.baseline))


def test_the_interval_holds_the_points_that_were_lost_in_99_of_100_runs() -> None:
    """Day effects of 0.15 on the logit scale, 10 points lost for a day and a half; the start is given, not chosen."""
    rng = np.random.default_rng(13)
    held, runs = 0, 120
    for _ in range(runs):
        hours = {}
        for day in range(DAY - 36, DAY + 1):
            effect = rng.normal(0, 0.15)
            base = 0.27 if day >= DAY - 1 else 0.17
            hours[day] = plain.day_counts(rng, 500, 1 / (1 + np.exp(-(np.log(base / (1 - base)) + effect))))
        known = made(hours)
        loss = estimate_loss("errors", since(DAY * 24 - 12, DAY * 24 + 24), known, hours, HourlyRules())
        assert loss is not None
        held += loss.lower <= 10 <= loss.upper
    print(f"99 % interval of points lost holds them in {held / runs:.1%} of {runs} runs")
    assert held / runs >= 0.96
