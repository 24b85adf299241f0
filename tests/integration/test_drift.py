"""Planted drift on a real broker: every scenario a model of one replay, driven by ticks."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.commands.announce import announce
from tests.support.generate import Row, Step
from tests.support.judge import finished, told
from tests.support.kafka_io import Prefix, read, write, write_commands
from tests.support.scenarios import BAD, DAY_MS, FIRST_DAY, HOUR_MS, Scenario, everything, rows
from tests.support.simulate import close_day
from tests.support.worker import Worker

MODELS = {"churn:gap-3": {"alert_gap_h": 96}, "churn:gap-4": {"alert_gap_h": 96}}


def steps(scenarios: list[Scenario]) -> list[Step]:
    """All rows in order of time, with ticks at noon and at the four closes."""
    timed: dict[int, list[tuple[int, Row]]] = defaultdict(list)
    for scenario in scenarios:
        for at, topic, key, record in rows(scenario):
            midnight = at // DAY_MS * DAY_MS
            hour = next((h for h in (1, 2, 3, 4, 12) if at < midnight + h * HOUR_MS), 25)
            timed[midnight + hour * HOUR_MS].append((at, Row(topic, key.encode(), json.dumps(record).encode())))
    last = max(timed) // DAY_MS
    every = {day * DAY_MS + hour * HOUR_MS for day in range(FIRST_DAY, last + 1) for hour in (1, 2, 3, 4, 12)}
    return [
        (at, [row for _, row in sorted(timed.get(at, []), key=lambda item: item[0])])
        for at in sorted(every | set(timed))
        if at >= min(timed)
    ]


class Published:
    """Drift events and alerts by model."""

    def __init__(self, events: list[dict[str, Any]], alerts: list[dict[str, Any]]) -> None:
        self.events, self.alerts = events, alerts

    def event(self, model: str, close: int, kind: str = "performance") -> dict[str, Any]:
        """The event of a kind at a close, as it was first published."""
        found = [e for e in self.events if e["model"] == model and e["kind"] == kind and close_day(e) == close]
        return next(e for e in found if "revises" not in e)

    def drift(self, model: str, *kinds: str) -> list[dict[str, Any]]:
        """Events with the verdict drift."""
        return [e for e in self.events if e["model"] == model and e["verdict"] == "drift" and (e["kind"] in kinds)]

    def news(self, model: str, notify: str) -> list[tuple[int, int]]:
        """(day, hour) of the tick of each revision with this notify."""
        found = [a for a in self.alerts if a["model"] == model and a.get("notify") == notify]
        return [(close_day({"as_of": a["at"]}), int(a["at"][11:13])) for a in found]


async def published(prefix: Prefix) -> Published:
    topics = prefix.topics
    found = []
    for topic in (topics.drift_events, topics.alerts):
        parts = await read(prefix.bootstrap, topic, topics.model_partitions)
        found.append([json.loads(r.value) for part in parts.values() for r in part])
    return Published(found[0], found[1])


async def test_planted_drift_is_found_named_and_told_once(
    prefix: Prefix, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = steps(everything())
    # what the daily checks say; their alerts would open within the day otherwise
    await announce(prefix.settings(models=MODELS, hourly_alerts="shadow"), prefix.topics)
    await write(prefix, script)
    running = worker(max_checkpoint_events="12000", hourly_alerts="shadow").start()
    await finished(prefix, script[-1][0], [running], bound_s=300)
    await told(prefix, running)
    assert running.stop() == 0, running.tail()
    seen = await published(prefix)

    _exactly_one_each(seen)
    # severities at the first close whose seven days are all bad; 25 points at the first mature close already
    first_whole, first_mature = BAD + 8, BAD + 2
    for points, severity in ((7, "MEDIUM"), (15, "HIGH"), (25, "CRITICAL")):
        event = seen.event(f"churn:step-{points}-1000-on", first_whole)
        assert (event["verdict"], event["severity"]) == ("drift", severity)
    assert seen.event("churn:step-25-1000-on", first_mature)["severity"] in ("HIGH", "CRITICAL")
    assert seen.event("churn:step-25-1000-on", first_mature - 1)["verdict"] == "no_drift"

    # stretched scores: statistical drift, no performance drift
    assert seen.drift("churn:stretched", "statistical")
    assert not seen.drift("churn:stretched", "performance")

    # ordinary weeks: nothing for sixty days
    assert not seen.news("churn:weekdays", "opened")
    assert seen.event("churn:weekdays", 70, "statistical")["baseline_kind"] == "window"

    # escalation and reminders, at the first tick at or after 4 h and every 24 h
    step = "churn:step-25-1000-on"
    assert seen.news(step, "opened") == [(first_mature, 4)]
    assert seen.news(step, "escalated") == [(first_mature, 12)]
    assert seen.news(step, "reminder")[:3] == [(first_mature + d, 4) for d in (1, 2, 3)]
    assert seen.news("churn:step-15-1000-on", "escalated") == [(first_mature + 1, 4)]

    # resolution, and no echo when the incident enters the baseline
    for model in ("churn:step-25-100-34", "churn:step-25-400-34"):
        (resolved,) = seen.news(model, "resolved")
        assert BAD + 10 < resolved[0] <= BAD + 10 + 12
        assert seen.news(model, "opened") == [(first_mature, 4)]
    quiet = [e for e in seen.drift("churn:step-25-100-34", "performance") if close_day(e) > BAD + 30]
    assert not [e for e in quiet if e["severity"] != "MEDIUM"]
    assert seen.event("churn:step-25-100-34", 90)["baseline_kind"] == "window"

    # one alert per 96 h of nominal time: days d and d + 3 are one, d and d + 4 are two
    assert seen.news("churn:gap-3", "opened") == [(first_mature, 4)]
    assert seen.news("churn:gap-4", "opened") == [(first_mature, 4), (first_mature + 4, 4)]

    # labels that are corrected take the alert back
    assert seen.news("churn:late-labels", "opened") == [(first_mature, 4)]
    back = next(a for a in seen.alerts if a["model"] == "churn:late-labels" and a["status"] == "resolved")
    assert back["resolution_reason"] == "labels_revised"
    again = next(e for e in seen.events if e["model"] == "churn:late-labels" and "revises" in e)
    assert again["revises"] == seen.event("churn:late-labels", first_mature)["id"]

    # coverage
    assert seen.news("churn:coverage-0.4", "opened") == [(first_mature, 1)]
    assert len(seen.news("churn:coverage-0.4", "resolved")) == 1
    assert not seen.news("churn:coverage-0.6", "opened")
    incomplete = next(a for a in seen.alerts if a["model"] == "churn:coverage-0.4")
    assert incomplete["type"] == "ML_OUTCOMES_INCOMPLETE"
    assert "outcomes missing since Thursday 2026-03-12" in incomplete["summary"]
    named = seen.event("churn:coverage-0.4", first_mature)
    assert named["faults"] == ["outcomes missing since Thursday 2026-03-12"]

    # a new version with other scores is compared with itself alone
    assert not seen.news("churn:recalibrated", "opened")
    assert seen.event("churn:recalibrated", 40, "statistical")["model_version"] == "v2"

    # half of the fraud missed, accuracy untouched
    fraud = seen.event("fraud:missed", 16 + 2)
    assert fraud["severity"] in ("HIGH", "CRITICAL")
    assert fraud["metric"] in ("recall", "pr_auc")

    await _explained(prefix, running, seen, monkeypatch)
    await _ordered(prefix, running, script)


async def _ordered(prefix: Prefix, running: Worker, script: list[Step]) -> None:
    """What was ordered by the commands takes effect at the next tick."""
    at = script[-1][0] + HOUR_MS
    topics = prefix.topics
    orders = await read(prefix.bootstrap, topics.operator_commands, topics.model_partitions)
    await write_commands(prefix, at, {p: rows[-1].offset + 1 for p, rows in orders.items() if rows})
    running.start()
    await finished(prefix, at, [running])
    lifecycle = await read(prefix.bootstrap, topics.model_lifecycle, topics.model_partitions)
    latest = {row["model"]: row for part in lifecycle.values() for r in part for row in [json.loads(r.value)]}
    assert (latest["churn:late-labels"]["active_version"], latest["churn:late-labels"]["how"]) == ("v9", "registered")
    assert running.stop() == 0, running.tail()


def _exactly_one_each(seen: Published) -> None:
    ids = [e["id"] for e in seen.events]
    assert len(ids) == len(set(ids))
    revisions = [(a["id"], a["revision"]) for a in seen.alerts]
    assert len(revisions) == len(set(revisions))
    for id in {a["id"] for a in seen.alerts}:
        mine = sorted(r for i, r in revisions if i == id)
        assert mine == list(range(1, len(mine) + 1))


async def _explained(prefix: Prefix, running: Worker, seen: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plumbline explain` makes an alert again, byte for byte, from counts and from rows; the beginning of its id will
    do."""
    for key, value in running.env.items():
        if key.startswith("PLUMBLINE_"):
            monkeypatch.setenv(key, value)
    # the one that ends soonest: what it stands on is worked out from the start of time
    alert = next(a for a in seen.alerts if a["model"] == "churn:late-labels")

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(cli, list(arguments))

    from_what = {
        (): {prefix.topics.model_deltas},
        ("--from-rows",): {prefix.topics.predictions, prefix.topics.outcomes},
    }
    for options, topics in from_what.items():
        done = await asyncio.to_thread(call, "explain", alert["id"][:8], *options, "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["id"] == alert["id"]
        assert told["same"] is True
        assert told["differences"] == []
        assert set(told["inputs"]) == topics
    assert told["rules"]["drop_high_points"] == 10.0
    assert {e["id"] for e in told["events"]} == set(told["records"][-1]["drift_event_ids"])
    listed = await asyncio.to_thread(call, "alerts", "--all", "--json")
    assert {json.loads(text)["id"] for text in listed.stdout.splitlines()} == {a["id"] for a in seen.alerts}
    shown = await asyncio.to_thread(call, "alerts", alert["id"][:13])
    assert shown.exit_code == 0
    assert "flags: refused, auto_retrain is off" in shown.output
    model = alert["model"]
    for arguments, said in (
        (("acknowledge", alert["id"], "--reason", "seen"), "is resolved already"),
        (("rebaseline", "no-model", "--reason", "x"), "a model is written TYPE:TENANT"),
        (("rebaseline", model), "--reason"),
        (("rebaseline", model, "--actor", "me", "--reason", "new normal"), "commanded: rebaseline of"),
        (("models", "register", model, "v9", "--actor", "me", "--reason", "deployed"), "commanded: register of"),
    ):
        done = await asyncio.to_thread(call, *arguments)
        assert said in done.output
        assert (done.exit_code == 0) == said.startswith("commanded")
    missing = await asyncio.to_thread(call, "explain", "00000000-0000-0000-0000-000000000000")
    assert missing.exit_code != 0
    assert "no drift event or alert has the id" in missing.output
    # an alarm between two daily checks is made again likewise
    alarm = next(e for e in seen.events if e["model"] == "churn:step-25-1000-on" and e.get("check") == "hourly")
    done = await asyncio.to_thread(call, "explain", alarm["id"][:12], "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["id"], told["same"], told["differences"]) == (alarm["id"], True, [])
