"""The retrain stage: what it forwards, adds and publishes, and that checkpoints cannot be seen in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.common import parse_ms
from schemas.drift import DriftEvent
from stream_app.core import model_log
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.metrics_stage.border import read_command, read_result
from stream_app.core.retrain import Flags, RetrainRules
from stream_app.errors import Incompatible
from tests.machine.world import FLOORS
from tests.unit.retrain.bench import (
    MODEL,
    Bench,
    D,
    at,
    command,
    completeness,
    event,
    lifecycle,
    probation,
    result,
    snapshot,
    tick,
)

ADDED = (
    model_log.JobEntry,
    model_log.EffectEntry,
    model_log.DecisionEntry,
    model_log.KeptEntry,
    model_log.ReplacedEntry,
)


def states(bench: Bench) -> list[str]:
    return [job.state for job in bench.of("training-jobs")]


def decisions(bench: Bench) -> list[tuple[str, str]]:
    return [(a.action, a.decision) for a in bench.of("audit")]


def test_every_entry_is_forwarded_unchanged_with_its_key_and_in_order() -> None:
    bench = Bench().activated()
    bench.checkpoint()
    forwarded = [e for e in bench.emits if e.topic == "decision-log"]
    entries = [model_log.decode(e.value or b"") for e in forwarded]
    assert len([e for e in entries if not isinstance(e, ADDED)]) == bench.lane.logs["log"].end
    for emit, entry in zip(forwarded, entries, strict=True):
        assert emit.partition == 0
        model = getattr(entry, "model", None)
        assert emit.key == (model.encode() if model is not None else None)


def test_a_decision_stands_after_its_event_and_before_the_epochs_tick() -> None:
    bench = Bench().serving()
    cause = event("performance", D)
    log = bench.feed(cause, tick(at(D))).log()
    decided = next(e for e in log if isinstance(e, model_log.DecisionEntry))
    assert (decided.event_id, decided.eligible, len(decided.safeguards)) == (cause.id, True, 8)
    shown = next(e for e in reversed(log) if isinstance(e, model_log.JobEntry))
    assert log[-4:] == [cause, decided, shown, tick(at(D))]


def test_drift_sends_a_train_command_that_names_its_data() -> None:
    bench = Bench().serving()
    bench.feed(event("performance", D, run_from=D - 2), tick(at(D)))
    sent = bench.last("training-commands")
    assert (sent.command, sent.attempt, sent.model_version, sent.expected_current_version) == ("train", 1, "v0", "v0")
    assert parse_ms(sent.accept_by) == at(D) + 600_000
    assert parse_ms(sent.finish_by) == at(D) + 6 * HOUR_MS
    assert (sent.reply_topic, sent.reply_partition) == ("ml.training-results", 0)
    train, holdout = sent.data.train, sent.data.holdout
    assert parse_ms(train.from_) == (D - 2) * DAY_MS
    assert train.to == holdout.from_
    # two days of a thousand rows: 400 are 9.6 hours of the last one
    assert parse_ms(train.to) == (D - 1) * DAY_MS + 14 * HOUR_MS
    assert parse_ms(holdout.to) == at(D)
    # from the last tick before the day before the range, 02:00, to the tick that commands
    first, last = at(D - 4, 2) // HOUR_MS, at(D) // HOUR_MS
    assert train.offsets == holdout.offsets == {"ml.predictions": {0: (first, last), 1: (first + 5, last + 5)}}
    emit = [e for e in bench.emits if e.topic == "training-commands"][-1]
    assert emit.key == MODEL.encode()
    assert ("plumbline.command", b"train") in emit.headers


def test_rows_of_an_unknown_past_are_looked_for_from_the_beginning() -> None:
    bench = Bench().serving(days=2)
    bench.feed(event("performance", D, run_from=D - 9), tick(at(D)))
    assert bench.last("training-commands").data.train.offsets["ml.predictions"][0][0] == 0


def test_the_loop_goes_from_drift_to_a_version_that_is_kept() -> None:
    bench = Bench().activated()
    assert states(bench) == ["requested", "validating", "activating", "probation"]
    now = at(D + 1, 6)
    bench.feed(probation("v1", "v0", at(D, 6), now), tick(now))
    kept = [e for e in bench.log() if isinstance(e, model_log.KeptEntry)]
    assert kept == [model_log.KeptEntry(MODEL, "v1", at(D, 6), now)]
    assert decisions(bench) == [
        ("train", "ordered"), ("validate", "passed"), ("activate", "activated"), ("probation", "kept"),
    ]  # fmt: skip
    assert bench.last("training-jobs").state == "idle"


def test_a_worse_version_is_rolled_back_at_the_first_look() -> None:
    bench = Bench().activated()
    now = at(D + 1, 6)
    bench.feed(probation("v1", "v0", at(D, 6), now - HOUR_MS, 0.08), tick(now - HOUR_MS))
    assert bench.last("training-commands").command == "activate"
    bench.feed(probation("v1", "v0", at(D, 6), now, 0.08), tick(now))
    sent = bench.last("training-commands")
    assert (sent.command, sent.model_version, sent.candidate_version, sent.expected_current_version) == (
        "rollback", "v0", "v0", "v1",
    )  # fmt: skip
    assert sent.trigger.kind == "probation"
    bench.feed(result(sent, "rolled_back"), lifecycle("v0", "v1", now + HOUR_MS), tick(now + HOUR_MS))
    assert decisions(bench)[-2:] == [("probation", "failed"), ("rollback", "rolled_back")]


def test_a_worse_version_from_outside_is_a_drift_event_that_nobody_acts_on() -> None:
    bench = Bench().serving()
    bench.feed(lifecycle("v9", "v0", at(D), "observed"), tick(at(D)))
    now = at(D + 1)
    bench.feed(probation("v9", "v0", at(D), now, 0.08), tick(now))
    bench.checkpoint()
    emit = next(e for e in bench.emits if e.topic == "drift-events")
    public = msgspec.json.decode(emit.value or b"", type=DriftEvent)
    assert (public.kind, public.check, public.severity, public.verdict) == ("performance", "handover", "HIGH", "drift")
    assert (public.model_version, public.baseline_version, public.baseline_kind) == ("v9", "v0", "previous")
    log = bench.log()
    entry = next(e for e in log if isinstance(e, model_log.EventEntry))
    assert (entry.id, entry.finding.check, len(entry.finding.windows)) == (public.id, "handover", len(public.windows))
    decided = next(e for e in log if isinstance(e, model_log.DecisionEntry))
    assert (decided.event_id, decided.eligible) == (entry.id, False)
    assert bench.of("training-commands") == []


def test_every_refusal_is_audited_with_every_safeguards_answer() -> None:
    bench = Bench(flags=Flags()).serving()
    cause = event("performance", D, severity="MEDIUM")
    audit = bench.feed(cause, tick(at(D))).last("audit")
    assert (audit.action, audit.decision, audit.actor) == ("train", "refused", "retrain-coordinator")
    assert audit.inputs.ids == [cause.id]
    assert audit.inputs.settings_hash == "0123456789abcdef"
    assert audit.inputs.end_offsets["ml.predictions"][0] == at(D) // HOUR_MS
    assert [s.name for s in audit.safeguards if not s.passed] == ["flags", "severity"]
    assert len(audit.safeguards) == 8
    assert audit.reason == "flags: auto_retrain is off in production; severity: MEDIUM, HIGH is needed"


@pytest.mark.parametrize(
    ("entries", "name", "words"),
    [
        ([completeness(D, labelled=300)], "coverage", "30.0 %"),
        ([event("performance", D, faults=["predictions down 60 %"])], "coverage", "predictions down 60 %"),
        ([snapshot(day, outcomes=30) for day in (D - 2, D - 1)], "samples", "60 labelled rows"),
        ([event("performance", D, version="old")], "active_job", "old drifted, v0 is active now"),
    ],
)
def test_nothing_is_trained_on_data_that_is_broken(entries: list[Any], name: str, words: str) -> None:
    bench = Bench().serving()
    if not any(isinstance(e, model_log.EventEntry) for e in entries):
        entries = [*entries, event("performance", D)]
    bench.feed(*entries, tick(at(D)))
    refusing = [s for s in bench.last("audit").safeguards if not s.passed]
    assert [s.name for s in refusing] == [name]
    assert words in refusing[0].reason


def test_faults_of_the_last_close_block_a_manual_retraining() -> None:
    bench = Bench().serving()
    bench.feed(
        event("completeness", D + 1, faults=["outcomes missing"]), tick(at(D + 1, 1.5)),
        command("retrain"), tick(at(D + 1, 2)),
    )  # fmt: skip
    audit = bench.last("audit")
    assert (audit.actor, audit.action, audit.decision) == ("ada", "retrain", "refused")
    assert audit.reason == "coverage: coverage: outcomes missing"


def test_a_manual_retraining_learns_from_30_days_back() -> None:
    bench = Bench(flags=Flags()).serving()
    bench.feed(command("retrain"), tick(at(D)))
    sent = bench.last("training-commands")
    assert parse_ms(sent.data.train.from_) == (D - 30) * DAY_MS
    assert (sent.trigger.kind, sent.trigger.reason) == ("manual", "because")


def test_what_waits_for_a_person_runs_when_it_is_approved() -> None:
    bench = Bench(RetrainRules(validation_floors=FLOORS, require_manual_approval=True)).serving()
    bench.feed(event("performance", D), tick(at(D)))
    job = bench.last("training-jobs")
    assert (job.state, bench.of("training-commands")) == ("awaiting_approval", [])
    assert not next(e for e in bench.log() if isinstance(e, model_log.DecisionEntry)).eligible
    bench.feed(command("approve", command_id=job.command_id), tick(at(D, 6)))
    sent = bench.last("training-commands")
    assert (sent.command, sent.command_id) == ("train", job.command_id)
    assert parse_ms(sent.data.train.from_) == (D - 2) * DAY_MS
    assert parse_ms(sent.data.holdout.to) == at(D, 6)


def test_what_cannot_be_read_is_audited_and_commands_of_other_stages_are_left_to_them() -> None:
    bench = Bench().serving()
    broken = read_command(b'{"command": "retrain", "id": "x", "model": "%s"}' % MODEL.encode())
    wrong = read_result(b'{"command_id": "x", "status": "done", "model": "%s"}' % MODEL.encode())
    bench.feed(command("acknowledge"), command("set"), broken, wrong, command("approve", command_id=7))
    bench.feed(tick(at(D)))
    assert decisions(bench) == [
        ("set", "refused"), ("read_command", "refused"), ("read_result", "refused"), ("read_command", "refused"),
    ]  # fmt: skip


def test_commands_about_a_model_nobody_serves_are_refused_and_leave_nothing_behind() -> None:
    bench = Bench()
    bench.feed(command("retrain", model="no:one"), command("rollback", model="no:one"), tick(at(D)))
    assert [a.decision for a in bench.of("audit")] == ["refused", "refused"]
    assert [key for key in bench.table.rows if key[:1] in b"JT"] == []


@pytest.mark.parametrize("partition", [0, 1])
def test_a_command_about_all_models_is_audited_by_partition_0_and_done_everywhere(partition: int) -> None:
    bench = Bench(RetrainRules(require_manual_approval=True), partition=partition)
    for model in ("conflict:a", "conflict:b", "conflict:c"):
        bench.serving(3 if model != "conflict:a" else 4, model=model)
    bench.feed(*[event("performance", D, model=model) for model in ("conflict:a", "conflict:b")], tick(at(D)))
    before = len(bench.of("audit"))
    bench.feed(command("reject", model="*"), command("retrain", model="*"), tick(at(D, 5)))
    made = [(a.model, a.decision) for a in bench.of("audit")[before:]]
    own = [("*", "ordered")] if partition == 0 else []
    other = [("*", "refused")] if partition == 0 else []
    assert made == [*own, ("conflict:a", "rejected"), ("conflict:b", "rejected"), *other]


def test_timers_run_on_after_a_restart() -> None:
    bench = Bench().serving()
    bench.feed(event("performance", D), tick(at(D)))
    bench.checkpoint()
    bench.lane.reopen()
    bench.feed(tick(at(D, 4.5)))
    assert [(c.command, c.attempt) for c in bench.of("training-commands")] == [("train", 1), ("train", 2)]
    first, second = bench.of("training-commands")
    assert first.command_id == second.command_id
    assert first.id != second.id
    assert first.data == second.data


def test_a_quiet_model_has_no_marks_and_costs_nothing_at_a_tick() -> None:
    bench = Bench().activated()
    now = at(D + 1, 6)
    assert [key for key in bench.table.rows if key[:1] == b"T"] == [b"T" + MODEL.encode()]
    bench.feed(probation("v1", "v0", at(D, 6), now), tick(now))
    bench.checkpoint()
    assert [key for key in bench.table.rows if key[:1] in b"TE"] == []


def test_memory_of_a_model_and_of_end_offsets_is_bounded() -> None:
    bench = Bench()
    for day in range(D - 400, D):
        bench.feed(snapshot(day), completeness(day), event("performance", day, "no_drift"), tick(at(day)))
    bench.checkpoint()
    assert len([key for key in bench.table.rows if key[:1] == b"B"]) <= 93
    assert max(len(value) for value in bench.table.rows.values()) < 2_000


@pytest.mark.parametrize("seed", range(20))
def test_where_checkpoints_fall_and_restarts_come_cannot_be_seen(seed: int) -> None:
    def life(bench: Bench) -> Bench:
        bench.activated()
        now = at(D + 1, 6)
        bench.feed(probation("v1", "v0", at(D, 6), now, 0.08), event("statistical", D + 1, version="v1"), tick(now))
        bench.feed(result(bench.last("training-commands"), "failed", error="no"), tick(now + HOUR_MS))
        bench.feed(command("retrain"), command("reset_circuit"), tick(now + 2 * HOUR_MS))
        bench.feed(event("performance", D + 9, version="v1"), tick(at(D + 9)), tick(at(D + 9, 7)), tick(at(D + 9, 11)))
        bench.checkpoint()
        return bench

    whole, cut = life(Bench()), life(Bench(seed=seed))
    assert cut.restarts > 3
    assert cut.emits == whole.emits
    assert cut.table.rows == whole.table.rows


def test_state_of_another_release_is_refused_by_name() -> None:
    bench = Bench().serving()
    bench.checkpoint()
    bench.table.rows[b"J" + MODEL.encode()] = b"\x07"
    with pytest.raises(Incompatible, match=r"retraining memory under key .* has format 7"):
        bench.feed(event("performance", D), tick(at(D)))
