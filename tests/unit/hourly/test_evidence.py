"""Evidence equals the product over every start hour, whatever the order, the chunks and the company counts come in."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.core.hourly import evidence_state
from stream_app.core.hourly.evidence import HourlyInput, HourlyResult, advance, fresh, wanted_days
from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.reference import ReferenceDays, make_references
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyRules
from tests.unit.hourly import plain

FIRST = 20_000
RULES = HourlyRules()
WARM = 36


def world(seed: int, per_day: float, days: int, error: float = 0.17, logits: float = 0.0) -> dict[int, Any]:
    """Day → counts, the loss from the second day after the warm-up on."""
    rng = np.random.default_rng(seed)
    return {
        FIRST + d: plain.day_counts(rng, per_day, *((error, logits) if d > WARM else (0.17, 0.0)))
        for d in range(WARM + days)
    }


def references(counts: dict[int, Any], days: range, rules: HourlyRules = RULES) -> ModelReferences:
    """Those of some days, as the closes before them made them; none is dropped."""
    made: list[ModelReferences] = []
    for day in days:
        known = {d: value for d, value in counts.items() if day - 35 <= d <= day - 8}
        made.append(make_references(ReferenceDays("v", day, FIRST - 100, known), None, None, rules))
    return ModelReferences("v", [x.errors[0] for x in made], [x.scores[0] for x in made])


def play(
    counts: Any, made: ModelReferences, hours: list[int], rules: HourlyRules = RULES, state: Any = None
) -> list[HourlyResult]:
    """Full hours in turn; ``counts``: hour → day → counts as they are known then."""
    out = []
    for hour in hours:
        known = counts(hour)
        wanted = wanted_days("v", state, hour)
        mine = {day: known[day] for day in wanted if day in known}
        out += advance([HourlyInput("v", state, made, mine, hour, rules)])
        state = out[-1].state
    return out


def until(counts: dict[int, Any], hour: int) -> dict[int, Any]:
    """What is known at a full hour if outcomes come at once."""
    out = {}
    for day, value in counts.items():
        over = min(24, max(0, hour - day * 24))
        if over:
            out[day] = np.where(np.arange(24)[:, None] < over, value, 0)
    return out


@pytest.mark.parametrize(
    ("kind", "per_day", "rules"),
    [
        ("errors", 190, HourlyRules()),
        ("errors", 5_000, HourlyRules()),
        ("errors", 600, HourlyRules(label_delay_days=3)),
        ("missed", 600, HourlyRules(positives_only=True)),
        ("scores", 600, HourlyRules()),
    ],
)
def test_evidence_is_the_sum_over_all_starts_of_products_over_all_days(
    kind: str, per_day: int, rules: HourlyRules
) -> None:
    counts = world(1, per_day, 4, 0.24, 0.4)
    days = range(FIRST + WARM, FIRST + WARM + 4)
    made = references(counts, days, rules)
    start = days[0] * 24 + 5
    hours = [*range(start + 1, days[-1] * 24 + 14)]
    found = play(lambda hour: until(counts, hour), made, hours, rules)
    edge = (0.05, (0.10, 0.14, 0.20, 0.32)) if kind == "errors" else (0.10, (0.14, 0.18, 0.24, 0.36))
    first = made.scores[0]
    sides = [(edge_, slot >= 5) for slot, edge_ in zip(first.slots, first.edges, strict=True)]
    assert all(each.edges == first.edges for each in made.scores)
    channels: list[dict[int, Any]] = []
    for e, above in sides if kind == "scores" else [(-1, False)]:
        channel = {}
        for day in days:
            healthy = list(range(day - 35, day - 7))
            ones = [plain.strata(kind, np.stack([counts[d] for d in healthy]), e, above)]
            ref = plain.reference(ones[0], healthy, day, *edge)
            channel[day] = plain.Day(ref, plain.strata(kind, counts[day], e, above))
        channels.append(channel)
    flight = rules.in_flight("scores" if kind == "scores" else "errors")
    predictions = {day: counts[day][:, 4:].sum(axis=1) for day in days}
    for i in (3, len(hours) - 1) if kind != "scores" else (62,):
        whole, alone, best = plain.evidence(channels, predictions, start, hours[i], flight)
        reading = found[i].scores if kind == "scores" else found[i].errors
        assert reading.evidence == pytest.approx(whole, abs=2e-3)
        assert reading.in_flight == pytest.approx(alone, abs=2e-3)
        if reading.end == hours[i]:
            assert reading.start == best
    assert found[-1].errors.evidence is not None


def _in_order(counts: dict[int, Any], made: ModelReferences, hours: list[int], rules: HourlyRules) -> bytes:
    return evidence_state.encode(play(lambda hour: until(counts, hour), made, hours, rules)[-1].state)


@pytest.mark.parametrize("delay", [1, 3, 7])
def test_late_labels_and_corrections_within_the_days_in_flight_give_what_counts_in_order_give(delay: int) -> None:
    rules = HourlyRules(label_delay_days=delay)
    counts = world(2, 300, 10, 0.3)
    days = range(FIRST + WARM, FIRST + WARM + 10)
    made = references(counts, days, rules)
    rng = np.random.default_rng(3)
    lag = {day: rng.integers(0, (delay) * 24 + 1, (24, 4)) for day in days}
    wrong = {day: rng.random((24, 4)) < 0.2 for day in days}

    def known(hour: int) -> dict[int, Any]:
        out = until(counts, hour)
        for day, value in out.items():
            if day not in lag:
                continue
            age = hour - day * 24 - np.arange(24)[:, None]
            late = age <= lag[day]
            value[:, :4] = np.where(late, 0, value[:, :4])
            # before the last hour in flight an outcome of its kind is taken to be one of another
            value[:, :4] = np.where(wrong[day] & (age <= delay * 24 - 2) & ~late, value[:, [1, 0, 3, 2]], value[:, :4])
        return out

    hours = list(range(days[0] * 24 + 1, days[-1] * 24 + 25, 3))
    other = play(known, made, hours, rules)
    # a day later nothing is open any more: the last day is over and its outcomes are in
    end = [days[-1] * 24 + 24 + delay * 24]
    settled = play(lambda hour: until(counts, hour), made, end, rules, other[-1].state)[-1]
    ordered = play(lambda hour: until(counts, hour), made, [*hours, *end], rules)[-1]
    assert settled == ordered
    assert settled.state.errors.rest != b""


@pytest.mark.parametrize("step", [1, 5, 24, 61])
def test_hours_that_nobody_looked_at_change_nothing(step: int) -> None:
    counts = world(4, 300, 8, 0.3)
    days = range(FIRST + WARM, FIRST + WARM + 8)
    made = references(counts, days)
    first, last = days[0] * 24 + 1, days[-1] * 24 + 20
    every = list(range(first, last + 1))
    some = sorted({first, *every[::step], last})
    assert _in_order(counts, made, some, RULES) == _in_order(counts, made, every, RULES)


def test_one_model_alone_and_among_two_hundred_gives_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    inputs: list[HourlyInput] = []
    for i in range(200):
        per_day = float(rng.choice([20, 190, 1_000, 20_000]))
        pool = [plain.day_counts(rng, per_day, 0.17) for _ in range(4)]
        counts = {FIRST + d: pool[d % 4] for d in range(WARM + 3)}
        rules = HourlyRules(label_delay_days=int(rng.integers(0, 5)), positives_only=bool(rng.integers(2)))
        days = range(FIRST + WARM, FIRST + WARM + 3)
        made = references(counts, days, rules) if i < 20 else inputs[i % 20].references
        hour = days[-1] * 24 + int(rng.integers(1, 24))
        before = play(lambda h, c=counts: until(c, h), made, [days[0] * 24 + 3, days[1] * 24 + 7], rules)[-1].state
        inputs.append(HourlyInput("v", before if i % 3 else None, made, until(counts, hour), hour, rules))
    together = advance(inputs)
    for number, item in enumerate(inputs):
        assert advance([item])[0] == together[number]
    shuffled = rng.permutation(200).tolist()
    assert advance([inputs[i] for i in shuffled]) == [together[i] for i in shuffled]


def test_what_is_kept_of_a_day_in_flight_is_what_would_be_reckoned_again() -> None:
    counts = world(6, 500, 4, 0.3, 0.5)
    days = range(FIRST + WARM, FIRST + WARM + 4)
    made = references(counts, days)
    state = play(lambda hour: until(counts, hour), made, list(range(days[0] * 24 + 1, days[-1] * 24 + 3)))[-1].state
    bare = ModelEvidence(
        "v",
        msgspec.structs.replace(state.errors, flying=[]),
        msgspec.structs.replace(state.scores, flying=[]),
    )
    assert state.errors.flying
    assert state.scores.flying
    hour = days[-1] * 24 + 9
    asked = [HourlyInput("v", x, made, until(counts, hour), hour, RULES) for x in (state, bare)]
    assert advance(asked[:1]) == advance(asked[1:])
    changed = until(counts, hour)
    changed[days[-2]][7, 1] += 40
    assert advance([_with_hours(asked[0], changed)])[0].errors != advance(asked[:1])[0].errors


def _with_hours(item: HourlyInput, hours: dict[int, Any]) -> HourlyInput:
    """The same with other counts."""
    return HourlyInput(item.version, item.state, item.references, hours, item.hour, item.rules)


def test_a_day_without_counts_freezes_with_ratio_one_and_single_hours_fade() -> None:
    counts = world(7, 500, 3, 0.3)
    days = range(FIRST + WARM, FIRST + WARM + 3)
    made = references(counts, days)
    states = play(lambda hour: until(counts, hour), made, [days[0] * 24 + 1, days[-1] * 24 + 24])
    later = play(
        lambda hour: until(counts, hour), made, [(days[-1] + n) * 24 + 1 for n in (3, 8)], RULES, states[-1].state
    )
    assert later[0].state.errors.rest == later[1].state.errors.rest != b""
    assert later[1].state.errors.burst == pytest.approx(later[0].state.errors.burst * (29 / 30) ** 5, rel=1e-12)
    assert later[1].errors.reason is not None


def test_another_version_and_a_channel_without_a_reference_begin_anew() -> None:
    counts = world(8, 500, 3, 0.4)
    days = range(FIRST + WARM, FIRST + WARM + 3)
    made = references(counts, days)
    hour = days[-1] * 24 + 20
    old = play(lambda h: until(counts, h), made, [days[0] * 24 + 1, hour])[-1]
    assert old.errors.alarm
    new = advance([HourlyInput("w", old.state, made, until(counts, hour), hour, RULES)])[0]
    assert (new.state.version, new.state.errors, new.state.scores) == ("w", fresh(hour), fresh(hour))
    assert new.errors.reason == "no reference has been made yet"
    never = HourlyRules(label_delay_days=8)
    assert "more than 7 days" in str(advance([HourlyInput("v", None, made, {}, hour, never)])[0].errors.reason)


def test_evidence_of_any_size_is_finite_and_the_alarm_goes_by_the_rounded_value() -> None:
    counts = world(9, 200_000, 12, 0.9)
    days = range(FIRST + WARM, FIRST + WARM + 12)
    found = play(lambda h: until(counts, h), references(counts, days), [d * 24 + 24 for d in days])
    assert found[-1].errors.evidence is not None
    assert 300 < found[-1].errors.evidence < 10_000
    assert RULES.threshold == 3.301
    assert HourlyRules(false_alert_budget=20).threshold == 2.0
