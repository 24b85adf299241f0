"""A mute at the bridge: people keep what they know, and hear of its end when the mute is over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.bridge.run import Bridge
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings

OPENED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "alert.opened.json").read_bytes())
MUTED = {"muted_until": "2026-03-09T00:00:00.000Z"}


class Kept:
    """A destination that keeps what it gets."""

    name = "kept"

    def __init__(self) -> None:
        self.delivered: list[Any] = []
        self.refreshed: list[Any] = []

    async def deliver(self, http: Any, alert: Any, before: Any) -> None:
        self.delivered.append((alert["revision"], alert["notify"], before and before["revision"]))

    async def refresh(self, http: Any, alerts: Any) -> None:
        self.refreshed = [(alert["revision"], alert["severity"]) for alert in alerts]


def revision(number: int, notify: str | None = None, **fields: Any) -> dict[str, Any]:
    alert = {**OPENED, "revision": number, "status": "updated", **fields}
    alert.pop("notify", None)
    return alert | ({"notify": notify} if notify is not None else {})


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def bridge(kept: Kept) -> Bridge:
    settings = Settings()
    made = Bridge(settings, topics_of(settings), kept)
    made._http = None  # type: ignore[assignment]
    return made


async def test_what_changes_under_a_mute_is_not_shown_and_its_end_comes_after_it(bridge: Bridge, kept: Kept) -> None:
    for alert in (
        revision(1, "opened", status="open"),
        revision(2, **MUTED),
        revision(3, severity="CRITICAL", **MUTED),
    ):
        await bridge._take(0, alert, None)
    await bridge._refresh()
    assert kept.refreshed == [(1, OPENED["severity"])]
    await bridge._take(0, revision(4, status="resolved", resolution_reason="no_drift", **MUTED), None)
    await bridge._refresh()
    assert kept.refreshed == [(1, OPENED["severity"])], "there it would end by itself otherwise"
    await bridge._take(0, revision(5, "resolved", status="resolved", resolution_reason="no_drift"), None)
    await bridge._refresh()
    assert kept.refreshed == []
    assert kept.delivered == [(1, "opened", None), (5, "resolved", 1)]


async def test_what_nobody_was_told_of_is_neither_repeated_nor_ended(bridge: Bridge, kept: Kept) -> None:
    await bridge._take(0, revision(1, status="open", **MUTED), None)
    await bridge._take(0, revision(2, status="resolved", resolution_reason="no_drift", **MUTED), None)
    await bridge._refresh()
    assert (kept.delivered, kept.refreshed) == ([], [])
    assert bridge._open == {0: {}}


async def test_what_opened_under_a_mute_is_delivered_when_it_ends(bridge: Bridge, kept: Kept) -> None:
    await bridge._take(0, revision(1, status="open", **MUTED), None)
    await bridge._take(0, revision(2, "reminder"), None)
    await bridge._refresh()
    assert kept.delivered == [(2, "reminder", None)]
    assert [number for number, _ in kept.refreshed] == [2]
