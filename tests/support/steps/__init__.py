"""How long the steps of another process' event loops take."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """A step of an event loop: milliseconds of its thread and on the wall, the task's name, and what it was."""

    own_ms: float
    wall_ms: float
    task: str
    what: str


def measured(file: Path) -> dict[str, str]:
    """Environment of a process whose long steps are written to a file."""
    here = Path(__file__)
    path = os.pathsep.join(filter(None, (str(here.parent), str(here.parents[3]), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "LONG_STEPS_FILE": str(file)}


def steps(file: Path) -> list[Step]:
    """The steps above ten milliseconds so far, the longest first."""
    rows = [row.split("\t") for row in file.read_text().splitlines()] if file.exists() else []
    return sorted((Step(float(own), float(wall), task, what) for own, wall, task, what in rows), reverse=True)


def told(found: Iterable[Step]) -> str:
    """Steps for people, one a model."""
    return "\n".join(f"{s.own_ms:8.1f} ms ({s.wall_ms:.1f} on the wall) {s.task} {s.what}" for s in found)
