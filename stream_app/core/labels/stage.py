"""The labels stage: one partition of predictions, outcomes and clock.

The only code that runs per event, so it is written flat: two loops, one per input, over local names. Everything a
tick decides stands in :meth:`LabelsStage.advance`. An entry is judged by the day of its covering tick (DESIGN 4):
past its horizon it counts as absent, wherever it still lies on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.clock import TickView
from schemas.inputs import OUTCOME_DECODER, PREDICTION_DECODER, Outcome, Prediction, time_ms
from schemas.unreadable import Unreadable
from stream_app.core.counts.deltas import Part
from stream_app.core.kit.codec import UNREADABLE
from stream_app.core.kit.effects import ConsumedRecord, Drained, Emit, TableReader, dead_letter
from stream_app.core.labels import lane_state as lane_states
from stream_app.core.labels.config import DAY_MS, HOUR_MS, BadName, LabelsConfig, Name
from stream_app.core.labels.counts import KIND_BITS, LaneCounts, records
from stream_app.core.labels.entry import (
    ACTUAL,
    BODY_AT,
    FORMAT,
    HAS_OUTCOME,
    HAS_PREDICTION,
    HEAD,
    KEY_PREFIX,
    NAMES_AT,
    PREDICTED,
    PREDICTION,
    SHADOW,
    check_all,
)
from stream_app.core.labels.name_cache import NameCache
from stream_app.core.labels.names import Usage
from stream_app.core.labels.refusals import out_of_time, too_long, undecoded
from stream_app.errors import Broken

STAGE: Final = "labels"
PREDICTIONS: Final = "predictions"
MODEL_DELTAS: Final = "model-deltas"

_NAN: Final = float("nan")
_BOTH: Final = HAS_PREDICTION | HAS_OUTCOME


class LabelsStage:
    """Joins one partition. Not thread-safe; owned by its lane."""

    #: the engine says whether the lane is near the head of its clock; nothing here depends on it
    live = False

    def __init__(self, config: LabelsConfig) -> None:
        self.config = config
        self._names = NameCache(config)
        self.load(None, None)

    def load(self, lane_state: bytes | None, table: TableReader | None) -> None:
        """Start from the positions record of the last commit, or from nothing."""
        self.lane_state = lane_states.decode(lane_state) if lane_state is not None else lane_states.LabelsLaneState()
        self._table = table
        #: entries looked up last, for the message if one of them is damaged
        self._seen: tuple[list[bytes], Sequence[bytes | None]] = ([], [])
        self._overlay: dict[bytes, bytes | None] = {}
        self._counts = LaneCounts()
        self._parts: list[list[Part]] = [[] for _ in range(self.config.targets)]
        self._emits: list[Emit] = []
        self._names.load(table if lane_state is not None else None, self.lane_state.day)

    def accept(self, alias: str, batch: Sequence[ConsumedRecord], tick: TickView | None) -> int:
        """Take records that ``tick`` covers. Returns how many; every one of them gets exactly one disposition."""
        if tick is None:
            raise Broken(f"{alias} is gated by the clock and came without its covering tick")
        # before the records: an id whose entry expires with this day may come again, and takes the entry's place
        self._turn(tick.at_ms // DAY_MS)
        try:
            (self._predictions if alias == PREDICTIONS else self._outcomes)(batch, tick)
        except UNREADABLE:
            check_all(*self._seen)
            raise
        return len(batch)

    def waiting_for(self, tick: TickView) -> str | None:
        """Nothing: a labels lane depends on its own inputs alone."""
        return None

    def advance(self, tick: TickView) -> bool:
        """Handle a tick: expire whole days, and close the epoch if it is an epoch tick."""
        self._turn(tick.at_ms // DAY_MS)
        if tick.ends_epoch:
            self._flush_counts()
            for target in range(self.config.targets):
                pieces = self._parts[target]
                open_part = pieces.pop() if pieces and pieces[-1].closed is None else Part(self.lane_state.epoch_tick)
                pieces.append(
                    msgspec.structs.replace(
                        open_part,
                        closed=tick.at_ms,
                        end_offsets=tick.end_offsets,
                        dispositions=self.lane_state.dispositions() if target == 0 else {},
                    )
                )
            self.lane_state.epoch_tick = tick.at_ms
        return True

    def names(self) -> dict[str, Usage]:
        """How many names count, beside the most that may; for views."""
        return self._names.known.usage()

    def drain(self) -> Drained:
        """Effects since the last drain; the overlay starts empty again because the table then holds it."""
        self._flush_counts()
        emits = self._emits
        key = b"%d" % self.config.source
        for target, parts in enumerate(self._parts):
            if parts:
                emits += [Emit(MODEL_DELTAS, target, key, value, []) for value in records(self.config.source, parts)]
        drained = Drained(self._overlay, emits, lane_states.encode(self.lane_state))
        self._overlay, self._emits = {}, []
        self._parts = [[] for _ in range(self.config.targets)]
        return drained

    # -- per event -----------------------------------------------------------------------------------------------

    def _predictions(self, batch: Sequence[ConsumedRecord], tick: TickView) -> None:
        decode, names, counts, overlay = PREDICTION_DECODER.decode, self._names.by_event, self._counts, self._overlay
        codes, scores = counts.codes.append, counts.scores.append
        interval_slots, interval_widths = counts.interval_slots.append, counts.interval_widths.append
        max_bytes = self.config.max_record_bytes
        newest, oldest = tick.at_ms + self.config.future_ms, tick.at_ms - self.config.max_age_days * DAY_MS
        today = tick.at_ms // DAY_MS
        pack, in_overlay = PREDICTION.pack, overlay.get
        fresh: dict[int, int] = {}
        good: list[tuple[bytes, Prediction, ConsumedRecord]] = []
        for record in batch:
            value = record.value
            try:
                row = decode(value)  # type: ignore[arg-type]
                key = KEY_PREFIX + row.prediction_id.encode()
            except (msgspec.DecodeError, TypeError, UnicodeError) as error:
                self._refuse(record, self.lane_state.predictions, *undecoded(record, error, max_bytes))
                continue
            large = record.headers or len(value) + len(record.key or b"") > max_bytes or len(key) > 129  # type: ignore[arg-type]
            if large and (refusal := too_long(record, key, max_bytes)) is not None:
                self._refuse(record, self.lane_state.predictions, *refusal)
                continue
            good.append((key, row, record))
        found = self._read([item[0] for item in good])
        for (key, row, record), old in zip(good, found, strict=True):
            shadow = row.role == "shadow"
            named = (row.model_type, row.tenant_id, row.model_version, shadow)
            name = names.get(named)
            if name.__class__ is not Name:
                name = self._names.of_event(named, today, overlay)
                if isinstance(name, BadName):
                    self._refuse(record, self.lane_state.predictions, name.reason, str(name))
                    continue
            at = row.predicted_at
            if at.__class__ is not int:
                at = time_ms(at)
            if at > newest or at < oldest:
                self._refuse(
                    record, self.lane_state.predictions, *out_of_time("predicted_at", at, tick.at_ms, self.config)
                )
                continue
            score = row.score + 0.0  # turns -0.0 into 0.0, so that equal scores have equal bytes
            predicted = row.predicted
            if predicted is None:
                predicted = score >= row.threshold
            low, high = row.ci_lower, row.ci_upper
            if low is None or high is None:
                if low is not high:
                    self._refuse(
                        record, self.lane_state.predictions, "bad_interval", "one end of the interval is missing"
                    )
                    continue
                width = _NAN
                low = high = _NAN
            else:
                width = high - low
                if width < 0:
                    self._refuse(record, self.lane_state.predictions, "bad_interval", "ci_lower is above ci_upper")
                    continue
            old = in_overlay(key, old)
            flags = HAS_PREDICTION
            observed_at = 0
            if old is not None:
                flags = old[1]
                if flags & HAS_PREDICTION:
                    if not self._expired(old, today):
                        new = pack(
                            FORMAT, flags, 0, 0, 0, at, score, low, high, PREDICTED * predicted | SHADOW * shadow
                        )
                        self._again(record, old, new + name.stored)
                        continue
                    flags = HAS_PREDICTION
                elif today - (old[4] | old[5] << 8) > self.config.early_outcome_days:
                    flags = HAS_PREDICTION
                else:
                    flags |= HAS_PREDICTION
                    observed_at = HEAD.unpack_from(old)[4]
            overlay[key] = (
                pack(
                    FORMAT, flags, today, 0, observed_at, at, score, low, high, PREDICTED * predicted | SHADOW * shadow
                )
                + name.stored
            )
            if not shadow:
                hour = at // HOUR_MS
                slot = name.slots.get(hour)
                if slot is None:
                    slot = counts.slot(name, hour)
                codes(slot << KIND_BITS | predicted)
                scores(score)
                if width == width:
                    interval_slots(slot)
                    interval_widths(width)
            if flags == HAS_PREDICTION:
                fresh[name.horizon_days] = fresh.get(name.horizon_days, 0) + 1
            else:
                self._join_early(old, name, score, bool(predicted), bool(flags & ACTUAL), at)
        for horizon, count in fresh.items():
            days = self.lane_state.pending.setdefault(horizon, {})
            days[today] = days.get(today, 0) + count

    def _outcomes(self, batch: Sequence[ConsumedRecord], tick: TickView) -> None:
        decode, overlay, by_stored, counts = OUTCOME_DECODER.decode, self._overlay, self._names.by_stored, self._counts
        codes, scores = counts.codes.append, counts.scores.append
        max_bytes = self.config.max_record_bytes
        newest = tick.at_ms + self.config.future_ms
        today = tick.at_ms // DAY_MS
        careful = today - self.config.min_horizon_days
        unpack, head, in_overlay = PREDICTION.unpack_from, HEAD.pack, overlay.get
        joined: dict[tuple[int, int], int] = {}
        good: list[tuple[bytes, Outcome, ConsumedRecord]] = []
        for record in batch:
            value = record.value
            try:
                row = decode(value)  # type: ignore[arg-type]
                key = KEY_PREFIX + row.prediction_id.encode()
            except (msgspec.DecodeError, TypeError, UnicodeError) as error:
                self._refuse(record, self.lane_state.outcomes, *undecoded(record, error, max_bytes))
                continue
            large = record.headers or len(value) + len(record.key or b"") > max_bytes or len(key) > 129  # type: ignore[arg-type]
            if large and (refusal := too_long(record, key, max_bytes)) is not None:
                self._refuse(record, self.lane_state.outcomes, *refusal)
                continue
            good.append((key, row, record))
        found = self._read([item[0] for item in good])
        for (key, row, record), old in zip(good, found, strict=True):
            at = row.observed_at
            if at.__class__ is not int:
                at = time_ms(at)
            if at > newest:
                self._refuse(record, self.lane_state.outcomes, *out_of_time("observed_at", at, tick.at_ms, self.config))
                continue
            actual = bool(row.actual)
            old = in_overlay(key, old)
            if old is not None and old[1] & HAS_PREDICTION:
                _, flags, cover, _, _, made, score, _, _, marks = unpack(old)
                if cover >= careful or not self._expired(old, today):
                    if flags & HAS_OUTCOME:
                        self._outcome_again(record, key, old, at, actual, today)
                        continue
                    overlay[key] = head(FORMAT, _BOTH | ACTUAL if actual else _BOTH, cover, 0, at) + old[BODY_AT:]
                    stored = old[NAMES_AT:]
                    name = by_stored.get(stored)
                    if name is None:
                        name = self._names.of_stored(stored)
                    if not marks & SHADOW:
                        hour = made // HOUR_MS
                        slot = name.slots.get(hour)
                        if slot is None:
                            slot = counts.slot(name, hour)
                        codes(slot << KIND_BITS | 2 + 2 * (marks & PREDICTED) + actual)
                        scores(score)
                    day = (name.horizon_days, cover)
                    joined[day] = joined.get(day, 0) + 1
                    continue
            elif old is not None and today - (old[4] | old[5] << 8) <= self.config.early_outcome_days:
                self._outcome_again(record, key, old, at, actual, today)
                continue
            overlay[key] = head(FORMAT, HAS_OUTCOME | ACTUAL if actual else HAS_OUTCOME, 0, today, at)
            self.lane_state.early[today] = self.lane_state.early.get(today, 0) + 1
        for (horizon, cover), count in joined.items():
            self._less(self.lane_state.pending[horizon], cover, count)
            self.lane_state.predictions.joined += count
            self.lane_state.outcomes.joined += count

    # -- rare paths ----------------------------------------------------------------------------------------------

    def _read(self, keys: list[bytes]) -> Sequence[bytes | None]:
        if self._table is None or not keys:
            return [None] * len(keys)
        self._seen = keys, self._table.get_many(keys)
        return self._seen[1]

    def _expired(self, entry: bytes, today: int) -> bool:
        cover = entry[2] | entry[3] << 8
        model_type = entry[NAMES_AT:].split(b"|", 1)[0].decode()
        return today - cover > self.config.rules(model_type).horizon_days

    @staticmethod
    def _less(days: dict[int, int], day: int, count: int) -> None:
        left = days[day] - count
        if left:
            days[day] = left
        else:
            del days[day]

    def _join_early(self, old: bytes | None, name: Name, score: float, predicted: bool, actual: bool, at: int) -> None:
        """A prediction whose outcome waits already."""
        if old is None:
            raise Broken("the entry of an outcome that waits for its prediction is missing; please report it")
        if not name.shadow:
            self._label(name, at, score, predicted, actual, True)
        self._less(self.lane_state.early, old[4] | old[5] << 8, 1)
        self.lane_state.predictions.joined += 1
        self.lane_state.outcomes.joined += 1

    def _label(self, name: Name, made: int, score: float, predicted: bool, actual: bool, plus: bool) -> None:
        hour = made // HOUR_MS
        slot = name.slots.get(hour)
        if slot is None:
            slot = self._counts.slot(name, hour)
        code = slot << KIND_BITS | 2 + 2 * predicted + actual
        (self._counts.codes if plus else self._counts.minus_codes).append(code)
        (self._counts.scores if plus else self._counts.minus_scores).append(score)

    def _again(self, record: ConsumedRecord, old: bytes, new: bytes) -> None:
        """A prediction whose id is taken: the same content is a duplicate, another contradicts the first."""
        if old[BODY_AT:] == new[BODY_AT:]:
            self.lane_state.predictions.duplicate += 1
        else:
            self._refuse(
                record,
                self.lane_state.predictions,
                "contradictory",
                "another prediction came first under this prediction_id",
            )

    def _outcome_again(self, record: ConsumedRecord, key: bytes, old: bytes, at: int, actual: bool, today: int) -> None:
        """An outcome whose id has one: duplicate, correction, or contradiction (CONTRACT section 7)."""
        _, flags, cover, waits, observed_at = HEAD.unpack_from(old)
        if bool(flags & ACTUAL) == actual:
            self.lane_state.outcomes.duplicate += 1
            return
        if at <= observed_at:
            text = "another value for this prediction_id was observed at the same time or later"
            self._refuse(record, self.lane_state.outcomes, "contradictory", text)
            return
        self._overlay[key] = HEAD.pack(FORMAT, flags ^ ACTUAL, cover, waits, at) + old[BODY_AT:]
        self.lane_state.outcomes.corrected += 1
        if flags & HAS_PREDICTION:
            _, _, _, _, _, made, score, _, _, marks = PREDICTION.unpack_from(old)
            if not marks & SHADOW:
                stored = old[NAMES_AT:]
                name = self._names.by_stored.get(stored) or self._names.of_stored(stored)
                predicted = bool(marks & PREDICTED)
                self._label(name, made, score, predicted, not actual, False)
                self._label(name, made, score, predicted, actual, True)

    def _turn(self, today: int) -> None:
        """A new day: what was pending on days now past their horizon is unmatched, and names count anew."""
        if today <= self.lane_state.day:
            return
        before, self.lane_state.day = self.lane_state.day, today
        self._names.turn(before, today, self._overlay)
        for horizon, days in self.lane_state.pending.items():
            for day in [d for d in days if today - d > horizon]:
                self.lane_state.predictions.unmatched += days.pop(day)
        for day in [d for d in self.lane_state.early if today - d > self.config.early_outcome_days]:
            self.lane_state.outcomes.unmatched += self.lane_state.early.pop(day)

    def _flush_counts(self) -> None:
        fresh = self._counts.parts(self.config.targets, self.lane_state.epoch_tick, self.config.narrow_below)
        for target, part in enumerate(fresh):
            if part is not None:
                self._parts[target].append(part)

    # -- refusals ------------------------------------------------------------------------------------------------

    def _refuse(self, record: ConsumedRecord, tally: lane_states.DispositionTally, reason: str, error: str) -> None:
        tally.dead_lettered += record.value.records if isinstance(record.value, Unreadable) else 1
        self._emits.append(dead_letter(record, STAGE, reason, error, limit=self.config.max_record_bytes))
