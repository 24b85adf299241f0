"""Labels to alerts in memory: what comes out is what the oracle finds, whatever is killed wherever."""

from __future__ import annotations

import json
from collections import Counter
from itertools import zip_longest
from typing import Any

import numpy as np
import pytest

from schemas.common import parse_ms
from stream_app.core import model_log
from stream_app.core.hourly import hours_codec
from stream_app.core.metrics_stage.keys import HOURS, split_cell_key
from tests.machine.chain import DAYS, PARTITIONS, STEPS, TOPICS, WORLDS, Chain, play, sequence, whole
from tests.machine.stories import STORIES
from tests.oracle import batch, drift
from tests.oracle.inputs import DAY, Refused, outcome, prediction
from tests.support.judge import counted_revisions, same

NAMES = (TOPICS.predictions, TOPICS.outcomes)


def _raw(chain: Chain, topic: str) -> dict[int, list[tuple[int, bytes | None]]]:
    return {partition: chain.records[topic, partition] for partition in range(PARTITIONS)}


@pytest.mark.parametrize("world", range(WORLDS))
def test_without_kills_the_counts_are_the_oracles(world: int) -> None:
    for chain in whole(world)[1:]:
        want = batch.compute(NAMES, *(_raw(chain, topic) for topic in (*NAMES, TOPICS.clock)))
        got = counted_revisions([row for row in chain.values("metric-snapshots") if row["state"] == "closed"])
        assert sorted(got) == sorted(want.snapshots)
        for key, fields in want.snapshots.items():
            for name, value in fields.items():
                assert same(got[key][name], value, name), f"{key} {name}"
        last = model_log.decode(chain.sent["model-log", 0][-1][1])
        assert isinstance(last, model_log.TickEntry)
        for side, counts in (("predictions", want.predictions), ("outcomes", want.outcomes)):
            assert {k: v for k, v in last.dispositions[side].items() if v} == {k: v for k, v in counts.items() if v}
        assert _dead(chain) == sorted(want.dead)
        assert _hours(chain) == want.hours
    assert len(want.snapshots) > DAYS
    assert len(want.hours) >= DAYS
    assert min(want.predictions["duplicate"] + want.outcomes["duplicate"], len(want.dead)) > 10


def _hours(chain: Chain) -> dict[tuple[str, str, int], list[list[int]]]:
    """Hour records in the tables of metrics: a chain is shorter than they are kept."""
    rows = {
        key: value
        for (stage, _), lane in chain.lanes.items() if stage == "metrics"
        for key, value in lane.table.rows.items() if key.startswith(HOURS)  # type: ignore[attr-defined]
    }  # fmt: skip
    return {split_cell_key(key): hours_codec.decode(value, key).tolist() for key, value in rows.items()}


def _dead(chain: Chain) -> list[tuple[str, int, int]]:
    places = []
    for partition in range(PARTITIONS):
        for _, _, headers in chain.sent["dead-letters", partition]:
            told = [dict(headers)[f"__connect.errors.{name}"].decode() for name in ("topic", "partition", "offset")]
            places.append((told[0], int(told[1]), int(told[2])))
    return sorted(places)


def _rows(chain: Chain, at_ms: int) -> drift.Rows:
    """What the tick covers, joined."""
    made: dict[str, Any] = {}
    seen: dict[str, bool] = {}
    for turn in chain.turns:
        for topic, _, value in turn.records if turn.at_ms <= at_ms else []:
            try:
                if topic == TOPICS.predictions:
                    row = prediction(value, 1 << 20)
                    made.setdefault(row.identity, row)
                elif topic == TOPICS.outcomes:
                    label = outcome(value, 1 << 20)
                    seen[label.identity] = label.actual
            except Refused:
                continue
    rows = list(made.values())
    return drift.Rows(
        np.array([row.version for row in rows], dtype=object),
        np.array([row.at for row in rows]),
        np.array([row.score for row in rows]),
        np.array([row.predicted for row in rows]),
        np.array([seen.get(row.identity, False) for row in rows]),
        np.array([row.identity in seen for row in rows]),
    )


@pytest.mark.parametrize("world", [n for n, story in enumerate(STORIES) if story.repairs is None])
def test_without_kills_the_drift_is_the_oracles_and_the_loop_closes(world: int) -> None:
    chain = whole(world)[-1]
    judges: dict[str, drift.Judge] = {}
    severities = Counter[str | None]()
    for event in chain.values("drift-events"):
        if event["kind"] == "quality" or "check" in event:
            continue
        close, at_ms = parse_ms(event["as_of"]) // DAY, parse_ms(event["at"])
        rows = _rows(chain, at_ms - at_ms % DAY + 4 * 3_600_000)
        rows = rows.of(rows.day < close)
        version = event["model_version"]
        if version not in judges:
            judges = {version: drift.Judge(version)}  # a change of version ends runs and lets go of what was held
        judge = judges[version]
        found = (judge.statistical if event["kind"] == "statistical" else judge.performance)(rows, close)
        assert (event["verdict"], event.get("severity")) == (found.verdict, found.severity), event
        severities[found.severity] += 1
    assert severities["CRITICAL"]
    assert [command["command"] for command in chain.values("training-commands")] == ["train", "activate"]
    outcomes = chain.values("command-outcomes")
    assert {(row["command"], row["state"]) for row in outcomes} >= {
        ("set", "done"), ("mute", "done"), ("mute", "refused"), ("unmute", "done"), ("verdict", "done"),
        ("note", "done"), ("acknowledge", "done"), ("unacknowledge", "done"),
    }  # fmt: skip
    assert any("muted_until" in alert for alert in chain.values("alerts"))
    assert {alert["status"] for alert in chain.values("alerts")} >= {"open", "updated"}
    assert [row["active_version"] for row in chain.values("model-lifecycle")][:2] == ["v1", "v2"]


#: of each way that a repair goes: the commands, and what the audit says of them in order
_REPAIRS = {
    "taken back": (
        ["recalibrate 1", "rollback 1", "train 1", "activate 1"],
        ["recalibrate ordered", "recalibrate activated", "probation failed", "rollback rolled_back", "train ordered",
         "validate passed", "activate activated", "probation kept"],
    ),
    "late": (
        ["recalibrate 1", "recalibrate 2", "recalibrate 3", "train 1", "cancel 1"],
        ["recalibrate ordered", "recalibrate sent_again", "recalibrate sent_again", "recalibrate failed",
         "train ordered", "train cancelled", "recalibrate activated", "probation kept"],
    ),
    "unsupported": (
        ["recalibrate 1", "train 1", "activate 1"],
        ["recalibrate ordered", "recalibrate failed", "train ordered", "validate passed", "activate activated",
         "probation kept"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("world", [n for n, story in enumerate(STORIES) if story.repairs is not None])
def test_without_kills_a_repair_ends_as_its_deployer_has_it_and_the_loop_closes(world: int) -> None:
    chain = whole(world)[-1]
    commands, decided = _REPAIRS[STORIES[world].repairs or ""]
    sent = [f"{command['command']} {command['attempt']}" for command in chain.values("training-commands")]
    assert sent == commands
    said = [f"{row['action']} {row['decision']}" for row in chain.values("audit") if row["stage"] == "retrain"]
    assert [text for text in said if "refused" not in text and "set" not in text] == decided
    jobs = chain.values("training-jobs")
    assert (jobs[-1]["state"], jobs[-1]["circuit"]) == ("idle", "closed")


def _difference(found: Chain, wanted: Chain) -> str | None:
    """The first record that is not the same; dead-lettered records come in the order that inputs are fetched in, and
    what stages tell the audit is in order stage by stage."""
    for key in sorted({*found.sent, *wanted.sent}):
        a, b = (list(map(repr, _by_stage(key[0], chain.sent[key]))) for chain in (found, wanted))
        if key[0] == "dead-letters":
            a, b = sorted(a), sorted(b)
        for number, (got, want) in enumerate(zip_longest(a, b)):
            if got != want:
                return f"{key[0]}[{key[1]}], record {number}: {got}\nwithout kills: {want}"
    return None


def _by_stage(alias: str, records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(records, key=lambda r: str(json.loads(r[1])["stage"])) if alias == "audit" else records


def _kill(seeds: range) -> Counter[tuple[str, str | None]]:
    kills = Counter[tuple[str, str | None]]()
    for seed in seeds:
        given = sequence(seed)
        try:
            chain = play(given)
            difference = _difference(chain, whole(given.world)[given.part + 1])
        except Exception as error:
            raise AssertionError(f"seed {seed} raises {error!r} under\n{given}") from error
        if difference is not None:
            pytest.fail(f"seed {seed}: {difference}\nunder\n{given}")
        kills += chain.kills
    return kills


def test_whatever_is_killed_wherever_no_kill_shows() -> None:
    kills = _kill(range(300))
    stages = ("labels", "metrics", "drift", "retrain", "alerts")
    ticking = {(stage, step) for stage in stages[:2] for step in STEPS if step.startswith("tick.")}
    others = {(stage, step) for stage in stages for step in STEPS if not step.startswith("tick.")}
    assert kills.keys() >= ticking | others


@pytest.mark.long
@pytest.mark.parametrize("thousand", range(10))
def test_whatever_is_killed_wherever_no_kill_shows_in_ten_thousand_sequences(thousand: int) -> None:
    _kill(range(1_000 * thousand, 1_000 * (thousand + 1)))
