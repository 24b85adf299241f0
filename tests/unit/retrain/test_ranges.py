"""Which rows a candidate learns from and is judged on, against tables of cases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import RetrainRules
from stream_app.core.retrain.data_range import Asked, LabelledRows, Plan, plan
from stream_app.core.retrain.profile import cut, take
from tests.unit.retrain.bench import Bench, D, at, command, completeness, event, snapshot, tick

#: an office: 8 to 12, a quarter of the rows each
OFFICE = [100 if 8 <= hour < 12 else 0 for hour in range(24)]


def made(
    rows: dict[int, int | tuple[int, int]], onset: int | None = None, names: tuple[str, ...] = (), **rest: Any
) -> Plan:
    """A plan by rows of days counted back from D, the first day that is not mature; half of them positive."""
    by_day = {
        D - back: found if isinstance(found, tuple) else (found, found // 2) for back, found in sorted(rows.items())
    }
    hours = rest.pop("hours", ())
    asked = Asked(None if onset is None else D - onset, names)
    return plan(asked, LabelledRows(by_day, hours, D), RetrainRules(**rest), lambda day: {}, {})


def even(days: int, count: int = 100) -> dict[int, int | tuple[int, int]]:
    return dict.fromkeys(range(1, days + 1), count)


#: (rows by days back, onset, hours of the hold-out before D)
HELD: list[tuple[dict[int, int | tuple[int, int]], int | None, int]] = [
    # a fifth of one day's rows is its last 4.8 hours, cut at a full hour
    (even(1, 1_000), 1, 5),
    (even(5), 5, 24),
    (even(10), 10, 48),
    # a small day at the end, then a part of the one before: 100 wanted, 40 there, 60 of 460 are 3.1 hours
    ({2: 460, 1: 40}, 2, 24 + 4),
    # days before the onset count for nothing, nor those more than 30 days back where no drift asks
    ({9: 9_000, **even(1, 1_000)}, 1, 5),
    (even(60), None, 6 * 24),
    # of few rows a hundred
    (even(10, 30), 10, 3 * 24 + 8),
    # further back for thirty of each class: three positives a day
    (dict.fromkeys(range(1, 31), (100, 3)), 30, 10 * 24),
    (dict.fromkeys(range(1, 31), (100, 97)), 30, 10 * 24),
    # a fifth of 200 days would be 40
    (even(200), 170, 30 * 24),
]


@pytest.mark.parametrize(("rows", "onset", "hours"), HELD)
def test_the_newest_fifth_is_held_out_and_more_where_it_is_too_few(
    rows: dict[int, int | tuple[int, int]], onset: int | None, hours: int
) -> None:
    found = made(rows, onset)
    assert found.lacks is None
    assert found.to_ms == D * DAY_MS
    assert found.to_ms - found.split_ms == hours * HOUR_MS
    assert found.from_ms == (D - (onset or 30)) * DAY_MS


@pytest.mark.parametrize(
    ("rows", "onset", "lacks"),
    [
        ({}, 3, "0 labelled rows"),
        # it begins with the day that has not closed yet
        (even(30, 100), 0, "no day since 2026-"),
        (even(1, 99), 1, "99 labelled rows from"),
        # a hundred of 150 are more than half
        (even(1, 150), 1, "the hold-out would take 100 of 150 labelled rows since"),
        (even(30, 5), None, "would take 100 of 150"),
        (dict.fromkeys(range(1, 31), (100, 0)), 30, "0 of them positive; the hold-out needs 100, and 30 of each"),
        (dict.fromkeys(range(1, 31), (100, 100)), 30, "3000 of them positive"),
        # thirty positives are there, but more than thirty days back
        ({back: (100, 1 if back > 29 else 0) for back in range(1, 100)}, 99, "from"),
        # both classes are in the hold-out alone
        ({back: (100, 50 if back == 1 else 0) for back in range(1, 31)}, 30, "no range holds 100 labelled rows of bo"),
    ],
)
def test_what_cannot_be_judged_is_named(rows: dict[int, int | tuple[int, int]], onset: int | None, lacks: str) -> None:
    assert lacks in (made(rows, onset).lacks or "")


#: (days known, onset, names, rules, (name, days back) of each range)
RANGES: list[tuple[int, int | None, tuple[str, ...], dict[str, Any], list[tuple[str, int]]]] = [
    (200, 10, (), {}, [("onset", 10), ("30d", 30), ("all", 180)]),
    (200, None, (), {}, [("30d", 30), ("all", 180)]),
    (200, 40, (), {}, [("onset", 40), ("30d", 30), ("all", 180)]),
    # of ranges that begin alike the first counts: a model that is 20 days old has two
    (20, 10, (), {}, [("onset", 10), ("30d", 20)]),
    (200, 30, (), {}, [("onset", 30), ("all", 180)]),
    (200, 190, (), {"retrain_all_days": 60}, [("onset", 60), ("30d", 30)]),
    (200, None, ("14d", "all"), {}, [("14d", 14), ("all", 180)]),
    (200, None, (), {"retrain_ranges": ("all",)}, [("all", 180)]),
    # none that is named can be had: the one for trainers that fit one
    (200, None, (), {"retrain_ranges": ("onset",)}, [("30d", 30)]),
    (200, None, ("1d",), {}, [("30d", 30)]),
]


@pytest.mark.parametrize(("days", "onset", "names", "rules", "expected"), RANGES)
def test_ranges_end_where_the_hold_out_begins(
    days: int, onset: int | None, names: tuple[str, ...], rules: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    found = made(even(days), onset, names, **rules)
    assert [(item.name, D - item.from_ms // DAY_MS) for item in found.ranges] == expected
    assert all(item.rows == round((found.split_ms - item.from_ms) / DAY_MS * 100) for item in found.ranges)


def test_a_trainer_of_one_range_gets_the_onset_or_thirty_days_or_the_first_that_a_person_names() -> None:
    firsts = [made(even(200), *given).from_ms for given in ((10,), (None,), (None, ("60d", "all")))]
    assert [D - first // DAY_MS for first in firsts] == [10, 30, 60]


@pytest.mark.parametrize(
    ("hours", "split"),
    [
        (OFFICE, 11),
        # nearly all in one hour: the hold-out is the whole of it rather than nothing
        ([1 if hour < 10 else 900 if hour == 10 else 0 for hour in range(24)], 10),
        # evenly: as if nothing were known
        ([7] * 24, 19),
    ],
)
def test_a_day_is_cut_where_the_models_own_hours_say(hours: list[int], split: int) -> None:
    found = made(even(5, 1_000), 1, hours=hours)
    assert found.split_ms == (D - 1) * DAY_MS + split * HOUR_MS
    # nearly all rows of an hour cannot be held out of the one day there is
    assert (found.lacks is None) == (split != 10)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.integers(1, 100), st.tuples(st.integers(0, 400), st.integers(0, 100)), max_size=60),
    st.one_of(st.none(), st.integers(0, 120)),
    st.sampled_from(((), OFFICE, [7] * 24)),
)
def test_a_plan_that_lacks_nothing_can_be_carried_out(
    rows: dict[int, tuple[int, int]], onset: int | None, hours: list[int]
) -> None:
    """In rows as they are expected: halves of them on either side, both classes, ranges before the hold-out."""
    known = {back: (count, count * share // 100) for back, (count, share) in rows.items()}
    found = made(known, onset, hours=hours)
    assert found.from_ms <= found.split_ms <= found.to_ms
    assert found.ranges
    assert len({item.from_ms for item in found.ranges}) == len(found.ranges)
    if found.lacks is not None:
        return
    since = [count for back, (count, _) in known.items() if (D - back) * DAY_MS >= found.from_ms]
    assert found.labelled == sum(since) >= 200
    assert found.to_ms - found.split_ms <= 30 * DAY_MS
    assert all(item.from_ms < found.split_ms for item in found.ranges)
    assert max(item.rows for item in found.ranges) >= 100
    whole = [known[back] for back in known if (D - back) * DAY_MS >= found.split_ms - DAY_MS]
    assert sum(count for count, _ in whole) >= 100
    assert sum(yes for _, yes in whole) >= 30
    assert sum(count - yes for count, yes in whole) >= 30


def test_a_profile_follows_a_model_whose_hours_move() -> None:
    known = [0] * 24
    for day in range(30):
        for hour in range(24):
            take(known, (D + day) * 24 + hour, 100 if hour == 9 else 0)
    assert cut(known, 0.2) == 9
    for day in range(30, 60):
        for hour in range(24):
            take(known, (D + day) * 24 + hour, 100 if hour == 15 else 0)
    assert cut(known, 0.95) == 15
    assert cut([0] * 24, 0.2) is None
    assert max(known) < 100 * 8


def test_offsets_reach_from_before_the_longest_range_to_those_of_the_tick() -> None:
    start = {"predictions": {0: 17, 1: 4}, "outcomes": {0: 3}}
    end = {"predictions": {1: 40, 0: 70}, "outcomes": {0: 30, 1: 9}}
    asked: list[int] = []

    def ends(day: int) -> dict[str, dict[int, int]]:
        asked.append(day)
        return start

    rows = LabelledRows({D - back: (100, 50) for back in range(1, 61)}, (), D)
    found = plan(Asked(D - 10), rows, RetrainRules(), ends, end)
    assert asked == [D - 60 - 1]
    assert found.offsets == {"outcomes": {0: (3, 30), 1: (0, 9)}, "predictions": {0: (17, 70), 1: (4, 40)}}


# -- in the lane -----------------------------------------------------------------------------------------------------


def test_a_command_names_ranges_up_to_the_last_mature_day() -> None:
    bench = Bench().serving(days=60)
    sent = bench.feed(event("performance", D, run_from=D - 6), tick(at(D))).last("training-commands")
    assert sent.data.holdout.to == "2026-03-03T00:00:00.000Z"
    assert [(item.name, item.from_, item.rows) for item in sent.data.ranges] == [
        ("onset", "2026-02-26T00:00:00.000Z", 4_000),
        ("30d", "2026-02-01T00:00:00.000Z", 29_000),
        ("all", "2026-01-03T00:00:00.000Z", 58_000),
    ]
    assert {item.to for item in sent.data.ranges} == {sent.data.train.to, sent.data.holdout.from_}
    assert sent.data.train.from_ == sent.data.ranges[0].from_


def test_where_silence_counts_as_negative_rows_are_taken_once_they_are_old_enough() -> None:
    rules = RetrainRules(validation_floors={"accuracy": 0.7}, unlabelled_as="negative", unlabelled_after_days=9)
    bench = Bench(rules).serving(days=60)
    sent = bench.feed(command("retrain"), tick(at(D))).last("training-commands")
    assert sent.data.holdout.to == "2026-02-23T00:00:00.000Z"


def test_a_person_may_name_ranges_and_nonsense_is_refused() -> None:
    bench = Bench().serving(days=60)
    sent = bench.feed(command("retrain", ranges=["14d", "all"]), tick(at(D))).last("training-commands")
    assert [item.name for item in sent.data.ranges] == ["14d", "all"]
    assert sent.data.train.from_ == sent.data.ranges[0].from_ == "2026-02-17T00:00:00.000Z"
    for number, wrong in enumerate((["everything"], [], "all", ["0d"], ["all\n"], ["7d"] * 9)):
        bench.feed(command("retrain", id=f"w{number}", ranges=wrong), tick(at(D, 5 + number)))
        refused = [row for row in bench.of("audit") if row.action == "read_command"]
        assert len(refused) == number + 1
        assert "arguments.ranges" in refused[-1].reason


def test_rows_are_counted_over_versions_and_revisions_and_forgotten_with_time() -> None:
    bench = Bench()
    bench.feed(snapshot(D, 100, "a"), snapshot(D, 40, "b"), snapshot(D, 110, "a"), completeness(D + 2))
    assert bench.stage._memory.history("conflict:global").by_day == {D: (150, 75)}
    bench.feed(snapshot(D + 240, 10))
    assert bench.stage._memory.history("conflict:global").by_day == {D + 240: (10, 5)}
