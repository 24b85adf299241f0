"""Files of outcomes alone, given to commands that need predictions: each says which command takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.errors import PlumblineError

ALONE = {
    "own names": "prediction_id,actual,observed_at\no-aa,1,2026-03-02T00:00:00Z\no-bb,0,2026-03-03T00:00:00Z\n",
    "other names": "order,churned,known\no-aa,yes,2026-03-02T00:00:00Z\no-bb,no,2026-03-03T00:00:00Z\n",
    "no time": "order,churned\no-aa,yes\no-bb,no\no-cc,no\n",
}
SCORED = {
    "a score, no time": "id,p,churned\no-aa,0.9,yes\no-bb,0.2,no\no-cc,0.4,no\n",
    "a time, no score": "predicted_at,price\n2026-03-02T00:00:00Z,812.5\n2026-03-03T00:00:00Z,900.25\n",
}
COMMANDS = (("try", "--yes"), ("replay",), ("load", "predictions"))


def _refused(command: tuple[str, ...], file: Path) -> str:
    words, options = [word for word in command if word[0] != "-"], [word for word in command if word[0] == "-"]
    done = CliRunner(env={"PLUMBLINE_KAFKA_BOOTSTRAP": "127.0.0.1:9"}).invoke(cli, [*words, str(file), *options])
    assert isinstance(done.exception, PlumblineError), done.output
    return str(done.exception)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_outcomes_alone_are_sent_to_the_command_that_takes_them(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    file = tmp_path / "nightly labels.csv"
    file.write_text(ALONE[name])
    assert f"`plumbline load outcomes '{file}'`" in _refused(command, file)


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_misses_a_time_or_a_score_alone_is_not_taken_for_outcomes(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    file = tmp_path / "scored.csv"
    file.write_text(SCORED[name].replace("p,", "score,", 1))
    assert "load outcomes" not in _refused(command, file)
