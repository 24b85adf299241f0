"""What the page of the pipeline says of workers that answer, that do not, and that answer nonsense; and of records that
could not be used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from schemas import deadletters
from schemas.common import parse_ms
from stream_app.kafka.admin import ConsumerGroup
from stream_app.kafka.clock_tail import ClockTail
from stream_app.projection import fold
from stream_app.replay import own_pipeline
from stream_app.settings import Settings
from stream_app.web.pipeline_view import _bounded, _checks, _fields, _sample, _still, together
from stream_app.web.pipeline_workers import GroupMembers, WorkerWatch, asked, members_of

LANE: dict[str, Any] = {
    "open": True, "parked": None, "waits_for": None, "refused_tick": None,
    "inputs": {"log": {"reached": 3, "arrived": 10}, "clock": {"reached": None, "arrived": None}},
}  # fmt: skip
NEWEST, BEFORE = "2026-01-24T02:00:00.000Z", "2026-01-23T02:00:00.000Z"
EVENT: dict[str, Any] = {"kind": "quality", "check": "volume", "windows": []}
PARKED = {"reason": "unreadable_log", "sentence": "the log cannot be read", "way_out": "begin under a new app id"}


async def _said(body: Any, status: int = 200) -> Any:
    """What is found where a worker answers so."""

    async def readyz(request: web.Request) -> web.Response:
        return web.json_response(body, status=status) if body is not None else web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        return await asked(Settings(web_url=f"http://127.0.0.1:{port}"))
    finally:
        await runner.cleanup()


async def test_a_daily_check_of_data_counts_as_made_also_where_its_data_was_insufficient() -> None:
    views = []
    for verdict, as_of in (("insufficient_evidence", NEWEST), ("no_drift", NEWEST), ("no_drift", BEFORE), (None, "")):
        model = fold.State("churn:acme", "churn", "acme", "accuracy")
        model.version = {"active_version": "v1"}
        if verdict is not None:
            fold.event(model, {**EVENT, "verdict": verdict, "as_of": as_of})
        views.append(fold.fleet_model(model))
    # what could not be judged was made, and nothing good is said of it
    assert [view["drift"]["quality_as_of"] for view in views] == [None, NEWEST, BEFORE, None]

    async def status() -> Any:
        return SimpleNamespace(tick_ms=parse_ms(NEWEST))

    async def models() -> Any:
        return [SimpleNamespace(view=view) for view in views]

    site: Any = SimpleNamespace(reader=SimpleNamespace(status=status, fleet=SimpleNamespace(models=models)))
    found = {row["check"]: (row["done"], row["expected"]) for row in (await _checks(site)).rows}
    assert found == {"quality": (2, 4), "statistical": (0, 4), "performance": (0, 4)}


async def test_a_worker_that_is_ready_is_shown_with_its_lanes_and_how_far_it_is_behind() -> None:
    found = await _said({"ready": True, "waits_for": None, "lanes": {"metrics-0": LANE, "alerts-11": LANE}})
    (worker,) = found.rows
    assert (worker["ready"], worker["reasons"], worker["lag"]) == (True, [], 14)
    assert [(lane["stage"], lane["partition"], lane["state"]) for lane in worker["lanes"]] == [
        ("metrics", 0, "open"), ("alerts", 11, "open"),
    ]  # fmt: skip
    assert found.problems == []


async def test_a_parked_lane_and_a_clock_that_waits_are_problems_with_what_mends_them() -> None:
    lanes = {"drift-1": {**LANE, "open": False, "parked": PARKED}, "metrics-1": {**LANE, "open": False}}
    body = {"ready": False, "waits_for": "tables", "ticks_wait_for": "the broker's time", "lanes": lanes}
    found = await _said(body, 503)
    assert [lane["state"] for lane in found.rows[0]["lanes"]] == ["parked", "opening"]
    assert found.rows[0]["lanes"][0]["sentence"] == PARKED["sentence"]
    assert found.problems[0] == {
        "sentence": f"drift-1 is parked: {PARKED['sentence']}", "remedy": PARKED["way_out"],
    }  # fmt: skip
    assert [problem["sentence"].partition(": ")[2] for problem in found.problems[1:]] == [
        "waits for tables", "writes no tick: the broker's time",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [None, {}, [], {"lanes": 7}, {"ready": True, "lanes": {}, "waits_for": 3}])
async def test_what_is_no_view_of_a_worker_hides_nothing_else(body: Any) -> None:
    found = await _said(body)
    assert len(found.rows) == 1
    assert found.problems or body == {"ready": True, "lanes": {}, "waits_for": 3}


async def test_a_worker_that_is_away_is_a_problem() -> None:
    found = await asked(Settings(web_url="http://127.0.0.1:9"))
    assert found.rows[0]["ready"] is False
    assert "no worker answers" in found.problems[0]["sentence"]
    assert (await asked(Settings(web_port=0))).rows == []


async def test_a_question_that_breaks_is_a_problem_and_no_more() -> None:
    async def breaks() -> Any:
        raise OSError("no route")

    found = await _bounded("the clock", breaks, {"at": None})
    assert found.rows == {"at": None}
    assert found.problems[0]["sentence"] == "the clock: OSError: no route"


@pytest.mark.parametrize(
    ("clock", "mode", "stamped_ms", "said"),
    [
        ("follow", "external", 0, None),
        ("live", "external", 0, "is followed"),
        ("follow", None, 0, "nobody ticks the clock"),
        ("live", None, 0, "nobody ticks the clock"),
        ("live", None, 10_000_000, None),
        ("follow", None, 10_000_000, None),
    ],
)
def test_a_clock_that_is_meant_to_be_followed_needs_no_hand(
    clock: str, mode: str | None, stamped_ms: int, said: str | None
) -> None:
    found = _still(Settings(clock=clock), ClockTail(9_000_000, mode, stamped_ms), 10_000_000)
    assert (found is None) == (said is None)
    assert said is None or said in str(found)


@pytest.mark.parametrize("clock", ["follow", "live"])
def test_a_prefix_that_has_no_tick_yet_needs_a_hand_whoever_writes_them(clock: str) -> None:
    assert "no tick stands on this prefix" in str(_still(Settings(clock=clock), ClockTail(), 10_000_000))


def test_the_processes_of_a_pipeline_of_its_own_follow_its_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[dict[str, str]] = []

    class Started(Exception):
        pass

    def popen(*_: Any, env: dict[str, str], **__: Any) -> Any:
        started.append(env)
        raise Started

    monkeypatch.setattr(own_pipeline.subprocess, "Popen", popen)
    with pytest.raises(Started), own_pipeline.process(Settings(), tmp_path, "web", ["web"]):
        pass
    assert [env["PLUMBLINE_CLOCK"] for env in started] == ["follow"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Expected `float`, got `str` - at `$.score`", "score"),
        ("predicted_at is a time without an offset: write it as ...Z or ...+01:00", "predicted_at"),
        ("Invalid value - at `$.features.amount`", "features.amount"),
        ("JSON is malformed: invalid character (byte 3)", None),
    ],
)
def test_a_sample_names_the_field_that_failed(message: str, field: str | None) -> None:
    headers = {deadletters.MESSAGE: message, deadletters.TOPIC: "ml.predictions", deadletters.PARTITION: "2"}
    sample = _sample({**headers, deadletters.OFFSET: "17"}, 0)
    assert sample.get("field") == field
    assert (sample["topic"], sample["partition"], sample["offset"]) == ("ml.predictions", 2, 17)


def _member(url: str) -> bytes:
    """What Faust says of a worker when it joins."""
    told = {"assignment": {}, "url": url, "changelog_distribution": {}, "topic_groups": {}}
    metadata: bytes = ConsumerProtocolMemberMetadata(4, ["topic"], orjson.dumps(told)).encode()
    return metadata


def test_workers_announce_themselves_by_their_group() -> None:
    members = [
        ("10.0.0.1", _member("http://a:6066/")), ("10.0.0.2", _member("http://b:6067")), ("10.0.0.3", b""),
        ("10.0.0.4", _member("ftp://c")), ("10.0.0.5", ConsumerProtocolMemberMetadata(0, [], b"").encode()),
    ]  # fmt: skip
    found = members_of(ConsumerGroup("Stable", members))
    assert found == GroupMembers(True, {"http://a:6066": "10.0.0.1", "http://b:6067": "10.0.0.2"})
    assert [members_of(ConsumerGroup(state, [])).settled for state in ("Dead", "Empty", "PreparingRebalance")] == [
        True, True, False,
    ]  # fmt: skip


@given(st.binary(max_size=60))
def test_no_bytes_of_a_member_break_the_list(metadata: bytes) -> None:
    assert members_of(ConsumerGroup("Stable", [("h", metadata)])).settled


class _Watch(WorkerWatch):
    """Groups as a test gives them, one a look; ``None``: it cannot be asked."""

    def __init__(self, groups: list[GroupMembers | None]) -> None:
        super().__init__(Settings(web_url="http://127.0.0.1:9"))
        self._groups = groups

    async def _members(self) -> GroupMembers | None:
        return self._groups.pop(0)


async def test_a_worker_that_left_is_missed_by_name_and_one_that_comes_back_is_not() -> None:
    one, two = "http://127.0.0.1:9", "http://127.0.0.1:10"
    both, none = {one: "h1", two: "h2"}, dict[str, str]()
    watch = _Watch(
        [
            GroupMembers(True, both), GroupMembers(True, {one: "h1"}), GroupMembers(False, none), None,
            GroupMembers(True, both), GroupMembers(True, none),
        ]
    )  # fmt: skip
    said = []
    for _ in range(6):
        found = await watch.look()
        said.append(sorted((row["address"] == two, row["running"]) for row in found.rows))
        stopped = [problem["sentence"] for problem in found.problems if "has stopped" in problem["sentence"]]
        assert len(stopped) == sum(not running for _, running in said[-1])
    here, left = [(False, True), (True, True)], [(False, True), (True, False)]
    # while a group gathers its members, and while nobody can say, those who were there are asked themselves
    assert said == [here, left, here, here, here, [(False, False), (True, False)]]
    assert found.problems[0]["sentence"].startswith("no worker is running")


async def test_where_nobody_was_ever_seen_the_address_of_the_settings_is_asked() -> None:
    for members in (GroupMembers(True, {}), None):
        found = await _Watch([members]).look()
        assert [row["address"] for row in found.rows] == ["http://127.0.0.1:9"]
        assert "no worker answers" in found.problems[0]["sentence"]


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (None, None), (b"", None), (b"[1]", None), (b"{", None), (b"{}", []),
        (
            b'{"a": "x", "b": 1, "c": 1.5, "d": true, "e": null, "f": [1], "g": {"h": "secret"}}',
            ["a: text", "b: number", "c: number", "d: true or false", "e: nothing", "f: list", "g: object"],
        ),
        (
            orjson.dumps({"k" * 100: 1} | {f"f{n}": 1 for n in range(50)}),
            ["k" * 64 + ": number"] + [f"f{n}: number" for n in range(29)],
        ),
    ],
)  # fmt: skip
def test_a_sample_names_fields_and_never_values(value: bytes | None, fields: list[str] | None) -> None:
    assert _fields(value) == fields


def test_a_broker_that_is_away_is_one_trouble_and_every_question_that_met_it_is_named() -> None:
    away, other = "no broker answers: start one", "drift-1 is parked: the log cannot be read"
    asked = ("the clock", "dead-lettered records", "consumer groups")
    problems = [{"sentence": f"{what}: {away}", "remedy": "look"} for what in asked]
    parked = {"sentence": other, "remedy": "begin anew"}
    assert together([problems[0], parked, *problems[1:]]) == [
        {"sentence": f"the clock, dead-lettered records, consumer groups: {away}", "remedy": "look"}, parked,
    ]  # fmt: skip
    assert together([parked, {**parked, "remedy": "another"}]) == [parked, {**parked, "remedy": "another"}]
    assert together([]) == []
