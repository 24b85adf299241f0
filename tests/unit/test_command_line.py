"""What the command line says of itself: groups, guesses, completion, allowed values, the worker's first lines."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream_app.cli import _COMMANDS, _HEADINGS, cli
from stream_app.settings import Settings
from tests.support.cpu import times_bare

ROOT = Path(__file__).parents[2]


def test_every_command_stands_under_one_heading_and_no_line_of_the_help_is_wider_than_a_terminal() -> None:
    named = [name for names in _HEADINGS.values() for name in names]
    assert sorted(named) == sorted(_COMMANDS)
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["--help"])
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(f"{heading}:" in lines for heading in _HEADINGS)


def _groups(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _groups(command, (*words, name))


@pytest.mark.parametrize("words", list(_groups(cli)), ids=lambda words: " ".join(words) or "all")
def test_no_line_of_a_list_of_commands_breaks_off(words: tuple[str, ...]) -> None:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*words, "--help"])
    assert [line for line in done.output.splitlines() if line.endswith("...") and "Usage:" not in line] == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["modles"], "did you mean models?"), (["alert"], "did you mean alerts?"),
        (["models", "registr"], "did you mean register?"), (["xyzzy"], "--help` lists them"),
        (["models", "--jsn"], "Did you mean --json?"),
    ],
)  # fmt: skip
def test_a_misspelt_command_or_option_is_answered_with_the_nearest(written: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, written)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plumbline al", "alerts"),
        ("plumbline dead-letters re", "redrive"),
        ("plumbline alerts --mo", "--model"),
        ("plumbline acknowledge --rea", "--reason"),
        ("plumbline verdict --no", "--note"),
        ("plumbline explain --fr", "--from-rows"),
        ("plumbline models register --ac", "--actor"),
        ("plumbline precision --ty", "--type"),
        ("plumbline replay --spr", "--spread"),
        ("plumbline backfill --th", "--then-live"),
        ("plumbline trainer --lea", "--learner"),
        ("plumbline predictor deploy --gr", "--group"),
        ("plumbline predictor serve --ra", "--rate"),
        ("plumbline demo --on", "--once"),
        ("plumbline load outcomes --no", "--no-report"),
        ("plumbline relay --pri", "--print-map"),
    ],
)
def test_commands_and_options_are_completed_within_a_glance(words: str, wanted: str) -> None:
    env = {
        **os.environ, "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_PLUMBLINE_COMPLETE": "bash_complete",
    }  # fmt: skip
    program = "import time; from stream_app.cli import main\ntry: main()\nfinally: print(time.process_time())"

    def taken() -> float:
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        *found, cpu = done.stdout.splitlines()
        assert f"plain,{wanted}" in found, done.stderr
        return float(cpu)

    # .3 s where the bare program takes 80 ms
    assert times_bare(taken, 3.75) <= 3.75


def test_the_help_of_trainers_names_every_learner() -> None:
    # in a process of its own: what learners import changes the environment of its process
    program = "from stream_app.reference.learners import LEARNERS; print(', '.join(sorted(LEARNERS)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    said = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["trainer", "--help"]).output
    assert f"{done.stdout.strip()}, or module:function" in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell_is_printed(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0, done.output
    assert "_PLUMBLINE_COMPLETE" in done.output


def test_every_setting_says_what_it_can_be_and_gives_an_example_that_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stream_app.settings.allowed import allowed, example

    monkeypatch.chdir(tmp_path)
    for name, field in Settings.model_fields.items():
        assert allowed(field), name
        default = field.get_default(call_default_factory=True)
        value = example(field)
        if value == "VALUE" or default in ("", (), {}):
            continue
        read = json.loads(value) if isinstance(default, tuple | dict) else value
        assert getattr(Settings(**{name: read}), name) == default, name
    assert allowed(Settings.model_fields["scope"]) == "global, tenant, auto"
    assert allowed(Settings.model_fields["drop_points"]) == "a number, more than 0 and at most 100"


def test_a_second_worker_takes_the_next_free_port_unless_it_was_told_which() -> None:
    worker = importlib.import_module("stream_app.cli.worker")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        unsaid = Settings()
        unsaid.__dict__["web_port"] = port  # a default: a copy with it would count as said
        assert worker._with_free_port(unsaid).web_port > port
        assert worker._with_free_port(Settings(web_port=port)).web_port == port
    assert worker._with_free_port(unsaid).web_port == port
    assert worker._with_free_port(Settings(web_port=0)).web_port == 0


def test_a_worker_says_first_what_it_reads_where_its_views_and_data_are_and_who_makes_time() -> None:
    worker = importlib.import_module("stream_app.cli.worker")
    text = "\n".join(worker._first_lines(Settings(app_id="mine", clock="follow")))
    for said in ("ml.predictions", "http://127.0.0.1:6066/readyz", "data/mine", "nothing happens until a replay"):
        assert said in text
    assert "whichever worker of plumbline leads writes the ticks" in "\n".join(worker._first_lines(Settings()))


def test_nothing_is_shown_in_the_first_second_and_a_sign_of_life_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio
    import io

    from stream_app.cli import waiting

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    async def work(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    monkeypatch.setattr(waiting, "SILENT_S", 0.3)
    for seconds, shown in ((0.0, False), (0.6, True)):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        assert waiting.run(work(seconds), "reading the alerts") == "done"
        assert ("reading the alerts … " in screen.getvalue()) == shown
        assert screen.getvalue().endswith("\r\x1b[K") == shown


def test_what_kafka_refuses_is_one_sentence_and_what_is_our_fault_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aiokafka.errors import StaleMetadata

    from stream_app import cli as package

    def fails(error: Exception) -> None:
        monkeypatch.setattr(package.cli, "main", lambda **_: (_ for _ in ()).throw(error))
        package.main(["models"])

    with pytest.raises(SystemExit) as ended:
        fails(StaleMetadata("TopicPartition(topic='ml.predictions', partition=4)"))
    assert ended.value.code == 1
    assert "partition=4). `plumbline topics check`" in capsys.readouterr().err
    with pytest.raises(KeyError):
        fails(KeyError("ours"))
