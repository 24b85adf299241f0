"""Commands of a document and what they print: fenced ``console`` blocks, a ``$`` before each command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Shown(NamedTuple):
    """A command, and what stands below it."""

    command: str
    printed: str


def shown(document: Path) -> list[Shown]:
    """All of a document, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append(Shown(command, printed))
    return found
