"""Hypothesis looks for a sequence of events that breaks a promise of the coordinator: 100,000 steps in all.

Promises are checked by ``World`` after every step; a failing sequence is shrunk to its shortest form.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.retrain import ModelConfig, RetrainRules
from stream_app.core.retrain.transitions import STATES, TABLE
from tests.machine.world import FLOORS, GOOD, MODEL, NO_REPAIR, ON, POOR, REPAIR, RULES, World, seen

EXAMPLES, STEPS = 1_200, 100

#: what the whole search came to, over all its examples
_reached: set[str] = set()
_steps = 0

_RULES = (
    RULES,
    RetrainRules(require_manual_approval=True, validation_floors=FLOORS),
    RetrainRules(),
    RetrainRules(
        require_manual_approval=True,
        validation_floors=FLOORS,
        retrain_policies=("drift", "floor", "labels", "schedule"),
        retrain_every_labels=3_000,
    ),
    RetrainRules(validation_floors=FLOORS, retrain_policies=("schedule",), retrain_cooldown_days=1),
    RetrainRules(validation_floors=FLOORS, retrain_cooldown_days=0, probation_days=2, circuit_failures=3),
)
_ORDERED = ("repairing", "requested", "training", "activating", "rolling_back")


class Coordinator(RuleBasedStateMachine):
    """Everything a model can meet, in any order."""

    world: World

    @initialize(rules=st.sampled_from(_RULES))
    def start(self, rules: RetrainRules) -> None:
        self.world = World(ModelConfig(MODEL, rules, ON)).serve()

    def _do(self, event: object) -> None:
        global _steps
        _steps += 1
        self.world.do(event)  # type: ignore[arg-type]

    @rule(hours=st.sampled_from((0, 1 / 60, 0.2, 1, 7, 25, 80, 170)))
    def time_passes(self, hours: float) -> None:
        global _steps
        _steps += 1
        self.world.tick(hours)

    @rule(rows=st.sampled_from((50, 5_000)), free=st.booleans(), low=st.sampled_from((0, 2, 3)))
    def policies_are_asked(self, rows: int, free: bool, low: int) -> None:
        self._do(self.world.policies(rows, free, low))

    @rule()
    def next_timer(self) -> None:
        due = self.world.due()
        self.world.now = max(self.world.now, due or 0)
        self._do(self.world.drift() if due is None else self.world.retrain())

    @rule(
        check=st.sampled_from(("statistical", "performance")),
        severity=st.sampled_from(("HIGH", "CRITICAL", "MEDIUM", None)),
        labelled=st.sampled_from((5_000, 100, 99)),
        faults=st.sampled_from(((), (), ("predictions down",))),
        labels=st.sampled_from(("drift", "no_drift", "insufficient_evidence", "insufficient_evidence")),
        hourly=st.booleans(),
        repair=st.sampled_from((None, REPAIR, REPAIR, NO_REPAIR)),
    )
    def drift(
        self,
        check: str,
        severity: str | None,
        labelled: int,
        faults: tuple[str, ...],
        labels: str,
        hourly: bool,
        repair: RepairProposal | None,
    ) -> None:
        found = seen(labelled, faults=faults)
        self._do(self.world.drift(check, severity, seen=found, labels=labels, hourly=hourly, repair=repair))

    @precondition(lambda self: self.world.state.state in ("idle", "failed"))
    @rule()
    def a_loss_that_a_repair_mends(self) -> None:
        self.world.tick(800)  # past the cooldown, maturity and the week between repairs
        self._do(self.world.drift("performance", "HIGH", labels="drift", repair=REPAIR))

    @precondition(lambda self: self.world.state.state in ("idle", "failed"))
    @rule(times=st.integers(1, 3))
    def trainings_fail(self, times: int) -> None:
        for _ in range(times):
            self._do(self.world.retrain())
            if self.world.state.state == "requested":
                self._do(self.world.result("failed"))

    @rule(labelled=st.sampled_from((5_000, 5_000, 99)))
    def retrain_by_hand(self, labelled: int) -> None:
        self._do(self.world.retrain(seen=seen(labelled)))

    @precondition(lambda self: self.world.state.state == "awaiting_approval")
    @rule(agrees=st.booleans(), other=st.sampled_from((None, None, "another")))
    def answer(self, agrees: bool, other: str | None) -> None:
        self._do(self.world.approve(command_id=other) if agrees else self.world.command("reject", other))

    @rule(
        command=st.sampled_from(("reject", "rollback", "reset_circuit", "dismiss")),
        to=st.sampled_from((None, None, "v0")),
    )
    def command(self, command: str, to: str | None) -> None:
        self._do(self.world.command(command, to if command == "rollback" else None))

    @precondition(lambda self: self.world.state.state in _ORDERED)
    @rule(good=st.booleans(), worse=st.booleans())
    def done(self, good: bool, worse: bool) -> None:
        status = {"repairing": "activated", "activating": "activated", "rolling_back": "rolled_back"}.get(
            self.world.state.state, "succeeded"
        )
        champion = {"accuracy": 0.9, "precision": 0.81} if worse else GOOD
        self._do(self.world.result(status, metrics=GOOD if good else POOR, champion=champion))

    @rule(
        status=st.sampled_from(
            ("accepted", "progress", "succeeded", "failed", "unsupported", "activated", "rolled_back")
        ),
        wrong=st.sampled_from(({}, {}, {"attempt": 3}, {"command_id": "another"}, {"candidate": "v0"})),
    )
    def result(self, status: str, wrong: dict[str, object]) -> None:
        self._do(self.world.result(status, **wrong))

    @rule(down=st.sampled_from((0.0, 0.03, 0.08)), rows=st.sampled_from((5_000, 50)))
    def look(self, down: float, rows: int) -> None:
        self._do(self.world.look(down, rows))

    @rule(version=st.sampled_from(("v0", "x1", "x2", None)))
    def version_changes(self, version: str | None) -> None:
        job = self.world.state.job
        name = version or (job.candidate if job is not None else None) or "x3"
        self._do(self.world.changed(name))

    @precondition(lambda self: self.world.state.given_up is not None)
    @rule(accepted=st.booleans())
    def the_repair_comes_late(self, accepted: bool) -> None:
        late = self.world.state.given_up
        assert late is not None
        assert late.sent is not None
        if accepted:
            self._do(self.world.result("accepted", command_id=late.sent.id, attempt=late.sent.attempt))
        self._do(self.world.changed(late.candidate))

    @precondition(lambda self: bool(self.world.handled))
    @rule(back=st.integers(0, 7))
    def again(self, back: int) -> None:
        handled = self.world.handled
        before = self.world.state
        self._do(handled[back % len(handled)])
        assert self.world.state == before

    @invariant()
    def state_is_in_the_table(self) -> None:
        if hasattr(self, "world"):
            assert self.world.state.state in TABLE

    def teardown(self) -> None:
        if hasattr(self, "world"):
            _reached.update(self.world.reached)


def test_no_sequence_of_100_000_steps_breaks_a_promise() -> None:
    global _steps
    _steps = 0
    run_state_machine_as_test(
        Coordinator,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert _steps >= 100_000
    assert _reached == set(STATES)
