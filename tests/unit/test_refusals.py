"""What a command says where it cannot do its work: one sentence, what to do, the exit code of its kind, and soon."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from stream_app.cli import cli, main
from tests.support.refusals import Answered, answers

WHY: Final = ("--reason", "why")
#: Commands that need a broker, each in a form that has no other fault.
BROKER: Final = (
    ("models",), ("models", "register", "fraud:acme", "v1", *WHY), ("snapshots", "fraud:acme"),
    ("snapshots", "fraud:acme", "--follow"), ("alerts",), ("alerts", "3d5f"), ("precision",), ("explain", "3d5f"),
    ("audit",), ("audit", "3d5f"), ("dead-letters", "list"), ("dead-letters", "redrive"),
    ("acknowledge", "3d5f", *WHY), ("unacknowledge", "3d5f", *WHY), ("mute", "fraud:acme", "--for", "2h", *WHY),
    ("unmute", "fraud:acme", *WHY), ("verdict", "3d5f", "real", *WHY), ("note", "3d5f", "seen", *WHY),
    ("approve", "fraud:acme", *WHY), ("reject", "fraud:acme", *WHY), ("retrain", "fraud:acme", *WHY),
    ("rollback", "fraud:acme", *WHY), ("rebaseline", "fraud:acme", *WHY), ("reset-circuit", "fraud:acme", *WHY),
    ("dismiss", "*", *WHY), ("set", "drop_points=7", *WHY), ("topics", "create"), ("topics", "check"),
    ("topics", "delete", "--prefix", "ml.", "--yes"), ("load", "outcomes", "outcomes.csv"),
    ("load", "predictions", "scored.csv", "--set", "model_type=churn", "--set", "model_version=v1"), ("backfill",),
    ("replay", "scored.csv", "--set", "model_type=churn", "--set", "model_version=v1"), ("trainer",),
    ("predictor", "deploy"),
)  # fmt: skip
#: What is asked for wrongly: the words, the exit code, and what is said.
WRONG: Final = (
    (("alerts", "--jsn"), 2, "Did you mean --json?"),
    (("alert",), 2, "did you mean alerts?"),
    (("alerts", "-o", "xml"), 2, "'table', 'wide', 'json', 'csv'"),
    (("audit", "--last", "many"), 2, "'many' is not a valid integer"),
    (("audit", "--last", "0"), 2, "0 is not in the range"),
    (("snapshots", "fraud:acme", "--days", "-1"), 2, "-1 is not in the range"),
    (("snapshots", "fraud:acme", "--as-of", "2026-03-02"), 2, "--window"),
    (("snapshots",), 2, "Missing argument 'MODEL'"),
    (("snapshots", "fraud"), 2, "TYPE:TENANT"),
    (("snapshots", "fraud:acme:eu"), 2, "TYPE:TENANT"),
    (("alerts", "--model", "fraud"), 2, "TYPE:TENANT"),
    (("audit", "--model", "fraud"), 2, "TYPE:TENANT"),
    (("explain", "3d5f", "--model", "fraud"), 2, "TYPE:TENANT"),
    (("audit", "--model", "*"), 1, "no Kafka broker answers"),
    (("dead-letters", "list", "--reason", "bad"), 2, "'invalid_field'"),
    (("mute", "fraud:acme", "--for", "ever", *WHY), 2, "90m, 2h and 3d"),
    (("rebaseline", "fraud", *WHY), 2, "TYPE:TENANT"),
    (("rollback", "*", *WHY), 2, "needs one model"),
    (("retrain", "fraud:acme", "--range", "week", *WHY), 2, "14d, all"),
    (("approve", "fraud:acme"), 2, "Missing option '--reason'"),
    (("set", "drop_points", *WHY), 2, "is not KEY=VALUE"),
    (("set", "drop_point=7", *WHY), 1, "did you mean drop_points"),
    (("set", "drop_points=-7", *WHY), 1, "drop_points"),
    (("settings", "explain", "drop_point"), 1, "did you mean drop_points"),
    (("settings", "explain", "drop_points", "--model", "fraud"), 1, "TYPE:TENANT"),
    (("completion", "tcsh"), 2, "'bash', 'zsh', 'fish'"),
    (("replay", "scored.csv", "--tick-every", "day"), 2, "'hour', '6h', 'close'"),
    (("try", "scored.csv", "--label-delay", "soon", "--yes"), 2, "6h or 6h..3d"),
    (("try", "scored.csv", "--keep", "mine"), 2, "--dashboard"),
    (("try", "none.csv"), 1, "none.csv: no such file"),
    (("replay", "none.csv"), 1, "none.csv: no such file"),
    (("load", "outcomes", "none.csv"), 1, "none.csv: no such file"),
    (("load", "outcomes", "scored.csv", "--mapping", "none.toml"), 1, "none.toml: No such file or directory\n"),
    (("relay", "in", "--map", "none.toml"), 1, "none.toml: No such file"),
    (("predictor", "serve", "none.csv"), 2, "'none.csv' does not exist"),
    (("predictor", "seed", "fraud:acme", "v1", "none.csv"), 2, "'none.csv' does not exist"),
    (("bridge",), 1, "PLUMBLINE_BRIDGE_WEBHOOK_URL"),
)  # fmt: skip
#: Commands that write, each where it cannot: below ``taken``, which is a file.
UNWRITABLE: Final = (
    (("try", "scored.csv", "--yes", "--report", "taken/report.html"), 2, "there is no folder taken"),
    (("try", "scored.csv", "--yes", "--save", "none/map.toml"), 2, "there is no folder none"),
    (("try", "scored.csv", "--yes", "--report", "."), 2, "is a directory"),
    (("services", "up", "--dir", "taken/here"), 1, "taken/here cannot be used: Not a directory"),
    (("services", "run", "--dir", "taken/here", "--", "true"), 1, "taken/here cannot be used: Not a directory"),
    (("trainer", "--registry", "taken/models"), 1, "taken/models cannot be used: Not a directory"),
    (("predictor", "deploy", "--registry", "taken/models"), 1, "taken/models cannot be used: Not a directory"),
    (("services", "fetch"), 1, "cache cannot be used: Not a directory"),
    (("demo", "--once"), 1, "cache cannot be used: Not a directory"),
)  # fmt: skip
#: Commands that say more than one sentence without a broker, that serve without one, or that start one.
OTHERS: Final = {
    "completion", "demo", "doctor", "services up", "services down", "services status", "services fetch",
    "services run", "settings show", "settings check", "worker", "web",
}  # fmt: skip
#: Seconds of CPU within which an answer is there, beside what scikit-learn takes to be imported.
MOST_CPU_S: Final = 2.0
SKLEARN: Final = {"trainer", "predictor"}


def _leaves(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _leaves(command, (*above, name))
        else:
            yield (*above, name)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Answered]:
    """Every command of both tables, answered where nobody listens."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "outcomes.csv").write_text("prediction_id,actual,observed_at\na,1,2026-03-02T00:00:00Z\n")
    (folder / "scored.csv").write_text("prediction_id,predicted_at,score\na,2026-03-02T00:00:00Z,0.5\n")
    commands = [*BROKER, *(words for words, _, _ in WRONG)]
    settings = {"KAFKA_BOOTSTRAP": "127.0.0.1:9", "REDIS_URL": "redis://127.0.0.1:9/0", "METRICS_PORT": "0"}
    return dict(zip(commands, answers(commands, folder, settings), strict=True))


def test_every_command_is_asked() -> None:
    asked = {" ".join(words) for words in (*BROKER, *(words for words, _, _ in WRONG))}
    leaves = {" ".join(words) for words in _leaves(importlib.import_module("stream_app.cli").cli)}
    assert cli.name == "cli"
    assert {leaf for leaf in leaves if not any(f"{words} ".startswith(f"{leaf} ") for words in asked)} <= OTHERS


@pytest.mark.parametrize("words", BROKER, ids=" ".join)
def test_without_a_broker_a_command_ends_soon_with_a_sentence_that_says_what_to_do(
    said: dict[tuple[str, ...], Answered], words: tuple[str, ...]
) -> None:
    found = said[words]
    *before, last = [line for line in found.said.splitlines() if line.strip()]
    assert found.code == 1, found.said
    assert last.startswith("plumbline: no Kafka broker answers at 127.0.0.1:9")
    assert "`plumbline services up`" in last
    assert "PLUMBLINE_KAFKA_BOOTSTRAP" in last
    assert before == []
    assert found.cpu_s <= MOST_CPU_S or words[0] in SKLEARN


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_what_is_asked_for_wrongly_is_answered_by_its_kind_and_with_what_would_be_right(
    said: dict[tuple[str, ...], Answered], words: tuple[str, ...], code: int, sentence: str
) -> None:
    found = said[words]
    assert found.code == code, found.said
    assert sentence in found.said
    assert "Traceback" not in found.said
    assert found.cpu_s <= MOST_CPU_S or words[0] in SKLEARN


def test_what_cannot_be_written_is_named_in_a_sentence_and_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "scored.csv").write_text("prediction_id,predicted_at,score\na,2026-03-02T00:00:00Z,0.5\n")
    settings = {"CACHE_DIR": str(tmp_path / "taken" / "cache")}
    found = answers([words for words, _, _ in UNWRITABLE], tmp_path, settings)
    for answered, (words, code, sentence) in zip(found, UNWRITABLE, strict=True):
        assert (answered.code, "Traceback" in answered.said) == (code, False), (words, answered.said)
        assert sentence in answered.said, words
        assert "is read like this" not in answered.said, words


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/var/x"), "/var/x cannot be used: Permission denied. "),
        (OSError(errno.EROFS, "Read-only file system", b"/var/x"), "/var/x cannot be used: Read-only file system. "),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "x cannot be used: No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk cannot be used: No space left on device. "),
    ],
)
def test_a_disk_that_refuses_is_a_sentence_whichever_command_it_was(
    error: OSError, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "main", raises)
    with pytest.raises(SystemExit) as ended:
        main([])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith(f"plumbline: {sentence}")
    assert "PLUMBLINE_DATA_DIR" in said


def test_what_is_no_fault_of_a_disk_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(**_: object) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(cli, "main", raises)
    with pytest.raises(ConnectionResetError):
        main([])
