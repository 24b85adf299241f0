"""The table of transitions: every pair of state and event, and what each legal move does."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain.diagram import document
from stream_app.core.retrain.events import KINDS, Kind
from stream_app.core.retrain.transitions import STATES, TABLE, Refuse, State, Stay
from tests.machine.world import FLOORS, POOR, World, seen
from tests.unit.retrain import places
from tests.unit.retrain.places import PLACES, event

ROOT = Path(__file__).parents[3]
PAIRS = [(state, kind) for state in STATES for kind in KINDS]


def test_every_pair_is_a_transition_a_quiet_stay_or_a_named_refusal() -> None:
    assert len(STATES) == 11
    for state, kind in PAIRS:
        cell = TABLE[state][kind]
        if isinstance(cell, Refuse):
            assert cell.name
            assert cell.why
        elif isinstance(cell, Stay):
            assert cell.why
        else:
            assert set(cell.to) <= set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_the_places_of_these_tests_are_what_they_are_called(state: State) -> None:
    assert PLACES[state]().state.state == state


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_an_illegal_event_is_refused_by_name_and_moves_nothing(state: State, kind: Kind) -> None:
    world = PLACES[state]()
    world.state = replace(world.state, recent=())  # or the answer that led here would be a repetition
    before, cell = world.state, TABLE[state][kind]
    effects = world.do(event(world, kind))
    after = replace(world.state, recent=before.recent, noted=before.noted)
    if isinstance(cell, Refuse):
        assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == [cell.name]
        assert len(effects) == 1
        assert after == before
    elif isinstance(cell, Stay):
        assert effects == []
        assert after == before
    else:
        assert world.state.state in (state, *cell.to)


#: manually, a person's word is not awaited
BUSY = [p for p in PAIRS if p[1] in ("drift", "retrain") and p[0] != "idle" and p != ("awaiting_approval", "retrain")]


@pytest.mark.parametrize(("state", "kind"), BUSY)
def test_no_second_training_begins_while_anything_is_under_way(state: State, kind: Kind) -> None:
    world = PLACES[state]()
    before = world.state
    effects = world.do(event(world, kind))
    assert not [e for e in effects if isinstance(e, fx.SendCommand)]
    assert replace(world.state, recent=(), runs={}, refusals={}) == replace(before, recent=(), runs={}, refusals={})
    found = next(e for e in effects if isinstance(e, fx.Decide | fx.CommandRefused))
    refusing = {a.name for a in found.answers if not a.passed}
    assert refusing & {"active_job", "approval", "circuit"}


# -- legal moves -----------------------------------------------------------------------------------------------------


def sent(effects: list[fx.Effect]) -> list[tuple[str, int]]:
    return [(e.command, e.attempt) for e in effects if isinstance(e, fx.SendCommand)]


def audits(effects: list[fx.Effect]) -> list[tuple[str, str]]:
    return [(e.action, e.decision) for e in effects if isinstance(e, fx.Audit)]


def test_drift_with_all_safeguards_passed_sends_a_train_command() -> None:
    world = places.world()
    cause = world.drift("statistical", "CRITICAL")
    effects = world.do(cause)
    sent = next(e for e in effects if isinstance(e, fx.SendCommand))
    assert (sent.command, sent.attempt, sent.model_version, sent.expected_current_version) == (
        "train", 1, "v0", "v0",
    )  # fmt: skip
    assert sent.accept_by_ms == world.now + 10 * 60_000
    assert sent.finish_by_ms == world.now + 6 * HOUR_MS
    assert sent.cause.event_ids == (cause.id,)
    decided = next(e for e in effects if isinstance(e, fx.Decide))
    assert (decided.event_id, decided.eligible, decided.decision) == (cause.id, True, "ordered")
    assert isinstance(effects[-1], fx.PublishJob)


def test_the_same_episode_has_the_same_command_id_in_every_run() -> None:
    first, second = places.requested(), places.requested()
    assert first.state.job == second.state.job


def test_an_unaccepted_command_is_sent_three_times_then_fails() -> None:
    world = places.requested()
    assert sent(world.tick(1 / 6 - 0.001)) == []
    effects = world.tick(0.001)
    assert (sent(effects), audits(effects)) == ([("train", 2)], [("train", "sent_again")])
    assert sent(world.tick(1 / 6)) == [("train", 3)]
    effects = world.tick(1 / 6)
    assert (sent(effects), audits(effects), world.state.state) == ([], [("train", "failed")], "failed")
    # that nobody took it says nothing of the model
    assert world.state.failures == 0


def test_a_late_answer_to_an_earlier_attempt_counts_for_nothing() -> None:
    world = places.requested()
    late = world.result("accepted")
    world.tick(0.2)
    effects = world.do(late)
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["other_attempt"]
    assert world.state.state == "requested"


def test_an_accepted_command_is_not_sent_again_and_is_cancelled_when_late() -> None:
    world = places.training()
    assert sent(world.tick(5.9)) == []
    effects = world.tick(0.1)
    assert sent(effects) == [("cancel", 1)]
    assert world.state.state == "failed"


def test_results_out_of_order_still_end_the_training() -> None:
    world = places.requested()
    early = world.result("accepted")
    world.do(world.result("succeeded", candidate="v1"))
    assert world.state.state == "validating"
    assert [e.name for e in world.do(early) if isinstance(e, fx.CommandRefused)] == ["answered_already"]
    assert sent(world.tick(0)) == [("activate", 1)]


def test_a_candidate_below_the_thresholds_is_rejected_and_does_not_count() -> None:
    world = places.validating(metrics=POOR)
    effects = world.tick(0)
    assert (audits(effects), sent(effects)) == ([("validate", "rejected")], [])
    assert (world.state.state, world.state.failures) == ("idle", 0)


@pytest.mark.parametrize("candidate", [None, "v0"])
def test_a_success_without_a_new_version_is_a_failure(candidate: str | None) -> None:
    world = places.validating(candidate=candidate)
    assert world.state.state == "failed"


def test_a_candidate_of_a_type_without_thresholds_waits_for_a_person() -> None:
    world = places.awaiting_activation()
    assert (world.state.state, world.state.job and world.state.job.asked) == ("awaiting_approval", "activate")
    assert sent(world.do(world.approve())) == [("activate", 1)]
    assert world.state.state == "activating"


def test_an_approval_is_asked_for_and_starts_the_training_it_was_asked_for() -> None:
    world = places.world(places.APPROVAL)
    effects = world.do(world.drift())
    decided = next(e for e in effects if isinstance(e, fx.Decide))
    assert (decided.eligible, decided.decision, sent(effects)) == (False, "awaiting_approval", [])
    world.now += HOUR_MS
    assert sent(world.do(world.approve())) == [("train", 1)]
    assert world.state.last_train_ms == world.now


def test_an_approval_skips_its_own_request_and_nothing_else() -> None:
    world = places.awaiting_approval()
    effects = world.do(world.approve(seen=seen(faults=("predictions down",))))
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["coverage"]
    assert world.state.state == "awaiting_approval"
    effects = world.do(world.approve(command_id="another"))
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["another_job"]
    assert world.do(world.approve()) != []
    assert world.state.state == "requested"


def test_an_approval_lapses_after_72_h_and_counts_for_nothing() -> None:
    world = places.awaiting_approval()
    assert audits(world.tick(71.9)) == []
    assert audits(world.tick(0.1)) == [("approve", "lapsed")]
    assert (world.state.state, world.state.failures, world.state.last_train_ms) == ("idle", 0, None)


def test_a_manual_retraining_takes_the_place_of_one_that_waits() -> None:
    world = places.awaiting_approval()
    effects = world.do(world.retrain())
    assert audits(effects) == [("approve", "cancelled"), ("retrain", "ordered")]
    assert (sent(effects), world.state.state) == ([("train", 1)], "requested")


def test_the_cooldown_of_a_scheduled_training_counts_from_its_close_and_manually_from_its_tick() -> None:
    world = places.world()
    close = world.now
    world.now += 2 * HOUR_MS  # the tick is late
    world.do(world.drift(close_ms=close))
    world.do(world.result("failed"))
    world.now = close + 7 * DAY_MS - 1
    assert sent(world.do(world.retrain())) == []
    world.tick(0)
    world.now = close + 7 * DAY_MS
    assert sent(world.do(world.retrain())) == [("train", 1)]
    assert world.state.last_train_ms == world.now


def test_two_failures_in_a_row_open_the_circuit_until_an_operator_closes_it() -> None:
    world = places.halted()
    assert (world.state.circuit_open, world.state.failures) == (True, 2)
    world.tick(30 * 24)
    effects = world.do(world.retrain())
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["circuit"]
    assert audits(world.do(world.command("reset_circuit"))) == [("reset_circuit", "closed")]
    assert world.state.state == "idle"
    assert sent(world.do(world.drift())) == [("train", 1)]


def test_a_kept_version_ends_the_row_of_failures() -> None:
    world = places.failed()
    world.tick(8 * 24)
    world.do(world.drift())
    world.do(world.result("succeeded", candidate="v1"))
    world.tick(0)
    world.do(world.result("activated"))
    assert world.state.failures == 1
    world.now += DAY_MS
    effects = world.do(world.look(0.0))
    assert [e for e in effects if isinstance(e, fx.Kept)] == [fx.Kept("v1", world.now - DAY_MS)]
    assert (world.state.state, world.state.failures) == ("idle", 0)


def test_a_failure_backs_off_twice_as_long_each_time() -> None:
    rules = places.RetrainRules(validation_floors=FLOORS, retrain_cooldown_days=0, circuit_failures=9)
    world = places.world(rules)
    for hours in (1, 2, 4, 8, 16, 24):
        assert sent(world.do(world.drift())) == [("train", 1)]
        world.do(world.result("failed"))
        assert world.state.backoff_until_ms == world.now + hours * HOUR_MS
        world.tick(hours - 0.01)
        refused = next(e for e in world.do(world.drift()) if isinstance(e, fx.Decide))
        assert [a.name for a in refused.answers if not a.passed] == ["active_job"]
        world.tick(0.01)


# -- versions ---------------------------------------------------------------------------------------------------------


def test_the_first_version_of_a_model_has_no_probation() -> None:
    world = World().serve()
    assert (world.state.state, world.state.active) == ("idle", "v0")


@pytest.mark.parametrize("state", ["awaiting_approval", "requested", "training", "validating", "activating"])
def test_a_version_from_outside_cancels_the_open_job_and_is_watched(state: State) -> None:
    world = PLACES[state]()
    effects = world.do(world.changed("outsider"))
    assert [d for _, d in audits(effects)] == ["cancelled", "began"]
    assert sent(effects) == ([("cancel", 1)] if state in ("requested", "training") else [])
    assert world.state.watch is not None
    assert (world.state.watch.by, world.state.watch.version, world.state.job) == ("outside", "outsider", None)
    assert world.state.failures == 0


def test_metrics_report_of_the_ordered_version_is_no_change_from_outside() -> None:
    world = places.activating()
    world.do(world.changed("v1"))
    assert world.state.watch is not None
    assert (world.state.state, world.state.watch.by) == ("probation", "coordinator")


def test_a_version_that_is_deployed_after_its_command_was_given_up_is_still_answered_for() -> None:
    world = places.activating()
    world.do(world.result("accepted"))
    world.tick(6)
    assert world.state.state == "failed"
    # the change of version says it, and nothing beside
    assert world.do(world.result("activated")) == []
    assert audits(world.do(world.changed("v1"))) == [("activate", "activated")]
    world.now += DAY_MS
    assert sent(world.do(world.look(0.08))) == [("rollback", 1)]
    assert world.state.failures == 1, "one training counts once"


def test_a_bad_version_that_was_activated_here_is_rolled_back() -> None:
    world = places.rolling_back()
    job = world.state.job
    assert job is not None
    assert (job.base, job.candidate, world.state.failures) == ("v1", "v0", 1)
    world.do(world.result("rolled_back"))
    assert (world.state.active, world.state.watch and world.state.watch.by) == ("v0", "restored")


def test_a_bad_version_from_outside_raises_an_event_and_nothing_is_ordered() -> None:
    world = places.world()
    world.do(world.changed("outsider"))
    world.now += DAY_MS
    effects = world.do(world.look(0.08))
    found = next(e for e in effects if isinstance(e, fx.WorseVersion))
    assert (found.version, found.previous, found.metric) == ("outsider", "v0", "accuracy")
    decided = next(e for e in effects if isinstance(e, fx.Decide))
    assert decided.event_id == found.event_id
    assert {a.name for a in decided.answers if not a.passed} == {"active_job"}
    assert (sent(effects), world.state.state) == ([], "idle")


def test_a_restored_version_is_watched_and_ends_no_alert() -> None:
    world = places.rolling_back()
    world.do(world.result("rolled_back"))
    world.now += DAY_MS
    effects = world.do(world.look(0.0))
    assert audits(effects) == [("probation", "kept")]
    assert not [e for e in effects if isinstance(e, fx.Kept)]


def test_a_probation_without_evidence_ends_after_14_days() -> None:
    world = places.probation()
    world.now += 14 * DAY_MS - 1
    assert audits(world.do(world.look(0.08, rows=40))) == []
    world.now += 1
    effects = world.tick(0)
    assert audits(effects) == [("probation", "kept_without_evidence")]
    assert [e for e in effects if isinstance(e, fx.Kept)]


@pytest.mark.parametrize("state", [s for s in STATES if s != "rolling_back"])
def test_a_manual_rollback_is_done_at_any_time(state: State) -> None:
    world = PLACES[state]()
    effects = world.do(world.command("rollback"))
    assert sent(effects)[-1] == ("rollback", 1)
    assert world.state.state == "rolling_back"
    assert audits(effects)[0] == ("rollback", "ordered")


def test_a_rollback_to_nowhere_is_refused() -> None:
    world = World().serve()
    effects = world.do(world.command("rollback"))
    assert [e.name for e in effects if isinstance(e, fx.CommandRefused)] == ["no_previous_version"]


def test_the_run_that_stood_at_the_change_says_which_days_a_version_is_compared_with() -> None:
    world = places.activating()
    assert "performance" in world.state.runs
    world.do(world.result("activated"))
    assert world.state.watch is not None
    assert world.state.watch.run_from == world.state.runs["performance"]


# -- the document ----------------------------------------------------------------------------------------------------


def test_the_document_is_the_one_that_the_table_makes() -> None:
    assert (ROOT / "docs" / "retraining.md").read_text() == document(), (
        "run python -m stream_app.core.retrain.diagram > docs/retraining.md"
    )
