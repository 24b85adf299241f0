"""Exit codes and words of ``--wait``, and what the commands about alerts write, without a broker."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from schemas.common import parse_ms
from stream_app.cli import cli, outcomes
from stream_app.commands.send import NewCommand
from stream_app.kafka.clock_tail import ClockTail

ORDERED = ("--actor", "ada", "--reason", "why")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NewCommand, float | None]]:
    """Commands that were written, and for how long somebody would wait; the answers are those of ``answers``."""
    made: list[tuple[NewCommand, float | None]] = []

    async def stands(settings: Any) -> ClockTail:
        return ClockTail()

    async def send_and_wait(settings: Any, written: NewCommand, wait_s: float | None) -> list[dict[str, Any]]:
        made.append((written, wait_s))
        return ANSWERS.get(written.reason, [])

    monkeypatch.setattr(outcomes, "stands", stands)
    monkeypatch.setattr(outcomes, "send_and_wait", send_and_wait)
    return made


def _answer(state: str, effect: str) -> dict[str, Any]:
    return {"state": state, "effects": [{"stage": "alerts", "state": state, "effect": effect}]}


ANSWERS = {
    "good": [_answer("done", "muted"), _answer("refused", "nothing here")],
    "bad": [_answer("refused", "not_muted: nothing")],
}


@pytest.mark.parametrize(
    ("reason", "wait", "seconds", "code", "said"),
    [
        ("good", ("--wait",), 60.0, 0, "alerts: muted"),
        ("bad", ("--wait", "--timeout", "5"), 5.0, 1, "alerts: not_muted: nothing"),
        ("none", ("--timeout", "2", "--wait"), 2.0, 3, "no answer within 2 s"),
        ("none", (), None, 0, "says what became of it"),
    ],
)
def test_the_exit_code_says_what_became_of_it(
    sent: list[Any], reason: str, wait: tuple[str, ...], seconds: float | None, code: int, said: str
) -> None:
    done = CliRunner().invoke(cli, ["unmute", "fraud:acme", "--actor", "ada", "--reason", reason, *wait])
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "no tick stands on this prefix" in done.stderr
    assert [wait_s for _, wait_s in sent] == [seconds]


@pytest.mark.parametrize(
    ("whose", "model", "arguments"),
    [("fraud:acme", "fraud:acme", {}), ("fraud", "*", {"model_type": "fraud"})],
)
def test_a_mute_is_about_a_model_or_a_type_for_a_time(
    sent: list[Any], whose: str, model: str, arguments: dict[str, Any]
) -> None:
    window = ("--from", "2026-03-07T00:00Z", "--for", "1.5h", "--kind", "statistical")
    done = CliRunner().invoke(cli, ["mute", whose, *window, *ORDERED])
    assert done.exit_code == 0, done.output
    ((written, _),) = sent
    assert (written.model, written.command) == (model, "mute")
    assert written.arguments == arguments | {
        "kinds": ["statistical"], "from": "2026-03-07T00:00:00.000Z", "until": "2026-03-07T01:30:00.000Z",
    }  # fmt: skip


def test_relative_times_count_from_now(sent: list[Any]) -> None:
    done = CliRunner().invoke(cli, ["mute", "fraud", "--from", "1h", "--until", "2d", *ORDERED])
    assert done.exit_code == 0, done.output
    said = sent[0][0].arguments
    assert parse_ms(said["until"]) - parse_ms(said["from"]) == 47 * 3_600_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mute", "fraud"), "say how long with --for"),
        (("mute", "fraud", "--for", "2h", "--until", "3d"), "say how long with --for"),
        (("mute", "fraud", "--for", "soon"), "90m, 2h and 3d are"),
        (("mute", "fraud", "--until", "tomorrow"), "is not RFC 3339"),
        (("mute", "a b", "--for", "2h"), "a model is written TYPE:TENANT"),
        (("mute", "fraud", "--for", "2h", "--kind", "colour"), "colour"),
        (("verdict", "3d5f", "perhaps"), "perhaps"),
    ],
)
def test_what_makes_no_sense_is_not_written(sent: list[Any], arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(cli, [*arguments, *ORDERED])
    assert done.exit_code != 0
    assert said in done.output
    assert sent == []
