"""Alerts about retraining: an approval is wanted, a training failed, a version was rolled back, the circuit is open.

Pure; time is an argument. They are told once when they open, without reminders and escalation, and once more when what
they are about has ended. Each is about one occasion: another one ends it and opens a new alert.

=====================  ===================================  ====================================================
type                   opens with                           ends with
=====================  ===================================  ====================================================
ML_APPROVAL_WANTED     a request that waits for a person    its answer, or its lapse
ML_TRAINING_FAILED     a command that came to nothing       a success of its kind, or a person
ML_ROLLED_BACK         a version put back by a command      the end of that version's probation, or another change
ML_CIRCUIT_OPEN        trainings that failed in a row       a person closing the circuit
=====================  ===================================  ====================================================
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from schemas.common import uuid5
from stream_app.core.alerts.facts import JobChanged, VersionReplaced
from stream_app.core.alerts.lifecycle import AlertChange
from stream_app.core.alerts.state import (
    APPROVAL,
    CIRCUIT,
    FAILED,
    ROLLED_BACK,
    AlertHistory,
    Decision,
    Occasion,
    OpenAlert,
)
from stream_app.core.kit.days import day_of
from stream_app.core.log_terms import JobEntry

TYPES: Final = (APPROVAL, FAILED, ROLLED_BACK, CIRCUIT)
#: States of a job in which the version that was put back is still looked at.
_LOOKED_AT: Final = ("probation", "rolling_back")


def step(
    history: AlertHistory, fact: JobChanged | VersionReplaced, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    """The history of one type after a fact, and the revisions it causes."""
    alert = history.alert
    if isinstance(fact, VersionReplaced):
        if history.type != ROLLED_BACK:
            return history, []
        by = fact.by
        back = f"{by.version}/{by.since_ms}"
        occasion = Occasion(back, back, by.version, candidate=by.previous)
        return _now(history, fact.model, occasion if by.how == "rolled_back" else None, now_ms)
    if history.type == ROLLED_BACK:
        if alert is None or fact.job.state in _LOOKED_AT:
            return history, []
        return _now(history, fact.model, None, now_ms)
    return _now(history, fact.model, _occasion(history.type, fact.job), now_ms)


def _occasion(type: str, job: JobEntry) -> Occasion | None:
    """What a job says now that people should hear of."""
    if type == APPROVAL and job.asked is not None and job.state == "awaiting_approval":
        asked = f"{job.job_id}/{job.asked}"
        return Occasion(asked, asked, job.version, job.asked, job.reason, job.candidate, job.lapses_ms)
    if type == FAILED and job.failed is not None:
        failed = f"{job.failed_id}/{job.failed_at_ms}"
        return Occasion(failed, failed, job.version, job.failed, job.failure or "")
    if type == CIRCUIT and job.circuit_open:
        # one alert however many jobs come to nothing while it is open; a later circuit is another episode's
        return Occasion("circuit", f"circuit/{job.episode}", job.version, reason=job.failure or "")
    return None


def _now(
    history: AlertHistory, model: str, occasion: Occasion | None, now_ms: int
) -> tuple[AlertHistory, list[AlertChange]]:
    """End what is over, and open what has begun."""
    news = []
    alert = history.alert
    known = alert.occasion if alert is not None else None
    if known is not None and occasion is not None and known.about == occasion.about:
        return history, []
    if alert is not None:
        history = replace(history, alert=None)
        over = replace(alert, revision=alert.revision + 1)
        news.append(AlertChange(over, "resolved", "cause_ended", history))
    if occasion is not None:
        opened = OpenAlert(
            id=uuid5("alert", history.type, model, occasion.subject),
            type=history.type,
            model=model,
            close_ms=now_ms,
            opened_ms=now_ms,
            first_day=day_of(now_ms),
            risen_ms=now_ms,
            severity="HIGH",
            version=occasion.version,
            event_ids=[],
            decision=Decision(False, []),
            streaks={},
            severe=0,
            severe_ids=[],
            found={},
            events=0,
            occasion=occasion,
        )
        history = replace(history, alert=opened)
        news.append(AlertChange(opened, "opened", None, history))
    return history, news
