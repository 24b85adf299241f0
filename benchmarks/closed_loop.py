"""Models whose models are retrained for real, without a broker: the stages decide, scikit-learn fits.

The simulator is metrics, drift, retrain and alerts as a worker runs them. What a trainer and a deployer would answer,
this module answers a minute of simulated time later, with models fitted on exactly the rows that the command names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.common import parse_ms
from schemas.training import Recalibration, TrainingCommand
from stream_app.core.comparisons.platt import recalibrated
from stream_app.reference.judging import Answers, compare, longest_as_good, metrics
from stream_app.settings import Settings
from stream_app.simulator import Batch, Simulator
from stream_app.stage_configs import alerts_config, drift_config, metrics_config, retrain_config

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000

#: rows that a range needs
LEAST_ROWS = 100
#: hour of the day that everything is predicted in
SERVED_AT = 10

Matrix = NDArray[np.float64]
_commands = msgspec.json.Decoder(TrainingCommand)


class Rows(NamedTuple):
    """A day of a model: features (n, d) and outcomes (n,), in order; they come within an hour of the day."""

    features: Matrix
    actual: NDArray[np.int64]


class Scorer(NamedTuple):
    """Something that scores, and the score from which it says yes."""

    score: Callable[[Matrix], Matrix]
    threshold: float = 0.5


Fit = Callable[[Matrix, NDArray[np.int64]], Scorer]


@dataclass(slots=True)
class PlayedModel:
    """A model's days from day 0 on, and its versions."""

    name: str
    days: Sequence[Rows]
    scorers: dict[str, Scorer]
    active: str = "v1"
    #: day → scores as they were made
    scored: dict[int, Matrix] = field(default_factory=dict)
    #: commands answered: (day, command, candidate)
    orders: list[tuple[int, str, str | None]] = field(default_factory=list)


class ClosedLoop:
    """Runs models day by day from ``first_day`` (days since 1970) on."""

    def __init__(
        self,
        settings: Settings,
        models: Sequence[PlayedModel],
        fit: Fit,
        first_day: int = 20_500,
    ) -> None:
        self.sim = Simulator(
            metrics_config(settings), drift_config(settings), retrain_config(settings, "r"), alerts_config(settings)
        )
        self.models = {model.name: model for model in models}
        self._fit = fit
        self._first = first_day
        self._answered = 0

    def run(self, progress: Callable[[int, int], None] | None = None) -> Self:
        """All days, the closes after each, and whatever is commanded then."""
        count = max(len(model.days) for model in self.models.values())
        for day in range(count):
            self.sim.batches(
                [self._serve(model, day) for model in self.models.values() if day < len(model.days)], hour=SERVED_AT
            )
            self._tick((self._first + day) * DAY_MS + 12 * HOUR_MS)
            for hour in (1, 2, 3, 4, 8):
                self._tick((self._first + day + 1) * DAY_MS + hour * HOUR_MS)
            if progress is not None:
                progress(day + 1, count)
        return self

    def records(self, topic: str, model: str | None = None) -> list[dict[str, Any]]:
        """What a stage published, in order."""
        found = [json.loads(emit.value or b"") for emit in self.sim.emits.get(topic, [])]
        return [row for row in found if model in (None, row["model"])]

    def day_of(self, text: str) -> int:
        """Day of the run that a time of a record lies in."""
        return parse_ms(text) // DAY_MS - self._first

    def _serve(self, model: PlayedModel, day: int) -> Batch:
        rows, scorer = model.days[day], model.scorers[model.active]
        scores = model.scored[day] = scorer.score(rows.features)
        return Batch(model.name, model.active, self._first + day, scores, scores >= scorer.threshold, rows.actual)

    def _tick(self, at_ms: int) -> None:
        self.sim.tick(at_ms)
        while len(orders := self.sim.emits.get("training-commands", [])) > self._answered:
            fresh, self._answered = orders[self._answered :], len(orders)
            at_ms += MINUTE_MS
            for emit in fresh:
                answer = self._answer(_commands.decode(emit.value or b""), at_ms)
                if answer is not None:
                    self.sim.answer(json.dumps(answer).encode(), at_ms)
            self.sim.tick(at_ms)

    def _answer(self, order: TrainingCommand, at_ms: int) -> dict[str, Any] | None:
        model = self.models[order.model]
        told = {"model": order.model, "command_id": order.command_id, "attempt": order.attempt}
        day = at_ms // DAY_MS - self._first
        if order.command == "cancel":
            return None
        if order.command in ("activate", "recalibrate", "rollback"):
            model.active = str(order.candidate_version)
            if order.recalibration is not msgspec.UNSET:
                model.scorers[model.active] = _repaired(model.scorers[order.model_version], order.recalibration)
            model.orders.append((day, order.command, model.active))
            status = "rolled_back" if order.command == "rollback" else "activated"
            return {**told, "status": status, "candidate_version": model.active}
        assert order.data is not msgspec.UNSET
        named = {} if order.data.ranges is msgspec.UNSET else {r.name: r for r in order.data.ranges}
        held = self._rows(model, parse_ms(order.data.holdout.from_), parse_ms(order.data.holdout.to))
        candidate = f"v{len(model.scorers) + 1}"
        model.orders.append((day, "train", candidate))
        # as the reference trainer does: a model a range, the longest that is as good as the best, judged without the
        # hold-out, and fitted on all rows afterwards
        metric, begun, ranges = str(order.primary_metric), set(), []
        for name, found in sorted(named.items(), key=lambda item: parse_ms(item[1].from_)):
            rows = self._rows(model, parse_ms(found.from_), parse_ms(found.to))
            if found.from_ not in begun and len(rows.actual) >= LEAST_ROWS and len(set(rows.actual.tolist())) == 2:
                begun.add(found.from_)
                ranges.append((name, rows))
        if not ranges or len(set(held.actual.tolist())) < 2:
            return {**told, "status": "failed", "error": "one class only"}
        judged = [_judged(self._fit(*rows), held) for _, rows in ranges]
        chosen, errors = longest_as_good(metric, judged, held.actual)
        (name, train), ours = ranges[chosen], judged[chosen]
        theirs = _judged(model.scorers[order.expected_current_version], held)
        model.scorers[candidate] = self._fit(*(np.concatenate(pair) for pair in zip(train, held, strict=True)))
        tried = [
            {"name": known, "rows": len(rows.actual), "value": metrics(said, held.actual)[metric], "se": error}
            for (known, rows), said, error in zip(ranges, judged, errors, strict=True)
        ]
        return {
            **told, "status": "succeeded", "candidate_version": candidate,
            "training_samples": len(train.actual), "holdout_samples": len(held.actual),
            "candidate_metrics": metrics(ours, held.actual), "champion_metrics": metrics(theirs, held.actual),
            "comparison": msgspec.to_builtins(compare(metric, ours, theirs, held.actual)),
            "range": name, "tried": tried,
        }  # fmt: skip

    def _rows(self, model: PlayedModel, from_ms: int, to_ms: int) -> Rows:
        """Rows by time of prediction; outcomes come at once."""
        parts = []
        for day in range(
            max(0, from_ms // DAY_MS - self._first), min(len(model.days), to_ms // DAY_MS - self._first + 1)
        ):
            if day not in model.scored:
                continue
            rows = model.days[day]
            spread = np.arange(len(rows.actual)) * HOUR_MS // max(len(rows.actual), 1)
            at = (self._first + day) * DAY_MS + SERVED_AT * HOUR_MS + spread
            inside = (at >= from_ms) & (at < to_ms)
            parts.append(Rows(rows.features[inside], rows.actual[inside]))
        if not parts:
            return Rows(model.days[0].features[:0], model.days[0].actual[:0])
        return Rows(np.concatenate([p.features for p in parts]), np.concatenate([p.actual for p in parts]))


def _repaired(model: Scorer, by: Recalibration) -> Scorer:
    return Scorer(lambda rows: recalibrated(model.score(rows), by.a, by.b), by.threshold)


def _judged(model: Scorer, rows: Rows) -> Answers:
    scores = model.score(rows.features)
    return Answers(scores, scores >= model.threshold)


def switched_on(**rules: Mapping[str, Any]) -> Settings:
    """Production's numbers with retraining allowed everywhere; ``rules`` by model type."""
    return Settings(
        input_partitions=1, model_partitions=1, auto_retrain=True, auto_retrain_conflict=True, auto_retrain_fraud=True,
        auto_retrain_types=dict.fromkeys(rules, True),
        auto_retrain_tenants=("*",), types=dict(rules),
    )  # fmt: skip
