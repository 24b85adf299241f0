"""Records made from the coordinator's effects: commands, jobs, audit, and the drift event of a bad hand-over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET, UnsetType

from schemas import bounds
from schemas.common import ce_headers, encode, rfc3339, uuid5
from schemas.drift import DriftEvent, DriftKind, Severity, Verdict
from schemas.training import (
    DataRange,
    ExpectedGain,
    Failure,
    Recalibration,
    TrainingCommand,
    TrainingData,
    TrainingJob,
    TrainingRange,
    Trigger,
)
from stream_app.core import model_log
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.drift.events import finding, label_windows
from stream_app.core.kit.audit import IDS, TEXT, Auditor, Repeated, Said
from stream_app.core.kit.days import HOUR_MS, day_of
from stream_app.core.kit.effects import Emit
from stream_app.core.log_terms import JobEntry
from stream_app.core.retrain import effects as fx
from stream_app.core.retrain import state
from stream_app.core.retrain.config import RetrainSettings
from stream_app.core.retrain.data_range import Plan
from stream_app.core.retrain.safeguards import SafeguardResult
from stream_app.core.retrain.transition import job_id

COMMANDS: Final = "training-commands"
JOBS: Final = "training-jobs"
DRIFT_EVENTS: Final = "drift-events"
DECISION_LOG: Final = "decision-log"

#: header by which trainers and the deployer pick what is theirs
COMMAND_HEADER: Final = "plumbline.command"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes records of one tick."""

    settings: RetrainSettings
    partition: int
    at_ms: int
    #: read end offsets of the inputs at the tick
    end_offsets: dict[str, dict[int, int]]

    def effect(self, model: str, effect: fx.Effect, windows: Sequence[LabelWindow] = ()) -> list[Emit]:
        """The records of one effect; ``windows``: those of the comparison in hand."""
        if isinstance(effect, fx.SendCommand):
            return [self._command(model, effect)]
        if isinstance(effect, fx.PublishJob):
            return [self._job(model, effect), self._log(self._job_entry(model, effect.state), model)]
        if isinstance(effect, fx.Audit):
            grounds = effect.grounds
            known = grounds.refusals
            said = Said(
                model, *effect[:6], _plain(grounds.answers), comparison=grounds.comparison, tried=grounds.tried,
                repeated=Repeated(known.count, known.first_ms) if known is not None else None,
            )  # fmt: skip
            return [self.audit(said)]
        if isinstance(effect, fx.CommandRefused):
            reason = f"{effect.name}: {effect.reason}"
            actor, action, subject = effect.actor, effect.action, effect.subject
            answers = _plain(effect.answers)
            return [self.audit(Said(model, actor, action, "refused", subject, (subject,), reason, answers))]
        if isinstance(effect, fx.Kept):
            return [self._log(model_log.KeptEntry(model, effect.version, effect.since_ms, self.at_ms), model)]
        if isinstance(effect, fx.Replaced):
            return [self._log(model_log.ReplacedEntry(model, *effect), model)]
        if isinstance(effect, fx.Wait):
            return []  # the stage keeps the queue
        if isinstance(effect, fx.Decide):
            return self._decision(model, effect)
        return self._hand_over(model, effect, windows)

    def audit(self, said: Said) -> Emit:
        """A decision, with what it was based on."""
        return self._auditor.record(said, self.at_ms, self.end_offsets, self.settings.hash_of(said.model))

    @property
    def _auditor(self) -> Auditor:
        return Auditor("retrain", self.partition, self.settings.config.source)

    def _command(self, model: str, sent: fx.SendCommand) -> Emit:
        id = uuid5("training-command", sent.command_id, sent.command, str(sent.attempt))
        cause = sent.cause
        record = TrainingCommand(
            schema="io.plumbline.training-command.v1",
            **self._common(id, model),
            command=sent.command,
            command_id=sent.command_id,
            attempt=sent.attempt,
            model_version=sent.model_version,
            expected_current_version=sent.expected_current_version,
            candidate_version=sent.candidate_version or UNSET,
            artifact_sha256=sent.artifact_sha256 or UNSET,
            trigger=Trigger(cause.kind, list(cause.event_ids[-IDS:]), bounds.cut(cause.reason, TEXT)),
            data=_data(sent.plan) if sent.plan is not None else UNSET,
            primary_metric=sent.primary_metric or UNSET,
            recalibration=_recalibration(sent.repair),
            accept_by=rfc3339(sent.accept_by_ms) if sent.accept_by_ms is not None else UNSET,
            finish_by=rfc3339(sent.finish_by_ms) if sent.finish_by_ms is not None else UNSET,
            reply_topic=self.settings.config.reply_topic,
            reply_partition=self.partition,
        )
        emit = self._emit(COMMANDS, "training-command", model.encode(), id, model, record)
        return emit._replace(headers=[*emit.headers, (COMMAND_HEADER, sent.command.encode())])

    def _job(self, model: str, effect: fx.PublishJob) -> Emit:
        known, job = effect.state, effect.state.job
        attempt = job.sent.attempt if job is not None and job.sent is not None and job.asked is None else 0
        circuit = "open" if known.circuit_open else "closed"
        since = rfc3339(known.since_ms)
        failure = known.failure
        failed = (failure.id, str(failure.attempt)) if failure is not None else ()
        id = uuid5("training-job", model, str(known.episode), known.state, str(attempt), circuit, since, *failed)
        record = TrainingJob(
            schema="io.plumbline.training-job.v1",
            **self._common(id, model),
            state=known.state,
            command_id=job_id(model, job) if job is not None else None,
            attempt=attempt,
            candidate_version=job.candidate if job is not None else None,
            circuit=circuit,  # type: ignore[arg-type]
            since=since,
            failure=_failure(failure) if failure is not None else UNSET,
            asked=job.asked if job is not None and job.asked is not None else UNSET,
            recalibration=_recalibration(job.repair if job is not None else None),
        )
        return self._emit(JOBS, "training-job", model.encode(), id, model, record)

    def _job_entry(self, model: str, known: state.ModelState) -> JobEntry:
        """What alerts has to know of it."""
        job, failure = known.job, known.failure
        waits_ms = round(self.settings.rules_of(model).rules.approval_lapses_h * HOUR_MS)
        asked = job.asked if job is not None else None
        return JobEntry(
            model=model,
            state=known.state,
            version=known.active or (job.base if job is not None else "unknown"),
            job_id=job_id(model, job) if job is not None else None,
            asked=asked,
            reason=bounds.cut(job.cause.reason, TEXT) if job is not None else "",
            candidate=job.candidate if job is not None else None,
            lapses_ms=known.since_ms + waits_ms if asked is not None else None,
            failed=failure.command if failure is not None else None,
            failed_id=failure.id if failure is not None else None,
            failed_at_ms=failure.at_ms if failure is not None else 0,
            failure=bounds.cut(failure.reason, TEXT) if failure is not None else None,
            circuit_open=known.circuit_open,
            failures=known.failures,
            episode=known.episode,
        )

    def _decision(self, model: str, effect: fx.Decide) -> list[Emit]:
        answers = effect.answers
        refusing = [f"{a.name}: {a.reason}" for a in answers if not a.passed]
        reason = "; ".join(refusing) or "all safeguards passed"
        reason = f"{reason}; {effect.note}" if effect.note else reason
        entry = model_log.DecisionEntry(
            model, effect.event_id, effect.eligible, [(a.name, a.passed, bounds.cut(a.reason, TEXT)) for a in answers]
        )
        known = effect.refusals
        if known is not None and known.count > 1:
            return [self._log(entry, model)]  # the audit has it, and hears when it is over
        said = Said(
            model, fx.COORDINATOR, effect.action, effect.decision, effect.event_id, (effect.event_id,), reason,
            _plain(answers), Repeated(known.count, known.first_ms) if known is not None else None,
        )  # fmt: skip
        return [self._log(entry, model), self.audit(said)]

    def _hand_over(self, model: str, effect: fx.WorseVersion, windows: Sequence[LabelWindow]) -> list[Emit]:
        record = DriftEvent(
            schema="io.plumbline.drift-event.v1",
            **self._common(effect.event_id, model),
            kind=DriftKind.PERFORMANCE,
            check="handover",
            as_of=rfc3339(effect.close_ms),
            model_version=effect.version,
            baseline_version=effect.previous,
            baseline_kind="previous",
            verdict=Verdict.DRIFT,
            rule_verdict=None,
            severity=Severity.HIGH,
            statistic=effect.points,
            metric=effect.metric,
            windows=label_windows([windows[effect.window]]),
            second_opinion=None,
            settings_hash=self.settings.hash_of(model),
        )
        id = effect.event_id
        emit = self._emit(DRIFT_EVENTS, "drift-event", id.encode(), id, model, record)
        entry = model_log.EventEntry(finding(record, day_of(effect.close_ms)))
        return [emit, self._log(entry, model)]

    def _common(self, id: str, model: str) -> dict[str, Any]:
        model_type, _, tenant = model.partition(":")
        return {"id": id, "at": rfc3339(self.at_ms), "model": model, "model_type": model_type, "tenant_id": tenant}

    def _emit(self, topic: str, kind: str, key: bytes, id: str, model: str, record: Any) -> Emit:
        headers = ce_headers(kind, id, model, self.at_ms, self.settings.config.source)
        return Emit(topic, self.partition, key, encode(record), headers)

    def _log(self, entry: model_log.Entry, model: str) -> Emit:
        return Emit(DECISION_LOG, self.partition, model.encode(), model_log.encode(entry), [])


def _failure(known: state.FailedCommand) -> Failure:
    return Failure(known.command, known.id, known.attempt, rfc3339(known.at_ms), known.reason)


def _recalibration(found: RepairProposal | None) -> Recalibration | UnsetType:
    if found is None or found.gain is None or found.lower is None or found.upper is None:
        return UNSET
    expected = ExpectedGain(found.metric, found.gain, found.lower, found.upper)
    return Recalibration(found.a, found.b, found.threshold, expected)


def _plain(answers: Sequence[SafeguardResult]) -> list[tuple[str, bool, str]]:
    return [(a.name, a.passed, a.reason) for a in answers]


def _data(plan: Plan) -> TrainingData:
    train = DataRange(from_=rfc3339(plan.from_ms), to=rfc3339(plan.split_ms), offsets=plan.offsets)
    ranges = [
        TrainingRange(name=item.name, from_=rfc3339(item.from_ms), to=rfc3339(plan.split_ms), rows=item.rows)
        for item in plan.ranges
    ]
    holdout = DataRange(from_=rfc3339(plan.split_ms), to=rfc3339(plan.to_ms), offsets=plan.offsets)
    return TrainingData(train, holdout, ranges)
