"""Hourly evidence as it is published, and the alarm that an episode begins or grows with."""

from __future__ import annotations

from msgspec import UNSET

from schemas.common import rfc3339, uuid5
from schemas.drift import Verdict
from schemas.hourly import HourlyEvidence
from stream_app.core.comparisons.finding import HOURLY
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from stream_app.core.comparisons.verdicts import Judgement
from stream_app.core.drift.events import About, Judged, hourly_window
from stream_app.core.kit.days import HOUR_MS
from stream_app.core.model_log import BaselineEntry


def evidence(entry: HourlyEntry) -> HourlyEvidence:
    """The public record of an entry."""
    model_type, _, tenant = entry.model.partition(":")
    as_of = rfc3339(entry.hour * HOUR_MS)
    return HourlyEvidence(
        schema="io.plumbline.hourly-evidence.v1",
        id=uuid5("hourly-evidence", entry.model, entry.kind, entry.version, as_of),
        at=rfc3339(entry.at_ms),
        model=entry.model,
        model_type=model_type,
        tenant_id=tenant,
        kind=entry.kind,
        as_of=as_of,
        model_version=entry.version,
        evidence=entry.evidence,
        in_flight=entry.in_flight,
        threshold=entry.threshold,
        episode=rfc3339(entry.since * HOUR_MS) if entry.since is not None else UNSET,
        change=entry.what if entry.what not in (None, "goes_on") else UNSET,  # type: ignore[arg-type]
        severity=entry.severity or UNSET,
        settings_hash=entry.settings_hash,
    )


def alarm(entry: HourlyEntry) -> tuple[About, Judged, int] | None:
    """The event of an episode that opened or was raised, and the first day of what it is about; ``None`` otherwise.

    It is no run of daily checks: those go on as if there were no hours.
    """
    if entry.what not in ("opened", "raised"):
        return None
    loss, last, days = entry.loss, entry.hour - 1, entry.baseline_days
    compared = BaselineEntry("window", entry.baseline_first, entry.baseline_last, days) if days else BaselineEntry()
    about = About(
        model=entry.model,
        kind=entry.kind,
        check=HOURLY,
        version=entry.version,
        close_ms=entry.hour * HOUR_MS,
        at_ms=entry.at_ms,
        day=last // 24,
        baseline=compared,
    )
    found = Judged(
        judgement=Judgement(Verdict.DRIFT, None, entry.severity),
        windows=[hourly_window(loss, entry.metric)] if loss is not None else [],
        statistic=loss.points if loss is not None else None,
        metric=entry.metric,
        acquitted=entry.acquitted,
        evidence=entry.evidence,
    )
    return about, found, (loss.start if loss is not None else last) // 24
