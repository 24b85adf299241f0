"""Commands of ours that this process starts, and the settings that they are given in their environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stream_app.settings.names import PREFIX


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with these settings in it, over those that it was given itself."""
    return {**os.environ, **variables(**settings)}


def fresh_environment(**settings: object) -> dict[str, str]:
    """This process's environment with these settings in it, and none of those that it was given itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | variables(**settings)


def variables(**settings: object) -> dict[str, str]:
    """Variables of the environment that say these settings."""
    return {PREFIX + name.upper(): str(value) for name, value in settings.items()}


def start(command: Sequence[str], log: Path | None = None, /, **settings: object) -> subprocess.Popen[bytes]:
    """Start ``plumbline COMMAND`` with this interpreter; ``log``: the file that takes what it says, instead of here."""
    words, given = [sys.executable, "-m", "stream_app", *command], environment(**settings)
    if log is None:
        return subprocess.Popen(words, env=given)
    with log.open("wb") as out:
        return subprocess.Popen(words, env=given, stdout=out, stderr=out)


def end(process: subprocess.Popen[bytes], bound_s: float = 20.0) -> None:
    """SIGTERM, and SIGKILL if it is still there after ``bound_s`` seconds; it is reaped."""
    process.terminate()
    try:
        process.wait(bound_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
