"""Commands in one process that is not the test's own: the exit code, the words and the time of each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stream_app.settings import children

_PROGRAM = """
import contextlib, io, json, sys, time
from stream_app.cli import main
for words in json.load(sys.stdin):
    said, code, cpu = io.StringIO(), 0, time.process_time()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    print(json.dumps({"words": words, "code": code, "said": said.getvalue(), "cpu_s": time.process_time() - cpu}))
"""


class Answered(NamedTuple):
    """``cpu_s``: seconds of CPU, with what the command had to import."""

    words: list[str]
    code: int
    said: str
    cpu_s: float


def answers(commands: Sequence[Sequence[str]], folder: Path, settings: Mapping[str, str]) -> list[Answered]:
    """What each command answers in this folder, under these settings (without their prefix)."""
    env = children.fresh_environment() | {f"PLUMBLINE_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=json.dumps([list(words) for words in commands]), cwd=folder, env=env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Answered(**json.loads(line)) for line in done.stdout.splitlines()]
