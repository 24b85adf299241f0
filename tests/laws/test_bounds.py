"""Every record that is written, driven to the limits of CONTRACT section 9, is below what its topic takes.

Writers are found: topics by :meth:`Topics.specs`, records by the catalogue, entries of the logs by their union, what a
table or a positions record holds by its codec. One that nobody has bounded fails here, by the field's name.
"""

from __future__ import annotations

import typing
from types import ModuleType
from typing import Any

import msgspec
import pytest

from schemas import bounds
from schemas.catalogue import FAMILIES, Family
from schemas.common import ce_headers, encode
from schemas.training import MOST_RANGES
from stream_app.core import model_log
from stream_app.core.alerts import lane_state as alerts_lane
from stream_app.core.alerts import mutes, outcomes
from stream_app.core.alerts import stage as alerts_stage
from stream_app.core.alerts import state as alerts_state
from stream_app.core.alerts.publish import short
from stream_app.core.comparisons import finding
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import CellId, DeltaRecord, HourCount, Intervals, Part
from stream_app.core.counts.score_sketch import EXACT_LIMIT
from stream_app.core.hourly.rules import KEPT_DAYS, LONGEST_DELAY
from stream_app.core.kit.codec import Codec
from stream_app.core.labels.counts import MAX_RECORD_BYTES, records
from stream_app.core.metrics_stage import border, version_days
from stream_app.core.metrics_stage import lane_state as metrics_lane
from stream_app.core.metrics_stage.stage import MOST_CLOSES
from stream_app.core.retrain import history
from stream_app.core.retrain import lane_state as retrain_lane
from stream_app.core.retrain.publish import IDS, TEXT
from stream_app.core.retrain.state import NOTED, REMEMBERED
from stream_app.engine.protocol import POSITIONS_KEY, Positions, encode_positions
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings
from tests.laws.test_laws import codecs
from tests.support.largest import BIG, MODEL, NAME, WIDE, Unbounded, largest
from tests.support.sizes import batch_bytes

PARTITIONS = 1_000
TOPIC = 249
TOPICS = Topics("in.", "out.", PARTITIONS, PARTITIONS)

#: Names and ids as section 1 bounds them; a reason or note is at most as long as the command it came in.
TEXTS: dict[str, Any] = {
    "model": MODEL, "version": NAME, "previous": NAME, "active": NAME, "candidate": NAME, "base": NAME,
    "baseline_version": NAME, "baseline_kind": "initial", "id": NAME, "event_id": NAME, "revises": NAME,
    "command": "reset_circuit", "command_id": NAME,
    "alert_id": WIDE * bounds.COMMAND, "actor": WIDE * 1_024, "acknowledged_by": WIDE * 1_024,
    "kind": "statistical", "check": "interval_width", "verdict": "insufficient_evidence", "rule_verdict": "no_drift",
    "severity": "CRITICAL", "metric": "precision_at_80_recall", "how": "commanded", "serves": NAME,
    "settings_hash": "f" * 16,
    "artifact_sha256": "f" * 64, "accepted_by": WIDE * 1_024,
    "type": "ML_OUTCOMES_INCOMPLETE", "from_": "2026-03-02T00:00:00.000Z", "to": "2026-03-02T00:00:00.000Z",
}  # fmt: skip
#: Windows of a comparison, and the metrics of each: settings name at most six.
WINDOWS, METRICS, SAFEGUARDS = 8, 6, 9
#: topic → partition → offsets, of the two inputs
BY_PARTITION = (
    "TickEntry.inputs", "Plan.offsets", "RetrainLaneState.inputs", "MetricsLaneState.end_offsets",
    "DataRange.offsets", "AuditInputs.end_offsets",
)  # fmt: skip
#: Values of a command: numbers grow most, from four characters and a comma to nine bytes.
SAID = {"list": [0.1] * (bounds.COMMAND // 4)}
LIMITS: dict[str, Any] = TEXTS | {
    # -- entries of the logs
    "TickEntry.closes": MOST_CLOSES, "TickEntry.closes.item.item": 12,
    "TickEntry.dispositions": 2, "TickEntry.dispositions.key": TOPIC, "TickEntry.dispositions.value": 6,
    "TickEntry.dispositions.value.key": 16,
    "CommandEntry.ranges": MOST_RANGES, "CommandEntry.ranges.item": 5, "ResultEntry.range": NAME,
    "Plan.ranges": MOST_RANGES, "PlannedRange.name": 5, "ResultEntry.tried": MOST_RANGES,
    "Plan.lacks": 400, "Job.learnt_from": NAME, "Job.tried": MOST_RANGES,
    "CommandEntry.values": SAID, "Changed.values": SAID,
    "CommandEntry.reason": 4 * 4_000, "CommandEntry.subject": bounds.COMMAND,
    "CommandEntry.unreadable": 1_000, "CommandEntry.unusable": 1_000,
    "CommandEntry.note": 2_000, "EffectEntry.text": 4 * 4_000, "EffectEntry.stage": "metrics",
    "MuteTerms.model_type": NAME, "MuteTerms.kinds": 7, "MuteTerms.kinds.item": 32,
    "ResultEntry.candidate_metrics": METRICS, "ResultEntry.candidate_metrics.key": 32,
    "ResultEntry.champion_metrics": METRICS, "ResultEntry.champion_metrics.key": 32,
    "ResultEntry.error": 4 * border.ERROR, "ResultEntry.unreadable": 1_000,
    "BaselineEntry.reason": 64, "StatisticalEntry.windows": WINDOWS, "PerformanceEntry.windows": WINDOWS,
    "ProbationEntry.windows": 2 * WINDOWS, "QualityEntry.values": 8, "LabelWindow.metrics": METRICS,
    "Histogram.recent": 50, "Histogram.baseline": 50,
    "PerformanceEntry.bounds": METRICS, "EventEntry.bounds": METRICS, "PerformanceCheck.bounds": METRICS,
    # cut by bytes where they are written; :func:`test_lists_of_an_epoch_are_cut_by_bytes` drives them
    "LabelledEntry.counts": 1, "LabelledEntry.counts.item.item": 257, "HoursEntry.counts": 1,
    "HoursEntry.counts.item.item": 257,
    "DecisionEntry.safeguards": SAFEGUARDS, "DecisionEntry.safeguards.item.item": 4_000,
    # -- alerts
    "Finding.reason": finding.TEXT, "Finding.faults": finding.FAULTS, "Finding.faults.item": finding.TEXT,
    "Finding.windows": finding.WINDOWS, "Decision.safeguards": alerts_stage.SAFEGUARDS,
    "Decision.safeguards.item.item": alerts_stage.REASON,
    "Acknowledged.reason": bounds.COMMAND, "Acknowledged.unusable": bounds.COMMAND, "Accepted.reason": bounds.COMMAND,
    "AlertHistory.latest": 5, "AlertHistory.latest.key": 32, "AlertHistory.quality": 6, "AlertHistory.quality.key": 32,
    "OpenAlert.event_ids": alerts_state.EVENTS, "OpenAlert.event_ids.item": 36, "OpenAlert.streaks": 3,
    "OpenAlert.streaks.key": 32, "OpenAlert.alarmed": 2, "OpenAlert.alarmed.key": 16, "OpenAlert.episodes": 2,
    "OpenAlert.episodes.item": 16, "OpenAlert.severe_ids": alerts_state.REVISABLE, "OpenAlert.severe_ids.item": 36,
    "OpenAlert.found": 6, "OpenAlert.found.key": 32,
    "OpenAlert.raised_by": 5, "OpenAlert.raised_by.item": 32, "OpenAlert.notes": alerts_state.NOTES,
    "Occasion.about": 64, "Occasion.subject": 64, "Occasion.command": "activate", "Occasion.reason": 4_000,
    "JobEntry.state": 32, "JobEntry.job_id": 36, "JobEntry.asked": "activate", "JobEntry.reason": 4_000,
    "JobEntry.failed": "activate", "JobEntry.failed_id": 36, "JobEntry.failure": 4_000,
    "Note.note": 2_000, "GivenVerdict.note": 2_000, "ClosedAlert.resolution": 32,
    "Gathered.reason": 4_000, "Gathered.mutes_of": MODEL, "Gathered.effects": outcomes.EFFECTS,
    "Gathered.effects.item.item": outcomes.TEXT, "Mute.kinds": 7, "Mute.kinds.item": 32, "Mute.reason": mutes.REASON,
    "Muted.model_type": NAME, "Muted.kinds": 7, "Muted.kinds.item": 32, "Muted.reason": bounds.COMMAND,
    "Muted.unusable": bounds.COMMAND, "Remarked.reason": bounds.COMMAND, "Remarked.unusable": bounds.COMMAND,
    "Remarked.note": 2_000, "MuteList.mutes": mutes.MOST,
    # -- drift, retrain
    "ModelState.runs": 4, "ModelState.runs.key": 16, "DriftState.runs": 4, "DriftState.runs.key": 16,
    "DriftState.faults": 2, "DriftState.faults.key": 16,
    "DriftState.faults.value": 400, "ModelState.recent": REMEMBERED, "ModelState.recent.item": 1_200,
    "Cause.event_ids": 2, "Cause.event_ids.item": 36, "Cause.reason": 16_000,
    "ModelState.noted": NOTED, "ModelState.noted.item": 1_200, "ModelState.refusals": 8, "ModelState.refusals.key": 24,
    "FailedCommand.reason": TEXT, "Failure.reason": TEXT,
    "Refusals.subject": NAME, "Refusals.last": NAME, "Refusals.why": 400,
    "Refusals.names": SAFEGUARDS, "Refusals.names.item": 32,
    "SentCommand.id": 36,
    "Job.candidate_metrics": METRICS, "Job.candidate_metrics.key": 32, "Job.champion_metrics": METRICS,
    "RepairProposal.refused": 400, "ModelState.repaired": NAME, "Job.champion_metrics.key": 32,
    "History.by_day": 400, "History.heard": history.HEARD, "History.faults": 8, "History.faults.item": 400,
    "Finding.day": 20_000, "Finding.run_from": 20_000, "Finding.close_ms": 2**41,
    # -- metrics
    "VersionDays.first": version_days.FIRST_DAYS, "VersionDays.marks": 2, "VersionDays.marks.key": 16,
    "VersionDays.marks.value": version_days.MARKED_DAYS, "VersionDays.marks.value.key": 20_000,
    "VersionDays.lasting": 2, "VersionDays.lasting.key": 16,
    "ScoreRun.distances": version_days.REMEMBERED_DAYS, "ScoreRun.distances.key": 20_000,
    "Calibration.edges": EXACT_LIMIT, "Calibration.hits": EXACT_LIMIT, "Calibration.hits.item": 2**40,
    "Calibration.rows": EXACT_LIMIT, "Calibration.rows.item": 2**40, "Muting.outside": 7,
    "ComparisonState.performed.item": 128,
    # by hours: a tick that jumps over closes leaves the references of as many days as hour records are kept
    "ModelReferences.errors": KEPT_DAYS, "ModelReferences.scores": KEPT_DAYS, "HourlyReference.reason": 80,
    "HourlyReference.slots": 10, "HourlyReference.slots.item": 10, "HourlyReference.edges": 10,
    "HourlyReference.edges.item": 31, "HourlyReference.numbers": 10 * 4 * (5 + 4 + 38),
    **{f"KindEvidence.{name}": 8 * 40 for name in ("rest", "best", "best_hours")},
    **{f"FlyingDay.{name}": 8 * 40 for name in ("digest", "whole", "since", "best", "best_hours")},
    "KindEvidence.flying": LONGEST_DELAY, "KindEvidence.touched": KEPT_DAYS,
    "TickProgress.after": 1 + 4 + 257 + 1 + 128,
    # -- positions records: settings of single models are keys of their own table
    "MetricsLaneState.closed": PARTITIONS, "MetricsLaneState.closed.key": PARTITIONS,
    "MetricsLaneState.dispositions": 2, "MetricsLaneState.dispositions.key": 16,
    "MetricsLaneState.dispositions.value": 6, "MetricsLaneState.dispositions.value.key": 16,
    "MetricsLaneState.dispositions.value.value": PARTITIONS,
    "MetricsLaneState.dispositions.value.value.key": PARTITIONS,
    # -- published
    "Trigger.drift_event_ids": IDS, "AuditInputs.ids": IDS,
    "AuditRecord.safeguards": SAFEGUARDS, "AutoRetrain.safeguards": SAFEGUARDS,
    "Owner.at_start": 16, "Owner.at_start.key": 64, "Owner.at_start.value": 64,
    "Setting.value": WIDE * (bounds.COMMAND // 6),
}  # fmt: skip

for _field in BY_PARTITION:
    LIMITS |= {_field: 2, f"{_field}.key": TOPIC, f"{_field}.value": PARTITIONS, f"{_field}.value.key": PARTITIONS}

#: Codecs that are driven by tests of their own, and where.
ELSEWHERE = {
    "stream_app.core.counts.cells_codec": "test_a_cell_never_grows_beyond_its_bound",
    "stream_app.core.hourly.hours_codec": "tests/unit/hourly/test_hours.py",
    "stream_app.core.counts.deltas": "test_a_checkpoint_of_any_names_is_split_below_the_bound",
    "stream_app.core.labels.lane_state": "the labels lane's own",
    "stream_app.core.metrics_stage.held": "tests/unit/test_held_baseline.py",
    "stream_app.core.kit.changes": "settings of single models are keys of their own table",
}
#: Codecs of a plain collection, at its limit.
PLAIN: dict[str, Any] = {
    "stream_app.core.retrain.day_offsets": {"t" * TOPIC: {BIG - i: BIG for i in range(PARTITIONS)}, "u" * TOPIC: {}},
    "stream_app.core.retrain.profile": [BIG] * 24,
    # two settings hold lists of names, each as long as the command that says it; the others are numbers and words
    "stream_app.core.kit.settings_table": {
        "auto_retrain_tenants": ["t" * 128] * (bounds.COMMAND // 131),
        "auto_retrain_types": {f"{i:03d}".ljust(128, "t"): True for i in range(bounds.COMMAND // 136)},
        **{f"setting_{i}".ljust(40, "x"): BIG for i in range(120)},
    },
}
#: What lanes keep in their positions records.
LANE_STATES = {
    "metrics_stage.lane_state": metrics_lane.MetricsLaneState,
    "retrain.lane_state": retrain_lane.RetrainLaneState,
    "alerts.lane_state": alerts_lane.AlertsLaneState,
}


def _stored(module: Any) -> bytes:
    """The largest that a codec writes."""
    if module.__name__ in PLAIN:
        return bytes(module.encode(PLAIN[module.__name__]))
    found = [codec for codec in vars(module).values() if isinstance(codec, Codec)]
    assert found, f"{module.__name__} has no codec: give it a row in PLAIN or ELSEWHERE"
    return max((codec.encode(largest(codec.kind, LIMITS)) for codec in found), key=len)


def _written() -> list[tuple[str, int]]:
    """Topics that are written here, with what each takes."""
    specs = [*TOPICS.specs(), *TOPICS.own(60)]
    limits = TOPICS.message_limits()
    return [(spec.name, limits.get(spec.name, bounds.MESSAGE)) for spec in specs if spec.largest]


#: What :func:`test_the_largest_record_of_every_topic_is_below_what_it_takes` does not drive by a schema.
LOGS = {TOPICS.model_log, TOPICS.drift_log, TOPICS.decision_log}
OTHERS = {
    TOPICS.dead_letters: "tests/unit/test_dead_letters.py: test_whatever_arrives_fits_the_topic",
    TOPICS.model_deltas: "test_a_checkpoint_of_any_names_is_split_below_the_bound",
    TOPICS.operator_commands: "tests/unit/test_command_bounds.py",
    TOPICS.training_results: "tests/unit/test_command_bounds.py",
    TOPICS.clock: "a tick names two topics and their offsets",
    TOPICS.model_clock: "a tick names two topics and their offsets",
}


def _families() -> dict[str, Family]:
    return {TOPICS.output_prefix + f.topic: f for f in FAMILIES if f.sent == "out" and f.record is not None}


def test_every_topic_that_is_written_has_a_row() -> None:
    changelogs = {spec.name for spec in TOPICS.own(60)}
    covered = set(_families()) | LOGS | set(OTHERS) | changelogs
    assert {name for name, _ in _written()} - covered == set()


@pytest.mark.parametrize("topic", sorted(_families()))
def test_the_largest_record_of_every_topic_is_below_what_it_takes(topic: str) -> None:
    family = _families()[topic]
    report = {"Alert.report": _report()} if family.topic == "alerts" else {}
    record = largest(family.record, LIMITS | _published() | report)
    value = encode(record)
    msgspec.json.decode(value, type=family.record)  # the largest that the schema allows, and no larger
    headers = [
        *ce_headers(family.name, "i" * 36, MODEL, 0, "/plumbline/" + "a" * 249),
        ("plumbline.command", b"activate"),
    ]
    size = batch_bytes((f"{MODEL}|{NAME}|2026-03-02".encode(), value, headers))
    print(f"{topic}: {size:,} bytes")
    assert size < bounds.BATCH
    assert size < dict(_written())[topic]


def _published() -> dict[str, Any]:
    """In published records the schema says what a name and an id are."""
    return dict.fromkeys(TEXTS)


def _report() -> dict[str, Any]:
    """The report of an alert whose book is as large as it gets."""
    found = largest(finding.Finding, LIMITS)
    shown = short(found)
    slots = [f"slot-{i}" for i in range(7)]
    return {"last_drift": dict.fromkeys(slots[:4], shown), "quality": [shown] * 6, "faults": found.faults * 8} | (
        dict.fromkeys(slots[4:], shown)
    )


@pytest.mark.parametrize("entry", typing.get_args(model_log.Entry), ids=lambda e: e.__name__)
def test_no_entry_of_a_log_is_larger_than_256_kib(entry: type) -> None:
    value = model_log.encode(largest(entry, LIMITS))
    print(f"{entry.__name__}: {len(value):,} bytes")
    assert len(value) <= bounds.LOG_ENTRY
    assert batch_bytes((MODEL.encode(), value, [])) < bounds.MESSAGE


def test_an_entry_that_nobody_bounded_is_found_by_its_field() -> None:
    class New(msgspec.Struct):
        model: str
        notes: list[int]

    with pytest.raises(Unbounded, match=r"New\.notes"):
        largest(New, LIMITS)


@pytest.mark.parametrize("module", codecs(), ids=lambda m: m.__name__)
def test_everything_a_table_holds_is_below_what_its_changelog_takes(module: ModuleType) -> None:
    if module.__name__ in ELSEWHERE or module is model_log:
        return
    value = _stored(module)
    print(f"{module.__name__}: {len(value):,} bytes")
    assert batch_bytes((b"K" * 600, value, [])) < bounds.BATCH


@pytest.mark.parametrize("name", LANE_STATES)
def test_a_positions_record_has_256_kib_at_most_with_1000_input_partitions(name: str) -> None:
    module: Any = next(m for m in codecs() if m.__name__.endswith(name))
    lane_state = module.encode(largest(LANE_STATES[name], LIMITS))
    static = Settings(types={f"t{i}": {} for i in range(20)}).static_view()
    aliases = ("model-deltas", "operator-commands", "training-results", "clock")
    record = encode_positions(
        Positions(dict.fromkeys(aliases, BIG), BIG, {"t" * TOPIC: BIG, "u" * TOPIC: BIG}, static, lane_state)
    )
    print(f"{name}: {len(record):,} bytes")
    assert len(record) <= bounds.POSITIONS
    assert batch_bytes((POSITIONS_KEY, record, [])) < bounds.BATCH


def test_every_positions_record_is_looked_at() -> None:
    found = {m.__name__.removeprefix("stream_app.core.") for m in codecs() if m.__name__.endswith(".lane_state")}
    assert found == {*LANE_STATES, "labels.lane_state"}, "drift's holds its settings alone"


def test_the_metrics_lane_comes_to_that_record_by_what_its_sources_say() -> None:
    lane_state = metrics_lane.MetricsLaneState()
    names = ("joined", "pending", "unmatched", "duplicate", "corrected", "dead_lettered")
    for source in range(PARTITIONS):
        counts = {side: dict.fromkeys(names, 2**53 + source) for side in ("predictions", "outcomes")}
        part = Part(0, 1, {"p" * TOPIC: 2**53 + source, "o" * TOPIC: 2**53 + source}, counts)
        lane_state.note(source, part)
        lane_state.closed[source] = 2**41
    assert len(metrics_lane.encode(lane_state)) < bounds.POSITIONS - 20_000
    assert lane_state.inputs()["p" * TOPIC][999] == 2**53 + 999
    assert lane_state.totals()["outcomes"]["joined"] == sum(2**53 + source for source in range(PARTITIONS))


@pytest.mark.parametrize("entry", [model_log.LabelledEntry, model_log.HoursEntry])
def test_lists_of_an_epoch_are_cut_by_bytes(entry: Any) -> None:
    rows: list[Any] = [(MODEL, NAME, BIG) if entry is model_log.LabelledEntry else (MODEL, BIG, BIG)] * 5_000
    runs = list(bounds.pieces(rows, model_log.LIST_BYTES))
    assert sum(map(len, runs)) == 5_000
    sizes = [len(model_log.encode(entry(run))) for run in runs]
    assert len(sizes) > 5
    assert max(sizes) <= bounds.LOG_ENTRY


@pytest.mark.parametrize("cells", [1, 12_000])
def test_a_checkpoint_of_any_names_is_split_below_the_bound(cells: int) -> None:
    """Every event of a checkpoint under names of its own, as long as names may be."""
    events = 12_000
    names = [(f"{i:08d}".ljust(128, "t") + ":" + "n" * 128, f"{i:08d}".ljust(128, "v")) for i in range(cells)]
    cell = [CellId(model, version, 480_000) for model, version in names]
    hours = [HourCount(model, version, 480_000 + h, 1) for h in range(events // cells) for model, version in names]
    rows = deltas.aggregate(
        [i % cells for i in range(events)], [0] * events, [i / events for i in range(events)], [1] * events
    )
    part = Part(
        0, 1, {"p" * TOPIC: BIG}, {}, cell, rows.cells.tobytes(), rows.kinds.tobytes(), rows.scores.tobytes(),
        rows.counts.tobytes(), [Intervals(i, 1, 2**32, 0) for i in range(cells)], hours,
    )  # fmt: skip
    made = [deltas.decode(value) for value in records(PARTITIONS, [part])]
    assert all(len(deltas.encode(record)) <= MAX_RECORD_BYTES for record in made)
    parts = [piece for record in made for piece in record.parts]
    assert sorted(hour for piece in parts for hour in piece.hours) == sorted(hours)
    assert sum(len(piece.rows().counts) for piece in parts) == events
    assert [piece.closed for piece in parts] == [None] * (len(parts) - 1) + [1]
    assert batch_bytes((b"999", deltas.encode(DeltaRecord(PARTITIONS, parts[:1])), [])) < bounds.BATCH
