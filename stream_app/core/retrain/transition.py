"""One step in the making: the state as it becomes, and the effects so far. Lives for one call of ``step``."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec.structs import replace

from schemas import bounds
from schemas.common import uuid5
from stream_app.core.kit.audit import TEXT
from stream_app.core.kit.days import HOUR_MS
from stream_app.core.retrain.config import ModelConfig
from stream_app.core.retrain.effects import (
    COORDINATOR,
    NO_GROUNDS,
    Audit,
    CommandRefused,
    Effect,
    Grounds,
    SendCommand,
)
from stream_app.core.retrain.safeguards import SafeguardResult
from stream_app.core.retrain.state import NOTED, Cause, FailedCommand, Job, ModelState, SentCommand, State
from stream_app.errors import Broken, present

#: Longest back-off: the next day's closes are worth another try.
MAX_BACKOFF_H: Final = 24.0
MINUTE_MS: Final = 60_000


class Transition:
    """What handlers work on."""

    def __init__(self, config: ModelConfig, state: ModelState, now_ms: int) -> None:
        self.config = config
        self.rules = config.rules
        self.state = state
        self.now_ms = now_ms
        self.effects: list[Effect] = []

    # -- words ---------------------------------------------------------------------------------------------------

    def audit(
        self, action: str, decision: str, subject: str, reason: str, *, actor: str = COORDINATOR,
        ids: tuple[str, ...] = (), grounds: Grounds = NO_GROUNDS,
    ) -> None:  # fmt: skip
        """Say what was decided."""
        self.effects.append(Audit(actor, action, decision, subject, ids, reason, grounds))

    def refuse(
        self, action: str, name: str, subject: str, reason: str, *, actor: str = COORDINATOR,
        answers: tuple[SafeguardResult, ...] = (),
    ) -> None:  # fmt: skip
        """Say that nothing moved, and which rule spoke."""
        self.effects.append(CommandRefused(actor, action, name, subject, reason, answers))

    # -- moves ---------------------------------------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Change the state's fields; a new state is entered now."""
        if fields.get("state", self.state.state) != self.state.state:
            fields["since_ms"] = self.now_ms
        self.state = replace(self.state, **fields)

    def job(self) -> Job:
        """The job there is."""
        return present(self.state.job, f"the job of {self.config.model}")

    def sent(self) -> SentCommand:
        """The command on its way."""
        return present(self.job().sent, f"the command of {self.config.model}'s job")

    def change_job(self, **fields: Any) -> None:
        """Change the job's fields."""
        self.change(job=replace(self.job(), **fields))

    def rest(self, **fields: Any) -> None:
        """Go to the state at rest that fits; the job, if any, is over."""
        circuit_open = fields.get("circuit_open", self.state.circuit_open)
        failure = fields.get("failure", self.state.failure)
        state: State = "halted" if circuit_open else "failed" if failure is not None else "idle"
        if self.backing_off() is None:
            fields["backoff_until_ms"] = None
        self.change(state=state, job=None, watch=None, **fields)

    def backing_off(self) -> int | None:
        """Until when nothing is trained (epoch ms), if that is not over."""
        until = self.state.backoff_until_ms
        return until if until is not None and self.now_ms < until else None

    def begin(self, state: State, cause: Cause, **fields: Any) -> None:
        """Begin a new episode."""
        active = present(self.state.active, f"the active version of {self.config.model}")
        episode = self.state.episode + 1
        self.change(state=state, episode=episode, job=Job(episode, cause, active, **fields), watch=None)

    def note(self, fact: str) -> bool:
        """Remember what was said unasked, however many events come between; whether it is news."""
        if fact in self.state.noted:
            return False
        self.change(noted=(*self.state.noted, fact)[-NOTED:])
        return True

    # -- commands --------------------------------------------------------------------------------------------------

    def send(self, state: State, command: Literal["train", "recalibrate", "activate", "rollback"]) -> None:
        """Send the job's next command, first attempt, and wait in ``state``."""
        job = self.job()
        accept_by, finish_by = self._deadlines()
        sent = SentCommand(command, command_id(self.config.model, job.episode, command), 1, accept_by, finish_by)
        self.change(state=state, job=replace(job, sent=sent, asked=None))
        self._send(command)

    def resend(self) -> None:
        """Send the command that nobody accepted once more."""
        sent = self.sent()
        accept_by, finish_by = self._deadlines()
        again = replace(sent, attempt=sent.attempt + 1, accept_by_ms=accept_by, finish_by_ms=finish_by)
        self.change_job(sent=again)
        self._send(sent.command)

    def cancel(self) -> None:
        """Call the trainer back, if it has a command; under the command's own id."""
        job = self.state.job
        if job is not None and job.sent is not None and job.sent.command == "train":
            self._send("cancel")

    def _send(self, command: Literal["train", "recalibrate", "cancel", "activate", "rollback"]) -> None:
        job, sent = self.job(), self.sent()
        deadlines = command != "cancel"
        self.effects.append(
            SendCommand(
                command=command,
                command_id=sent.id,
                attempt=sent.attempt,
                model_version=(job.candidate or job.base) if command == "rollback" else job.base,
                expected_current_version=job.base,
                candidate_version=job.candidate,
                cause=job.cause,
                plan=job.plan if command == "train" else None,
                accept_by_ms=sent.accept_by_ms if deadlines else None,
                finish_by_ms=sent.finish_by_ms if deadlines else None,
                artifact_sha256=job.artifact_sha256 if command == "activate" else None,
                primary_metric=self.rules.primary if command == "train" else None,
                repair=job.repair if command == "recalibrate" else None,
            )
        )

    def _deadlines(self) -> tuple[int, int]:
        accept = round(self.rules.command_accept_min * MINUTE_MS)
        return self.now_ms + accept, self.now_ms + round(self.rules.command_finish_h * HOUR_MS)

    # -- failures ------------------------------------------------------------------------------------------------

    def count_failure(self) -> None:
        """A training failed or was rolled back; enough in a row open the circuit."""
        failures = self.state.failures + 1
        self.change(failures=failures, circuit_open=self.state.circuit_open or failures >= self.rules.circuit_failures)

    def fail(self, reason: str, counts: bool = True) -> None:
        """The command came to nothing: say so until it is over, and back off. A rollback was counted when commanded;
        what says nothing of the model, as that nobody took the command, does not count (``counts``)."""
        job, sent = self.job(), self.sent()
        if sent.command == "recalibrate":
            raise Broken(f"{self.config.model}: a repair that came to nothing is no failure; please report it")
        counts = counts and sent.command != "rollback"
        if counts:
            self.count_failure()
        backoff_h = min(self.rules.retrain_backoff_h * 2 ** max(self.state.failures - 1, 0), MAX_BACKOFF_H)
        until = self.now_ms + round(backoff_h * HOUR_MS)
        self.change(
            state="halted" if self.state.circuit_open else "failed",
            # a repair that cannot be taken back is no reason to wait with a training
            backoff_until_ms=until if job.repair is None else self.state.backoff_until_ms,
            failure=FailedCommand(sent.command, sent.id, sent.attempt, self.now_ms, bounds.cut(reason, TEXT), counts),
            watch=None,
        )
        self.audit(sent.command, "failed", f"{sent.id}/{sent.attempt}", reason, ids=(sent.id, *job.cause.event_ids))
        if counts and self.state.circuit_open:
            text = f"{self.state.failures} failed or rolled-back trainings in a row"
            self.audit("circuit", "opened", sent.id, text, ids=(sent.id,))


def command_id(model: str, episode: int, command: str) -> str:
    """The same command has the same id in every run, whatever its attempts."""
    return uuid5("training-command", model, str(episode), command)


def job_id(model: str, job: Job) -> str:
    """Id by which people name a job: of the command on its way, or of the one they are asked about."""
    return (
        job.sent.id
        if job.sent is not None and job.asked is None
        else command_id(model, job.episode, job.asked or "train")
    )
