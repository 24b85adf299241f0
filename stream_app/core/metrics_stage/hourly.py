"""The hourly tier of one partition (CONTRACT section 3a): hour records, references at the 02:00 close, and evidence at
each full hour, of models whose counts changed or whose episode is open.

The mathematics is :mod:`stream_app.core.hourly`; here is what stands in the table, and when it is looked at. Hour
records are folded by the cursor that folds cells, in the same checkpoint; evidence is a loop of its own whose place
stands in the lane's state. What is found goes into the log only where evidence is above 10 or an episode is open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.drift import DriftKind
from stream_app.core import model_log
from stream_app.core.comparisons.hourly_entry import HourlyEntry, HourlyLoss
from stream_app.core.counts.deltas import Part
from stream_app.core.hourly import episodes, evidence_state, hours_codec, references
from stream_app.core.hourly.evidence import HourlyInput, HourlyReading, advance, wanted_days
from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.hours import HourCounts
from stream_app.core.hourly.loss import estimate_loss, loss_days
from stream_app.core.hourly.reference import ReferenceDays, make_references, reference_days
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import KINDS, HourlyKind
from stream_app.core.kit.days import HOUR_MS, Close
from stream_app.core.kit.unit_of_work import UnitOfWork
from stream_app.core.metrics_stage.compare import Comparer
from stream_app.core.metrics_stage.config import MetricsSettings, ModelRules
from stream_app.core.metrics_stage.keys import (
    EPISODE,
    episode_key,
    evidence_key,
    hours_key,
    references_key,
    split_cell_key,
)
from stream_app.core.metrics_stage.known_models import KnownModels
from stream_app.core.metrics_stage.lane_state import TickProgress
from stream_app.core.metrics_stage.version_days import Kind, VersionDays

#: What a model costs in the cells of a step: evidence reads some three days by hours and two records.
_COST: Final = 10
#: log10 of the evidence from which it is written down without an episode.
NOTED: Final = 1.0
What = Literal["opened", "known", "raised", "goes_on", "ended"] | None
#: What each kind of channel is called in events.
DRIFT_KIND: Final[dict[HourlyKind, DriftKind]] = {
    "errors": DriftKind.PERFORMANCE,
    "scores": DriftKind.STATISTICAL,
}
_CHECK: Final[dict[HourlyKind, Kind]] = {"errors": "performance", "scores": "statistical"}


@dataclass(frozen=True, slots=True)
class _Look:
    """One model at a full hour, as it stands in the table."""

    model: str
    version: str
    rules: ModelRules
    state: ModelEvidence | None
    references: ModelReferences | None

    @property
    def on(self) -> bool:
        return self.rules.monitoring and self.rules.hourly_alerts != "off"


class HourlyTier:
    """Keeps nothing between two calls but what stands in the table, and the names of the loop in hand."""

    def __init__(self, settings: MetricsSettings, work: UnitOfWork, models: KnownModels, comparer: Comparer) -> None:
        self._settings = settings
        self._work = work
        self._models = models
        self._comparer = comparer
        #: false alerts that the budgets of the models at the last 02:00 close allow in 30 days, and the close's day
        self.allowed, self._day = 0.0, 0
        #: models to visit, in order, and the versions whose counts changed
        self._loop: tuple[list[str], set[tuple[str, str]]] | None = None

    # -- hour records ----------------------------------------------------------------------------------------------

    def fold(self, cells: Sequence[bytes], changes: NDArray[np.int64], oldest: int) -> None:
        """Add the changes of some cells, by hour; shape (n, 24, 36). Days before ``oldest`` (since 1970) are gone."""
        found = [split_cell_key(key) for key in cells]
        wanted = [number for number, (_, _, day) in enumerate(found) if day >= oldest and changes[number].any()]
        keys = [hours_key(*found[number]) for number in wanted]
        for number, key, stored in zip(wanted, keys, self._work.get(keys), strict=True):
            before = hours_codec.decode(stored, key) if stored is not None else 0
            self._work.put(key, hours_codec.encode(before + changes[number]))

    def _hours(self, model: str, version: str, days: Iterable[int]) -> dict[int, HourCounts]:
        """Stored hour records by day."""
        wanted = list(days)
        stored = self._work.get([hours_key(model, version, day) for day in wanted])
        known = {day: value for day, value in zip(wanted, stored, strict=True) if value is not None}
        return dict(zip(known, hours_codec.read_days(list(known.values())), strict=True)) if known else {}

    # -- the full hour ---------------------------------------------------------------------------------------------

    def run(self, progress: TickProgress, parts: Iterable[Part], now: int) -> bool:
        """Look at a bounded number of models, ``progress.after`` being the last one's name; ``False`` until done.

        ``parts``: what the fold of this tick (``now``, epoch ms) took in.
        """
        if self._loop is None:
            changed = {(cell.model, cell.version) for part in parts for cell in part.cells}
            self._loop = sorted({model for model, _ in changed} | set(self._open())), changed
        names, changed = self._loop
        start = bisect_right(names, progress.after.decode()) if progress.after is not None else 0
        stop = start + max(1, self._settings.config.cells_a_step // _COST)
        batch = names[start:stop]
        if batch:
            self._settings.read(batch)
            marked = set(self._marked(batch))
            self._look([look for look in self._looks(batch)
                        if look.model in marked or (look.model, look.version) in changed], now)  # fmt: skip
            progress.after = batch[-1].encode()
        if stop < len(names):
            return False
        self._loop = None
        return True

    def _look(self, looks: list[_Look], now: int) -> None:
        hour = now // HOUR_MS
        for look in looks:
            if look.state is not None and (not look.on or look.state.version != look.version):
                self._end_all(look.model, look.state, look.rules, now)
            if not look.on:
                self._forget(look.model)
        looks = [look for look in looks if look.on]
        for look, result in zip(looks, advance([self._input(look, hour) for look in looks]), strict=True):
            state = result.state
            days = self._comparer.days(look.model, look.version)
            for kind in KINDS:
                state = self._judge(look, kind, state, result.of(kind), days, hour, now)
            self._keep(look.model, state)

    def _input(self, look: _Look, hour: int) -> HourlyInput:
        rules = look.rules.hourly
        hours = self._hours(look.model, look.version, wanted_days(look.version, look.state, hour))
        return HourlyInput(look.version, look.state, look.references, hours, hour, rules)

    def _judge(
        self, look: _Look, kind: HourlyKind, state: ModelEvidence, reading: HourlyReading, days: VersionDays, hour: int,
        now: int,
    ) -> ModelEvidence:  # fmt: skip
        """What becomes of a reading; written down where it is worth it."""
        before = state.of(kind)
        acquitted: bool | None = False
        if kind == "scores":
            acquitted = days.run.acquitted if days.run is not None else None
        found: HourlyLoss | None = None
        what: What = None
        severity = None
        if not (look.rules.performance if kind == "errors" else look.rules.statistical):
            if before.episode is not None:
                state, what = state.having(kind, episodes.end_episode(before, hour)), "ended"
        elif episodes.at_issue(before, reading):
            if look.references is not None:
                hours = self._hours(look.model, look.version, loss_days(reading))
                found = estimate_loss(kind, reading, look.references, hours, look.rules.hourly)
            # the check's newest day must show it: its seven days show a short fault for days after the end
            daily = days.lasting.get(_CHECK[kind])
            judged = episodes.judge(before, reading, found, hour, daily=daily, acquitted=acquitted)
            state = state.having(kind, judged.state)
            what, severity = judged.what, judged.severity
        after = state.of(kind)
        noted = reading.evidence is not None and reading.evidence >= NOTED
        if noted or before.episode is not None or after.episode is not None:
            positives = look.rules.hourly.positives_only
            made = look.references.at(kind, (hour - 1) // 24) if look.references is not None else None
            entry = HourlyEntry(
                model=look.model,
                version=look.version,
                kind=DRIFT_KIND[kind],
                hour=hour,
                at_ms=now,
                evidence=reading.evidence,
                in_flight=reading.in_flight,
                threshold=reading.threshold,
                what=what,
                severity=severity,
                since=after.episode.opened if after.episode is not None else None,
                loss=found,
                metric=None if kind == "scores" else "recall" if positives else "accuracy",
                baseline_first=made.first if made is not None else 0,
                baseline_last=made.last + 1 if made is not None else 0,
                baseline_days=made.days if made is not None else 0,
                acquitted=bool(acquitted),
                settings_hash=self._settings.hash_of(look.model),
            )
            model_log.append(self._work, entry)
        return state

    # -- the 02:00 close -------------------------------------------------------------------------------------------

    def close(self, close: Close, models: list[str]) -> None:
        """Let days freeze that are no longer in flight, and make the references of the day after the close's."""
        looks = [look for look in self._looks(models) if look.on]
        before = self.allowed if close.day == self._day else 0.0
        self._day, self.allowed = close.day, before + sum(look.rules.false_alert_budget / 1_000 for look in looks)
        inputs = [self._input(look, close.at_ms // HOUR_MS) for look in looks]
        for look, result in zip(looks, advance(inputs), strict=True):
            known, rules, day = self._comparer.days(look.model, look.version), look.rules.hourly, close.day + 1
            first = known.first[0] if known.first else max(known.start, close.day)
            hours = self._hours(look.model, look.version, reference_days(day, first, rules))
            tainted = known.tainted("performance"), known.tainted("statistical")
            asked = ReferenceDays(look.version, day, first, hours, *tainted)
            made = make_references(asked, result.state, look.references, rules)
            self._work.put(references_key(look.model), references.encode(made))
            self._keep(look.model, result.state)

    # -- commands and ends -----------------------------------------------------------------------------------------

    def rebaseline(self, model: str, now: int) -> None:
        """The present is normal: evidence begins again, and nothing of the past is compared with."""
        key = evidence_key(model)
        stored = self._work.get([key])[0]
        if stored is not None:
            state = evidence_state.decode(stored, key)
            self._end_all(model, state, self._settings.rules_of(model), now)
            for kind in KINDS:
                state = state.having(kind, episodes.end_episode(state.of(kind), now // HOUR_MS))
            self._keep(model, state)
        self._drop([references_key(model)])

    def forget(self, model: str) -> None:
        """Keep nothing of a model; its hour records have expired."""
        self._forget(model)

    def _forget(self, model: str) -> None:
        self._drop([references_key(model), evidence_key(model), episode_key(model)])

    def _end_all(self, model: str, state: ModelEvidence, rules: ModelRules, now: int) -> None:
        """Say that episodes are over: another version is active, the present is normal, or nobody looks any more."""
        for kind in KINDS:
            if state.of(kind).episode is not None:
                entry = HourlyEntry(
                    model=model,
                    version=state.version,
                    kind=DRIFT_KIND[kind],
                    hour=now // HOUR_MS,
                    at_ms=now,
                    threshold=rules.hourly.threshold,
                    what="ended",
                    settings_hash=self._settings.hash_of(model),
                )
                model_log.append(self._work, entry)

    # -- the table -------------------------------------------------------------------------------------------------

    def _looks(self, models: list[str]) -> list[_Look]:
        """Models with an active version, as they stand."""
        keys = [key for model in models for key in (evidence_key(model), references_key(model))]
        stored = dict(zip(keys, self._work.get(keys), strict=True))
        looks = []
        for model in models:
            active = self._models.active(model)
            if active is None:
                continue
            state, made = stored[evidence_key(model)], stored[references_key(model)]
            looks.append(
                _Look(
                    model,
                    active.version,
                    self._settings.rules_of(model),
                    evidence_state.decode(state, evidence_key(model)) if state is not None else None,
                    references.decode(made, references_key(model)) if made is not None else None,
                )
            )
        return looks

    def _keep(self, model: str, state: ModelEvidence) -> None:
        self._work.put(evidence_key(model), evidence_state.encode(state))
        open_, key = any(state.of(kind).episode is not None for kind in KINDS), episode_key(model)
        if not open_:
            self._drop([key])
        elif self._work.get([key])[0] is None:
            self._work.put(key, b"\x01")

    def _drop(self, keys: list[bytes]) -> None:
        for key, value in zip(keys, self._work.get(keys), strict=True):
            if value is not None:
                self._work.put(key, None)

    def _marked(self, models: list[str]) -> Iterable[str]:
        values = self._work.get([episode_key(model) for model in models])
        return (model for model, value in zip(models, values, strict=True) if value is not None)

    def _open(self) -> Iterable[str]:
        """Models with an open episode."""
        after: bytes | None = None
        while batch := self._work.scan(EPISODE, after, 1_000):
            after = batch[-1][0]
            yield from (key[len(EPISODE) :].decode() for key, _ in batch)
