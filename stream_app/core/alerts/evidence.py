"""What alerts keep of a drift event: its numbers without its histograms, about 1 kB."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas import bounds
from schemas.common import Count, Finite, Token
from schemas.drift import DriftEvent, DriftWindow
from stream_app.core.line_log import EventEntry

#: Bounds of what is kept of an event: windows, faults, and the bytes of a text.
WINDOWS: Final = 16
FAULTS: Final = 8
TEXT: Final = 400

#: Order of severities; ``drift`` at ``HIGH`` or above opens alerts.
RANK: Final[dict[str | None, int]] = {None: 0, "MEDIUM": 1, "HIGH": 2, "CRITICAL": 3}
HIGH: Final = RANK["HIGH"]


class Window(msgspec.Struct, frozen=True, array_like=True):
    """One recent window beside its baseline; times as published, rows ``None`` if the event does not say."""

    from_: str
    to: str
    recent: float | None
    baseline: float | None
    interval: tuple[float, float] | None
    recent_rows: int | None = None
    baseline_rows: int | None = None
    metric: str | None = None
    statistic: float | None = None
    dispersion: float | None = None


class Finding(msgspec.Struct, frozen=True):
    """A drift event in short."""

    id: str
    line: str
    kind: str
    check: str | None
    version: str
    close_ms: int
    day: int
    verdict: str
    severity: str | None = None
    run_from: int | None = None
    reason: str | None = None
    revises: str | None = None
    faults: list[str] = []
    rule_verdict: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    metric: str | None = None
    baseline_version: str | None = None
    baseline_kind: str | None = None
    windows: list[Window] = []

    @property
    def drift(self) -> bool:
        """Whether it found drift of any severity."""
        return self.verdict == "drift"

    @property
    def severe(self) -> bool:
        """Whether it found drift that people are alerted about."""
        return self.drift and RANK[self.severity] >= HIGH

    @property
    def slot(self) -> str:
        """Under which name the latest of its sort is remembered."""
        return self.check if self.check is not None else self.kind


class _Window(DriftWindow, frozen=True, kw_only=True):
    """A window as later releases write it: which metric and D it is of, and rows on either side, where they say so."""

    metric: Token | UnsetType = UNSET
    statistic: Finite | UnsetType | None = UNSET
    recent_rows: Count | UnsetType = UNSET
    baseline_rows: Count | UnsetType = UNSET


class _Event(DriftEvent, frozen=True, kw_only=True):
    windows: Annotated[list[_Window], Meta(max_length=64)]  # type: ignore[assignment]


_decoder = msgspec.json.Decoder(_Event)
T = TypeVar("T")


def finding(entry: EventEntry) -> Finding:
    """The event of an entry, in short. ``msgspec.DecodeError`` if its record is none."""
    event = _decoder.decode(entry.record)
    rows = {
        (w.from_, w.to): (sum(w.histograms.recent), sum(w.histograms.baseline))
        for w in reversed(event.windows)
        if w.histograms is not UNSET
    }
    return Finding(
        id=entry.id,
        line=entry.line,
        kind=entry.kind,
        check=entry.check,
        version=entry.version,
        close_ms=entry.close_ms,
        day=entry.day,
        verdict=entry.verdict,
        severity=entry.severity,
        run_from=entry.run_from,
        reason=bounds.cut(entry.reason, TEXT) if entry.reason is not None else None,
        revises=entry.revises,
        faults=[bounds.cut(fault, TEXT) for fault in entry.faults[:FAULTS]],
        rule_verdict=event.rule_verdict,
        statistic=event.statistic,
        p_value=_set(event.p_value),
        metric=_set(event.metric),
        baseline_version=event.baseline_version,
        baseline_kind=event.baseline_kind,
        windows=[_window(w, rows.get((w.from_, w.to))) for w in event.windows[:WINDOWS]],
    )


def _window(w: _Window, rows: tuple[int, int] | None) -> Window:
    recent, baseline = rows if rows is not None else (_set(w.recent_rows), _set(w.baseline_rows))
    return Window(
        w.from_, w.to, w.recent, w.baseline, w.interval, recent, baseline, _set(w.metric), _set(w.statistic),
        _set(w.dispersion),
    )  # fmt: skip


def _set(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value
