"""Alarm, episode and its end (CONTRACT section 3a).

An episode is open from an alarm until the days in flight alone have shown nothing for a day and the newest daily check
of its kind does not say drift; or until ``rebaseline`` or another version. Within it a further event goes out only when
severity rises. At its end evidence begins anew.

What the daily check of the kind has found already, on its newest day, is told once: such an alarm opens its episode
without an event, which goes out when the severity rises above the check's. A model whose quality falls by a season
keeps the reference of before, as its days are tainted, so it would alarm weeks after its daily alert, and say no more
(docs/statistics.md).

One of scores that outcomes acquit goes on, but its days teach the reference as those of the acquitted run teach the
daily baseline: a lasting and harmless change would keep it open, and its model unwatched, for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import replace

from schemas.drift import RANK, Severity
from stream_app.core.comparisons.hourly_entry import HourlyLoss
from stream_app.core.hourly.evidence import HourlyReading
from stream_app.core.hourly.evidence_state import HourlyEpisode, KindEvidence
from stream_app.core.hourly.hours import HOURS

#: Hours for which the days in flight alone show nothing before an episode ends.
QUIET_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class HourlyJudgement:
    """What becomes of a reading. An event goes out when an episode ``opened`` or was ``raised``; one that opens on what
    the daily check has told is ``known``."""

    state: KindEvidence
    what: Literal["opened", "known", "raised", "goes_on", "ended"] | None = None
    #: the highest that was told
    severity: Severity | None = None


def at_issue(state: KindEvidence, reading: HourlyReading) -> bool:
    """Whether there is an alarm or an episode: then the loss is estimated and :func:`judge` is asked."""
    return reading.alarm or state.episode is not None


def judge(
    state: KindEvidence,
    reading: HourlyReading,
    loss: HourlyLoss | None,
    hour: int,
    *,
    daily: Severity | None,
    acquitted: bool | None = False,
) -> HourlyJudgement:
    """``hour``: the full hour. ``daily``: severity of the drift that the newest daily check of the kind found, where
    its newest day shows it too. ``acquitted``: of scores, what outcomes say of the run they stand in (MEDIUM at most
    if they acquit it); ``None``: there is none."""
    severity = Severity.MEDIUM if loss is None or acquitted else loss.severity
    episode = state.episode
    told = [known for known in (daily, episode.severity if episode is not None else None) if known is not None]
    news = reading.alarm and all(RANK[severity] > RANK[known] for known in told)
    highest = max([severity, *told] if reading.alarm else told, key=RANK.__getitem__, default=severity)
    if episode is None:
        if not reading.alarm:
            return HourlyJudgement(state)
        start = reading.start if reading.start is not None else hour - 1
        opened = HourlyEpisode(hour, start, highest, _quiet(reading, None, hour), bool(acquitted))
        return HourlyJudgement(replace(state, episode=opened), "opened" if news else "known", highest)
    quiet_since = _quiet(reading, episode.quiet_since, hour)
    if quiet_since is not None and hour - quiet_since >= QUIET_HOURS and daily is None:
        return HourlyJudgement(end_episode(state, hour), "ended", episode.severity)
    start = episode.start if reading.start is None else min(episode.start, reading.start)
    cleared = episode.acquitted if acquitted is None else acquitted
    now = HourlyEpisode(episode.opened, start, highest, quiet_since, cleared)
    return HourlyJudgement(replace(state, episode=now), "raised" if news else "goes_on", highest)


def _quiet(reading: HourlyReading, since: int | None, hour: int) -> int | None:
    """Full hour since which the days in flight alone are below 1 (log10 0)."""
    if reading.in_flight is not None and reading.in_flight >= 0:
        return None
    return hour if since is None else since


def end_episode(state: KindEvidence, hour: int) -> KindEvidence:
    """Evidence begins anew at a full hour, as after ``rebaseline``; the days of the episode teach no reference,
    unless outcomes acquitted them."""
    touched = list(state.touched)
    if state.episode is not None and not state.episode.acquitted:
        touched.append((state.episode.start // HOURS, (hour - 1) // HOURS))
    return KindEvidence(hour, (hour - 1) // HOURS, touched=touched)
