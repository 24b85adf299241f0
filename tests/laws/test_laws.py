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
from schemas.drift import DriftKind, Severity, Verdict
from schemas.training import VersionComparison
from stream_app.core import model_log
from stream_app.core.alerts import facts
from stream_app.core.alerts import lane_state as alerts_lane
from stream_app.core.alerts import state as alerts_state
from stream_app.core.comparisons import finding
from stream_app.core.comparisons.estimated import Calibration, Muting
from stream_app.core.comparisons.records import (
    Histogram,
    LabelWindow,
    MetricBound,
    MetricWindow,
    QualityValue,
    ScoreWindow,
)
from stream_app.core.counts import cells, cells_codec, deltas, score_sketch
from stream_app.core.counts.cells import Cell, Counts
from stream_app.core.counts.deltas import DeltaRecord
from stream_app.core.counts.score_sketch import ScoreSketch
from stream_app.core.drift import state as drift_state
from stream_app.core.hourly import evidence_state, hours_codec, references
from stream_app.core.kit import settings_table
from stream_app.core.labels import lane_state as labels_lane
from stream_app.core.metrics_stage import active_version, estimates, held, version_days, watch
from stream_app.core.metrics_stage import lane_state as metrics_lane
from stream_app.core.retrain import day_offsets, history, profile
from stream_app.core.retrain import lane_state as retrain_lane
from stream_app.core.retrain import state as retrain_state
from stream_app.core.retrain.data_range import Plan
from stream_app.core.retrain.safeguards import Coverage
from stream_app.core.retrain.transitions import STATES
from tests.laws.examples import content, counts, names, natural, parts, scores, stored_cells, unit

LAWFUL = settings(derandomize=True, max_examples=40, deadline=None, database=None)


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(stream_app.core.__path__, "stream_app.core.")
    return [importlib.import_module(m.name) for m in found]


# -- examples of each kind ---------------------------------------------------------------------------------------


ADDITIVE: dict[type, st.SearchStrategy[Any]] = {ScoreSketch: counts().map(lambda c: c.scores), Counts: counts()}

totals = st.dictionaries(names, st.dictionaries(names, st.integers(0, 2**40), max_size=3), max_size=3)
windows = st.builds(
    finding.FoundWindow, names, names, scores, st.none() | scores, st.none() | st.tuples(scores, scores)
)
findings = st.builds(
    finding.Finding, id=names, model=names, kind=st.sampled_from(DriftKind), check=st.none() | names, version=names,
    close_ms=natural, day=natural, verdict=st.sampled_from(Verdict), severity=st.none() | st.sampled_from(Severity),
    run_from=st.none() | natural, reason=st.none() | names, revises=st.none() | names,
    faults=st.lists(names, max_size=2), statistic=st.none() | scores, windows=st.lists(windows, max_size=3),
)  # fmt: skip
answers = st.builds(alerts_state.Decision, st.booleans(), st.lists(st.tuples(names, st.booleans(), names), max_size=2))
by_name = st.dictionaries(names, findings, max_size=2)
open_alerts = st.builds(
    alerts_state.OpenAlert, names, names, names, *[natural] * 4, names, names, st.lists(names), answers,
    st.dictionaries(names, st.builds(alerts_state.Streak, natural, natural), max_size=2), natural, st.lists(names),
    by_name, natural, acknowledged_by=st.none() | names,
)  # fmt: skip
histograms = st.builds(Histogram, st.lists(natural, max_size=3), st.lists(natural, max_size=3))
metric_lists = st.lists(
    st.builds(MetricWindow, names, unit, st.none() | unit, st.tuples(natural, natural), st.tuples(natural, natural),
              natural, natural, st.none() | unit, unit, unit),
    max_size=2,
)  # fmt: skip
baselines = st.builds(model_log.BaselineEntry, st.none() | st.just("window"), natural, natural, natural)
sides = st.builds(held.HeldSide, st.booleans(), natural, st.binary(max_size=20))
offsets = st.dictionaries(names, st.dictionaries(natural, natural, max_size=3), max_size=2)
orders = st.builds(
    retrain_state.SentCommand, st.sampled_from(("train", "activate", "rollback")), names, natural, natural, natural,
    st.booleans(),
)  # fmt: skip
plans = st.builds(
    Plan, natural, natural, natural, natural,
    st.dictionaries(names, st.dictionaries(natural, st.tuples(natural, natural), max_size=2), max_size=2),
)  # fmt: skip
causes = st.builds(
    retrain_state.Cause, st.sampled_from(("statistical", "manual")), st.lists(names, max_size=2).map(tuple), names,
    names, natural, st.none() | names, natural,
)  # fmt: skip
compared = st.none() | st.builds(
    VersionComparison,
    metric=st.sampled_from(("accuracy", "pr_auc")),
    candidate=unit,
    champion=unit,
    difference=unit,
    lower=st.none() | unit,
    upper=unit,
)
reported = st.none() | st.dictionaries(names, st.none() | unit, max_size=2)
jobs = st.builds(
    retrain_state.Job, natural, causes, names, st.none() | plans, st.none() | orders,
    st.none() | st.sampled_from(("train", "activate")), st.none() | names, st.none() | names, reported, reported,
)  # fmt: skip
failures = st.builds(
    retrain_state.FailedCommand, st.sampled_from(("train", "activate", "rollback")), names, natural, natural, names
)
refusals = st.builds(retrain_state.Refusals, names, natural, st.lists(names, max_size=2).map(tuple), natural, natural)
packed_numbers = st.binary(max_size=40)
hourly_references = st.lists(
    st.builds(references.HourlyReference, *[natural] * 5, st.none() | names, st.lists(natural, max_size=3),
              st.lists(natural, max_size=3), natural, packed_numbers),
    max_size=3,
)  # fmt: skip
hourly_evidence = st.builds(
    evidence_state.KindEvidence, natural, natural, *[packed_numbers] * 3, scores, st.none() | scores, natural, natural,
    st.lists(
        st.builds(evidence_state.FlyingDay, natural, *[packed_numbers] * 5, scores, scores, natural, natural),
        max_size=2,
    ),
    st.none()
    | st.builds(
        evidence_state.HourlyEpisode, natural, natural, st.sampled_from(Severity), st.none() | natural
    ),
    st.lists(st.tuples(natural, natural), max_size=3),
)  # fmt: skip


@st.composite
def days_by_hours(draw: st.DrawFn) -> Any:
    found = np.zeros((24, 36), dtype=np.int64)
    for hour, column, count in draw(
        st.lists(st.tuples(st.integers(0, 23), st.integers(0, 35), st.integers(0, 2**62)), max_size=20)
    ):
        found[hour, column] = count >> draw(st.integers(0, 62))
    return found


CODECS: dict[str, st.SearchStrategy[Any]] = {
    cells_codec.__name__: stored_cells(),
    hours_codec.__name__: days_by_hours(),
    references.__name__: st.builds(references.ModelReferences, names, hourly_references, hourly_references),
    evidence_state.__name__: st.builds(evidence_state.ModelEvidence, names, hourly_evidence, hourly_evidence),
    active_version.__name__: st.builds(active_version.ActiveVersion, names, names, st.just("observed"), natural),
    deltas.__name__: st.builds(
        DeltaRecord,
        natural,
        st.lists(
            parts(),
            max_size=3,
        ),
    ),
    model_log.__name__: st.one_of(
        st.builds(model_log.TickEntry, natural, st.just({"p": {0: 1}}), st.just([("metrics", 7)]), totals),
        st.builds(model_log.SnapshotEntry, names, names, natural, natural, natural),
        st.builds(model_log.LifecycleEntry, names, names, st.none() | names, names, natural),
        st.builds(model_log.CompletenessEntry, names, names, *[natural] * 5),
        st.builds(model_log.LabelledEntry, st.lists(st.tuples(names, names, natural))),
        st.builds(
            model_log.CommandEntry, model=names, command=names, id=names, actor=names, reason=names,
            values=st.none() | st.dictionaries(names, natural | names | st.lists(names, max_size=2), max_size=3),
            version=st.none() | names, subject=st.none() | names, unusable=st.none() | names, at_ms=natural,
        ),
        st.builds(
            model_log.ResultEntry, model=names, command_id=names, status=st.none() | st.just("succeeded"),
            attempt=natural, candidate_metrics=reported, champion_metrics=reported, error=st.none() | names,
            comparison=compared, at_ms=natural,
        ),
        st.builds(
            model_log.StatisticalEntry, names, names, natural, natural, natural, baselines,
            st.lists(st.builds(ScoreWindow, *[natural] * 5, unit, unit, unit, unit, histograms), max_size=2),
            names,
        ),
        st.builds(
            model_log.PerformanceEntry, names, names, natural, natural, natural, baselines,
            st.lists(st.builds(LabelWindow, *[natural] * 5, metric_lists, histograms), max_size=2), names,
            st.booleans(),
        ),
        st.builds(
            model_log.QualityEntry, names, names, natural, natural, baselines,
            st.lists(st.builds(QualityValue, names, natural, natural, unit, st.none() | unit, natural, natural)), names,
        ),
        st.builds(
            model_log.EventEntry, findings,
            bounds=st.lists(st.builds(MetricBound, names, unit, unit), max_size=3),
        ),
        st.builds(
            model_log.DecisionEntry, names, names, st.booleans(), st.lists(st.tuples(names, st.booleans(), names))
        ),
        st.builds(model_log.KeptEntry, names, names, natural, natural),
        st.builds(model_log.ForgottenEntry, names, natural, natural),
        st.builds(model_log.HoursEntry, st.lists(st.tuples(names, natural, natural), max_size=3)),
        st.builds(
            model_log.ProbationEntry, names, names, names, natural, natural, natural,
            st.lists(st.builds(LabelWindow, *[natural] * 5, metric_lists, histograms), max_size=2), names,
        ),
    ),
    metrics_lane.__name__: st.builds(
        metrics_lane.MetricsLaneState, natural, closed=st.dictionaries(natural, natural),
        end_offsets=st.dictionaries(names, st.dictionaries(natural, natural, max_size=2), max_size=2),
    ),
    watch.__name__: st.builds(watch.VersionChange, st.text(max_size=8), st.text(max_size=8), natural),
    held.__name__: st.builds(
        held.HeldRecord, baselines, st.sampled_from(("statistical", "performance")), sides, sides,
        st.lists(st.tuples(natural, st.lists(natural, max_size=6)), max_size=3),
    ),
    estimates.__name__: st.builds(
        estimates.EstimateRecord,
        st.builds(Calibration, st.lists(st.floats(0, 1), max_size=3), *[st.lists(natural, max_size=3)] * 2),
        st.builds(Muting, st.lists(st.booleans(), max_size=7), st.booleans(), natural),
    ),
    version_days.__name__: st.builds(
        version_days.VersionDays, natural, st.lists(natural, max_size=3),
        st.dictionaries(
            st.sampled_from(("statistical", "performance")), st.dictionaries(natural, st.integers(1, 2), max_size=3)
        ),
    ),
    drift_state.__name__: st.builds(
        drift_state.DriftState,
        st.dictionaries(names, st.builds(drift_state.Run, names, natural, st.none() | natural), max_size=2),
        st.none() | natural,
    ),
    alerts_lane.__name__: st.builds(alerts_lane.AlertsLaneState, natural),
    alerts_state.__name__: st.builds(
        alerts_state.AlertHistory, names, st.none() | natural, by_name, by_name, st.none() | open_alerts
    ),
    facts.__name__: st.one_of(
        st.builds(facts.EventPublished, findings, st.none() | answers),
        st.builds(facts.Decided, names, answers),
        st.builds(facts.Acknowledged, names, names, names, names, st.none() | names, st.none() | names),
        st.builds(facts.Accepted, names, names, names, names),
        st.builds(facts.VersionKept, names, natural),
        st.builds(facts.ModelForgotten, names),
        st.builds(facts.Changed, names, st.dictionaries(names, natural | names, max_size=3)),
    ),
    settings_table.__name__: st.dictionaries(
        names, natural | names | st.lists(names, max_size=2).map(tuple) | st.dictionaries(names, natural, max_size=2),
        max_size=4,
    ),
    labels_lane.__name__: st.builds(labels_lane.LabelsLaneState, natural, natural),
    retrain_lane.__name__: st.builds(retrain_lane.RetrainLaneState, natural, offsets),
    day_offsets.__name__: offsets,
    profile.__name__: st.lists(natural, min_size=24, max_size=24),
    history.__name__: st.builds(
        history.History,
        st.dictionaries(natural, st.tuples(natural, natural), max_size=3),
        st.none() | st.builds(Coverage, natural, natural, natural), natural, st.lists(names, max_size=2),
    ),
    retrain_state.__name__: st.builds(
        retrain_state.ModelState, st.sampled_from(STATES), natural, st.none() | names, st.none() | names, natural,
        natural, st.none() | jobs,
        st.none() | st.builds(retrain_state.Watch, names, names, natural, st.just("outside"), st.none() | natural),
        natural, st.booleans(), st.none() | natural, st.none() | natural, st.none() | failures,
        st.dictionaries(names, natural, max_size=2), st.dictionaries(names, refusals, max_size=2),
        st.lists(names, max_size=3).map(tuple), st.lists(names, max_size=3).map(tuple),
    ),
}  # fmt: skip


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


def test_everything_found_is_covered_or_excluded_with_a_reason() -> None:
    assert {kind for _, kind in additions()} == set(ADDITIVE)
    assert {m.__name__ for m in codecs()} == set(CODECS)


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


@pytest.mark.parametrize("codec", codecs(), ids=lambda m: m.__name__)
def test_what_is_stored_comes_back_the_same_and_gives_the_same_bytes(codec: Any) -> None:
    @LAWFUL
    @given(CODECS[codec.__name__])
    def law(value: Any) -> None:
        stored = codec.encode(value)
        assert stored[0] == codec.FORMAT
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
