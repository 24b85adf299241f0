"""The stage beside its table: restarts, what it stores, what it refuses."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest
from msgspec import UNSET

from schemas.common import rfc3339, uuid5
from schemas.partitioning import partition_for
from stream_app.core import model_log
from stream_app.core.alerts import AlertsStage, state
from stream_app.core.alerts import lane_state as lane_states
from stream_app.core.kit.days import HOUR_MS
from stream_app.core.metrics_stage.border import read_command, read_result
from stream_app.errors import Broken, Incompatible
from tests.unit.alerts.bench import Bench, D, at, command, decision, event, kept, news, tick
from tests.unit.tables import Rec


def draw_log(seed: int) -> list[Any]:
    """Weeks of some models, an epoch every six hours, everything that can happen to an alert."""
    draw = random.Random(seed)
    models = ("conflict:global", "fraud:a", "fraud:b")
    last: dict[str, Any] = {}
    opened = _alert_ids(models)
    numbers = count()
    log: list[Any] = []
    for day in range(D, D + 30):
        for hour in (4, 10, 16, 22):
            epoch: list[Any] = []
            for model in models:
                if hour == 4:
                    if model in last and draw.random() < 0.3:
                        old = last[model]
                        verdict, severity = draw.choice([("no_drift", None), ("drift", "CRITICAL")])
                        epoch.append(event("performance", day - 1, verdict, severity, model=model, revises=old.id))
                    for kind in ("completeness", "volume", "statistical", "performance"):
                        found = draw.choice(
                            [("drift", "HIGH"), ("drift", "MEDIUM"), ("drift", "CRITICAL"), ("no_drift", None),
                             ("no_drift", None), ("no_drift", None), ("insufficient_evidence", None)]
                        )  # fmt: skip
                        epoch.append(event(kind, day, *found, model=model, statistic=draw.random()))
                    last[model] = epoch[-1]
                if draw.random() < 0.05:
                    epoch.append(command("acknowledge", draw.choice([model, "*"]), draw.choice(["sam", "kim"])))
                if draw.random() < 0.2:
                    id, hours = f"d{next(numbers)}", draw.choice((5, 30, 100, 300))
                    until = rfc3339(at(day, hour) + hours * HOUR_MS)
                    alert = draw.choice([i for close, i in opened[model] if close <= at(day, hour)] or ["none"])
                    whom = draw.choice([(model, {}), ("*", {"model_type": model.partition(":")[0]})])
                    kinds = draw.choice([{}, {"kinds": ["performance"]}, {"kinds": ["performance", "statistical"]}])
                    begin = draw.choice([{}, {}, {"from": rfc3339(at(day, hour) + 5 * HOUR_MS)}])
                    epoch.append(draw.choice([
                        command("mute", whom[0], id=id, until=until, **whom[1], **kinds, **begin),
                        command("mute", whom[0], id=id, until=until, **whom[1], **kinds, **begin),
                        command("unmute", whom[0], id=id, **whom[1], **kinds),
                        command("verdict", model, id=id, alert_id=alert, verdict=draw.choice(["real", "false"])),
                        command("note", model, id=id, alert_id=alert, note=f"note {id}"),
                        command("unacknowledge", draw.choice([model, "*"]), id=id),
                    ]))  # fmt: skip
                if draw.random() < 0.03:
                    epoch.append(command("rebaseline", model))
                if draw.random() < 0.03:
                    epoch.append(kept(at(day, hour - 12), model))
            for about in [e for e in epoch if isinstance(e, model_log.EventEntry) and e.finding.verdict == "drift"]:
                if draw.random() < 0.7:
                    epoch.insert(draw.randrange(len(epoch) + 1), decision(about, draw.random() < 0.5))
            log += [*epoch, tick(at(day, hour))]
    return log


def _alert_ids(models: tuple[str, ...]) -> dict[str, list[tuple[int, str]]]:
    """Ids that alerts of a log may have, with their closes."""
    days = range(D, D + 30)
    return {
        model: [
            (close, uuid5("alert", type, model, rfc3339(close)))
            for day in days
            for type, close in (
                (state.DRIFT, at(day)), (state.DRIFT, at(day, 3)), (state.INCOMPLETE, at(day, 1)),
            )
        ]
        for model in models
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_what_is_published_does_not_depend_on_checkpoints_and_restarts(seed: int) -> None:
    log = draw_log(seed)
    plain = Bench().feed(*log)
    plain.checkpoint()
    assert {"opened", "severity", "reminder", "escalated", "resolved", None} == set(news(plain.alerts()))
    for cuts in range(3):
        cut = Bench(random.Random(100 * seed + cuts)).feed(*log)
        cut.checkpoint()
        assert cut.restarts > 50
        assert cut.emits == plain.emits
        assert cut.table.rows == plain.table.rows


def test_revisions_of_an_alert_count_up_by_one_and_end_with_its_resolution() -> None:
    bench = Bench().feed(*draw_log(9))
    seen: dict[str, Any] = {}
    open_of: dict[tuple[str, str], str] = {}
    for alert in bench.alerts():
        before = seen.get(alert.id)
        assert alert.revision == (before.revision + 1 if before is not None else 1)
        if before is not None and before.status == "resolved":  # what people write on it, and its end after a mute
            assert alert.status == "resolved"
            assert alert.notify in (UNSET, "resolved")
            seen[alert.id] = alert
            continue
        assert alert.status == "resolved" or open_of.get((alert.model, alert.type), alert.id) == alert.id
        if alert.status == "resolved":
            open_of.pop((alert.model, alert.type))
        else:
            open_of[alert.model, alert.type] = alert.id
        seen[alert.id] = alert
    assert len(seen) > 5


def test_nothing_is_done_before_the_tick_of_its_epoch() -> None:
    bench = Bench().feed(event("performance", D, "drift", "HIGH"))
    assert bench.alerts() == []
    bench.checkpoint()
    assert news(bench.epoch(at(D))) == ["opened"]


def test_an_epoch_and_its_decisions_leave_the_table_with_their_tick() -> None:
    bench = Bench()
    cause = event("performance", D, "drift", "HIGH")
    bench.feed(cause, decision(cause), decision(event("statistical", D)))
    bench.checkpoint()
    assert {key[:1] for key in bench.table.rows} == {b"E", b"D"}
    bench.close(D)
    assert {key[:1] for key in bench.table.rows} == {b"A", b"O"}
    bench.close(D + 1, command("rebaseline"))
    # the alert that is over is kept for people to judge it
    assert {key[:1] for key in bench.table.rows} == {b"A", b"R", b"X"}


def test_an_event_of_thousands_of_rows_is_stored_without_its_histograms() -> None:
    bench = Bench()
    cause = event("performance", D, "drift", "HIGH")
    bench.feed(cause)
    bench.checkpoint()
    assert all(len(value) < 1_000 for value in bench.table.rows.values())


def test_the_last_tick_handled_stands_in_the_memo() -> None:
    bench = Bench()
    assert bench.stage.last_tick == 0
    bench.close(D)
    bench.checkpoint()
    assert bench.stage.last_tick == at(D)
    assert lane_states.decode(bench.lane_state or b"").last_tick == at(D)


def test_a_tick_that_is_not_later_than_the_last_does_nothing() -> None:
    bench = Bench()
    bench.close(D)
    assert bench.epoch(at(D), event("performance", D, "drift", "HIGH")) == []
    assert news(bench.epoch(at(D) + 1)) == ["opened"]


def test_entries_that_alerts_do_not_ask_for_are_passed_over() -> None:
    bench = Bench()
    others = [
        model_log.SnapshotEntry("a:b", "v", 1, 1, 0, 0),
        model_log.LifecycleEntry("a:b", "v2", "v1", "observed", 1),
        model_log.LabelledEntry([("a:b", "v", 1)]),
        read_result(b'{"model": "a:b", "command_id": "c", "status": "done"}'),
        read_command(b'{"model": "a:b", "id": "c", "command": "acknowledge", "arguments": {"alert_id": 7}}'),
    ]
    assert bench.close(D, *others) == []
    assert bench.table.rows == {}


@pytest.mark.parametrize("value", [bytes((model_log.FORMAT,)) + rest for rest in (b"\xff", b"\x80")])
def test_what_is_no_entry_is_our_own_fault(value: bytes) -> None:
    with pytest.raises(Broken, match=r"drift-log\[0\] offset 0 is not an entry"):
        Bench().feed(value)


@pytest.mark.parametrize("value", [b"", b"\x01\x80", b"\x09\x80"])
def test_an_entry_of_another_release_is_refused_by_its_format(value: bytes) -> None:
    with pytest.raises(Incompatible, match="format"):
        Bench().feed(value)


def test_a_model_of_another_partition_is_our_own_fault() -> None:
    mine = next(f"m:{i}" for i in range(99) if partition_for(f"m:{i}".encode(), 2) == 1)
    other = next(f"m:{i}" for i in range(99) if partition_for(f"m:{i}".encode(), 2) == 0)
    bench = Bench(partition=1, partitions=2)
    bench.close(D, event("performance", D, "drift", "HIGH", model=mine))
    assert [emit.partition for emit in bench.emits] == [1]
    with pytest.raises(Broken, match="partition 1 of 2"):
        bench.feed(event("performance", D, "drift", "HIGH", model=other))


def test_the_log_is_its_only_input_and_nothing_is_waited_for() -> None:
    stage = AlertsStage(Bench().config, 3)
    assert stage.partition == 3
    assert not stage.live
    assert stage.waiting_for(None) is None  # type: ignore[arg-type]
    assert stage.advance(None)  # type: ignore[arg-type]
    drained = stage.drain()
    assert (drained.puts, drained.emits) == ({}, [])
    assert stage.accept("log", [Rec("t", 0, 0, 0, None, model_log.encode(tick(5)))], None) == 1


def test_the_same_event_twice_is_one_close() -> None:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH"))
    calm = event("performance", D + 1)
    assert "resolved" not in news(bench.close(D + 1, calm, calm, calm))
