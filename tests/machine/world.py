"""Events for a coordinator, and the promises that must hold after each of its steps.

``World`` keeps its own books of what it was told, in other words than the machine's, and compares after every step.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from schemas.drift import Verdict
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricBound, MetricWindow
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import Flags, ModelConfig, RetrainRules, step
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain.data_range import Plan
from stream_app.core.retrain.events import (
    Approve,
    DriftFound,
    Event,
    Forgotten,
    ManualCommand,
    PolicyCheck,
    ProbationWindows,
    Result,
    Retrain,
    RunEnded,
    Seen,
    TickEvent,
    VersionChanged,
)
from stream_app.core.retrain.machine import next_due_ms
from stream_app.core.retrain.safeguards import SAFEGUARDS, Coverage, PerformanceCheck
from stream_app.core.retrain.state import POLICIES, ModelState

START = 20_000 * DAY_MS + 4 * HOUR_MS
MODEL = "conflict:global"
ON = Flags(auto_retrain=True, model_type=True, tenant=True, environment="development")
FLOORS = {"accuracy": 0.7, "precision": 0.6}
RULES = RetrainRules(validation_floors=FLOORS)
GOOD = {"accuracy": 0.83, "precision": 0.81}
POOR = {"accuracy": 0.61, "precision": 0.81}
#: a version is there, or a person has seen it; a training that succeeds ends the failure of one too
ENDS_A_FAILURE = {
    ("recalibrate", "activated"),
    ("activate", "activated"), ("rollback", "rolled_back"), ("dismiss", "dismissed"), ("reset_circuit", "closed"),
}  # fmt: skip

#: scores that moved and kept their order, and scores that did not
REPAIR = RepairProposal(
    metric="accuracy", first=19_997, last=19_998, rows=1_000, baseline=0.83, served=0.63, repaired=0.82, gain=0.19,
    lower=0.16, upper=0.22, auc=0.91, baseline_auc=0.92, a=1.0, b=-2.4,
)  # fmt: skip
NO_REPAIR = replace(REPAIR, refused="the order of the scores is lost", auc=0.7)
QUIET = (TickEvent, RunEnded, VersionChanged, ProbationWindows, Result, PolicyCheck)
COVERED = Coverage(19_998, 1_000, 950)


def seen(labelled: int = 5_000, coverage: Coverage | None = COVERED, **rest: Any) -> Seen:
    return Seen(Plan(START - DAY_MS, START - HOUR_MS, START, labelled, {"p": {0: (0, 9)}}), coverage, **rest)


def windows(down: float = 0.0, rows: int = 5_000, metric: str = "accuracy", first: int = 19_990) -> tuple[Any, ...]:
    """One window in which a metric is down by so much, with bounds two points around it."""
    before = 0.83
    ratios = (round((before - down) * rows), rows), (round(before * rows), rows)
    found = MetricWindow(metric, before - down, before, *ratios, rows, rows, down - 0.02, down + 0.02)
    return (LabelWindow(first, first + 7, 7, rows, rows, [found], Histogram([0] * 50, [0] * 50)),)


@dataclass
class World:
    """A coordinator, the versions it may meet, and what it promised."""

    config: ModelConfig = field(default_factory=lambda: ModelConfig(MODEL, RULES, ON))
    state: ModelState = field(default_factory=ModelState)
    now: int = START
    steps: int = 0
    serial: int = 0
    #: what was sent and not ended yet: command id → command
    open_commands: dict[str, str] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    last_train: int | None = None
    last_repair: int | None = None
    #: versions that repairs made
    repairs: set[str] = field(default_factory=set)
    #: command whose failure nothing and nobody has ended
    failed: str | None = None
    sent: set[tuple[str, str, int]] = field(default_factory=set)
    handled: list[Event] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def do(self, event: Event) -> list[fx.Effect]:
        """One step, and every promise."""
        before = self.state
        self.state, effects = step(self.config, before, event, now_ms=self.now)
        self.steps += 1
        self.reached.add(self.state.state)
        self._judge(before, event, effects)
        if event.key is not None and event.key not in before.recent:
            self.handled = [*self.handled[-7:], event]
            again, more = step(self.config, self.state, event, now_ms=self.now)
            assert (again, more) == (self.state, []), f"a repeated {event.kind} did something"
        return effects

    def _judge(self, before: ModelState, event: Event, effects: list[fx.Effect]) -> None:
        rules = self.config.rules
        late = before.given_up
        if isinstance(event, VersionChanged) and late is not None and event.version == late.candidate != before.active:
            assert self.state.watch is not None
            assert self.state.watch.by == "coordinator", "a late repair is the command's own"
        if isinstance(event, Forgotten):
            self.last_train = self.last_repair = None  # a model that comes back after 90 days is new
            self.repairs = set()
            self.failed = None
        if (before.state, self.state.state) != ("validating", "validating") and self.state.state == "validating":
            self.failed = None if self.failed == "train" else self.failed
        moved = replace(self.state, recent=before.recent, noted=before.noted) != before
        for effect in effects:
            if isinstance(effect, fx.SendCommand):
                self._sent(effect, event)
            elif isinstance(effect, fx.CommandRefused):
                self.refused.add(effect.name)
                assert not moved, f"{event.kind} was refused in {before.state} and moved something"
                assert effect.name
                assert effect.reason
            elif isinstance(effect, fx.Decide):
                assert [a.name for a in effect.answers] == list(SAFEGUARDS)
                refusing = [a for a in effect.answers if not a.passed]
                assert bool(refusing) == (effect.decision != "ordered"), "a refusal names its safeguard"
                assert effect.eligible == (effect.decision == "ordered")
                assert all(a.reason for a in effect.answers)
                self.refused.update(a.name for a in refusing)
                if isinstance(event, DriftFound) and (event.check == "statistical" or event.hourly):
                    heard = event.seen.heard[-1].verdict == "insufficient_evidence"
                    assert heard or effect.decision == "refused", "labels are heard first"
            elif isinstance(effect, fx.Audit) and effect.decision == "failed" and effect.action != "probation":
                self.failed = effect.action if effect.action != "recalibrate" else self.failed
            elif isinstance(effect, fx.Audit) and (effect.action, effect.decision) in ENDS_A_FAILURE:
                self.failed = None
            elif isinstance(effect, fx.Audit) and (effect.action, effect.decision) == ("validate", "passed"):
                assert before.job is not None
                assert before.job.candidate is not None
                found = before.job.candidate_metrics or {}
                assert all((found.get(name) or 0) >= floor for name, floor in rules.validation_floors.items())
                self.passed.add(before.job.candidate)
            elif isinstance(effect, fx.Audit) and (effect.action, effect.decision) == ("approve", "ordered"):
                asked = before.job.candidate if before.job is not None else None
                self.passed |= {asked} if asked is not None else set()
        if not effects and not isinstance(event, QUIET):
            assert event.key in before.recent, f"{event.kind} was passed over without a word"
        state = self.state
        job = state.job
        in_flight = job is not None and job.sent is not None and state.state in (
            "repairing", "requested", "training", "activating", "rolling_back",
        )  # fmt: skip
        assert (job is None) <= (state.state in ("idle", "failed", "halted", "probation"))
        assert (state.state == "probation") == (state.watch is not None)
        assert state.state != "idle" or not state.circuit_open
        assert (state.failure.command if state.failure is not None else None) == self.failed
        assert (state.state == "failed") <= (self.failed is not None), "failed says what failed"
        assert state.state != "idle" or self.failed is None, "a failure stands until something or somebody ends it"
        assert set(state.refusals) <= {*state.runs, *POLICIES, "hourly statistical", "hourly performance"}
        assert state.circuit_open or state.failures < rules.circuit_failures
        assert len(state.recent) <= 32
        if in_flight:
            assert job is not None
            assert job.sent is not None
            self.open_commands = {job.sent.id: job.sent.command}
        else:
            self.open_commands = {}

    def _sent(self, effect: fx.SendCommand, event: Event) -> None:
        name = (effect.command_id, effect.command, effect.attempt)
        assert name not in self.sent, f"{name} was sent twice"
        self.sent.add(name)
        if len(self.sent) > 10_000:
            self.sent.clear()
        assert 1 <= effect.attempt <= self.config.rules.command_attempts
        assert effect.expected_current_version == self.state.active or effect.command == "cancel"
        assert effect.candidate_version != effect.expected_current_version
        if effect.command == "cancel":
            assert effect.command_id in self.open_commands, "what was cancelled was not under way"
            return
        if effect.attempt == 1:
            after_repair = effect.command == "train" and "recalibrate" in self.open_commands.values()
            taken_back = effect.command == "train" and "rollback" in self.open_commands.values()
            ending = event.kind in ("rollback", "probation_look") or effect.command == "activate"
            ending = ending or after_repair or taken_back
            assert not self.open_commands or ending, f"{effect.command} while {self.open_commands} is under way"
        else:
            assert self.open_commands == {effect.command_id: effect.command}
        if effect.command == "activate":
            assert effect.candidate_version in self.passed, "activated without a passed validation"
        if effect.command == "recalibrate":
            assert effect.repair is not None
            assert effect.repair.refused is None, "repaired with what metrics refused"
            if effect.attempt == 1:
                nominal = event.close_ms if isinstance(event, DriftFound) else self.now
                assert self.last_repair is None or nominal >= self.last_repair + 7 * DAY_MS, "repaired within a week"
                assert effect.model_version not in self.repairs, "a repair was repaired"
                self.last_repair = nominal
                self.repairs.add(effect.candidate_version or "")
        if effect.command == "train" and effect.attempt == 1:
            nominal = event.close_ms if isinstance(event, DriftFound) else self.now
            gap = round(self.config.rules.retrain_cooldown_days * DAY_MS)
            assert self.last_train is None or nominal >= self.last_train + gap, "trained within the cooldown"
            assert effect.plan is not None
            assert effect.plan.labelled >= self.config.rules.retrain_min_samples
            self.last_train = nominal

    # -- what may happen ---------------------------------------------------------------------------------------------

    def id(self, what: str) -> str:
        self.serial += 1
        return f"{what}-{self.serial}"

    def tick(self, hours: float) -> list[fx.Effect]:
        self.now += round(hours * HOUR_MS)
        return self.do(TickEvent(seen()))

    def drift(self, check: Any = "performance", severity: str | None = "HIGH", **rest: Any) -> DriftFound:
        close = rest.get("close_ms", self.now)
        version = rest.get("version", self.state.active or "v0")
        shown = rest.get("seen", seen())
        labels = Verdict(rest.get("labels", "insufficient_evidence"))
        # as many checks as let drift of scores stand for itself, where they come to no verdict
        heard = tuple(
            PerformanceCheck(close - back * DAY_MS, close // DAY_MS - 1, version, labels) for back in (3, 2, 1)
        )
        return DriftFound(
            rest.get("id") or self.id("event"), check, severity, version, close,
            rest.get("run_from", close // DAY_MS - 1),
            dataclasses.replace(shown, heard=heard),
            rest.get("hourly", False),
            rest.get("repair"),
        )  # fmt: skip

    def policies(self, rows: int = 5_000, free: bool = True, low: int = 0) -> PolicyCheck:
        self.serial += 1
        labelled = {self.now // DAY_MS - back: rows // 10 for back in range(10)}
        # as many checks as show the active version below a floor, or one fewer than that
        version, upper = self.state.active or "v0", FLOORS["accuracy"] - 0.01
        heard = tuple(
            PerformanceCheck(self.now - back * DAY_MS, self.now // DAY_MS - 1, version, Verdict.NO_DRIFT,
                             (MetricBound("accuracy", upper - 0.02, upper if back < low else 0.8),))
            for back in (2, 1, 0)
        )  # fmt: skip
        return PolicyCheck(self.now, seen(rows, heard=heard), labelled, free, self.serial)

    def retrain(self, **rest: Any) -> Retrain:
        return Retrain(self.id("order"), "ada", "manually", rest.get("seen", seen()))

    def approve(self, **rest: Any) -> Approve:
        return Approve(self.id("order"), "ada", "looks right", rest.get("seen", seen()), rest.get("command_id"))

    def command(self, command: Any, target: str | None = None) -> ManualCommand:
        return ManualCommand(command, self.id("order"), "ada", "because", target)

    def result(self, status: Any, **rest: Any) -> Result:
        """An answer to the command on its way, if nothing else is said."""
        job = self.state.job
        command = job.sent if job is not None else None
        candidate = rest.get("candidate")
        if status == "succeeded" and "candidate" not in rest:
            self.serial += 1
            candidate = f"v{self.serial}"
        if status in ("activated", "rolled_back") and "candidate" not in rest and job is not None:
            candidate = job.candidate
        return Result(
            rest.get("command_id", command.id if command is not None else "none"),
            rest.get("attempt", command.attempt if command is not None else 1),
            status,
            candidate,
            rest.get("metrics", GOOD) if status == "succeeded" else None,
            rest.get("champion", GOOD) if status == "succeeded" else None,
            rest.get("error"),
            seen=rest.get("seen", seen()),
        )

    def changed(self, version: str, how: str = "commanded", **rest: Any) -> VersionChanged:
        return VersionChanged(version, self.state.active, how, self.now, rest.get("seen", seen()))

    def look(self, down: float = 0.0, rows: int = 5_000) -> ProbationWindows:
        watch = self.state.watch
        name, previous, since = (watch.version, watch.previous, watch.since_ms) if watch else ("v0", "v", self.now)
        return ProbationWindows(name, previous, since, windows(down, rows), seen())

    def serve(self) -> World:
        """The first version is seen."""
        self.do(self.changed("v0", "observed"))
        return self

    def due(self) -> int | None:
        return next_due_ms(self.config.rules, self.state)


def random_event(world: World, rng: random.Random) -> Event:
    """Something that can happen now: what fits as a rule, what does not now and then, and repetitions."""
    roll = rng.random()
    if roll < 0.02 and world.handled:
        return rng.choice(world.handled)
    if roll < 0.025:
        return Forgotten(90, world.now)
    if roll < 0.35:
        return TickEvent(seen())
    fitting: dict[str, tuple[str, ...]] = {
        "repairing": ("accepted", "activated", "activated", "failed", "unsupported"),
        "requested": ("accepted", "accepted", "succeeded", "failed"),
        "training": ("progress", "succeeded", "succeeded", "failed"),
        "activating": ("accepted", "activated", "activated", "failed"),
        "rolling_back": ("accepted", "rolled_back", "rolled_back", "failed"),
    }
    statuses = fitting.get(world.state.state)
    if roll < 0.62 and statuses is not None:
        status = rng.choice(statuses)
        poor = status == "succeeded" and rng.random() < 0.2
        return world.result(status, metrics=POOR if poor else GOOD)
    if roll < 0.66:
        status = rng.choice(("accepted", "progress", "succeeded", "failed", "activated", "rolled_back"))
        wrong = rng.choice(({"attempt": 7}, {"command_id": "another"}, {"candidate": None}, {"candidate": "other"}))
        return world.result(status, **wrong)
    if roll < 0.74:
        return world.look(rng.choice((0.0, 0.0, 0.08, 0.03)), rng.choice((5_000, 5_000, 40)))
    if roll < 0.77:
        job = world.state.job
        candidate = job.candidate if job is not None else None
        if world.state.given_up is not None and rng.random() < 0.5:
            candidate = world.state.given_up.candidate  # a slow deployer repaired after all
        return world.changed(candidate if candidate and rng.random() < 0.7 else f"x{rng.randrange(4)}")
    if roll < 0.90:
        some = seen(rng.choice((5_000, 5_000, 5_000, 50)), faults=rng.choice(((), (), (), ("predictions down",))))
        severity = rng.choice(("HIGH", "CRITICAL", "MEDIUM"))
        version = world.state.active or "v0"
        return world.drift(
            rng.choice(("statistical", "performance")),
            severity,
            seen=some,
            version=rng.choice((version, version, "old")),
            repair=rng.choice((None, REPAIR, NO_REPAIR)),
            labels=rng.choice(("drift", "no_drift", "insufficient_evidence", "insufficient_evidence")),
            hourly=rng.random() < 0.2,
        )
    if roll < 0.91:
        return world.policies(rng.choice((5_000, 50)), rng.random() < 0.7, rng.choice((0, 2, 3)))
    if roll < 0.92:
        return RunEnded(rng.choice(("statistical", "performance")))
    if roll < 0.94:
        return world.retrain()
    if roll < 0.97:
        return world.approve()
    return world.command(rng.choice(("reject", "rollback", "reset_circuit", "reset_circuit", "dismiss")))


def walk(world: World, rng: random.Random, steps: int) -> World:
    """A seeded random walk."""
    world.serve()
    for _ in range(steps):
        if rng.random() < 0.5:
            due = world.due()
            jump = rng.choice((1 / 60, 0.25, 1, 7, 30))
            if due is not None and rng.random() < 0.2:
                jump = max(due - world.now, 0) / HOUR_MS
            elif world.state.state in ("idle", "failed", "probation") and rng.random() < 0.3:
                jump = 100
            world.now += round(jump * HOUR_MS)
        world.do(random_event(world, rng))
    return world
