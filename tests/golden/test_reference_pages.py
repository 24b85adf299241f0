"""The reference pages say what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from stream_app.settings import children

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def test_the_references_of_settings_commands_and_api_are_up_to_date() -> None:
    # in a process of its own: a command remembers the first help it gave, and a variable would change a setting
    program = "import json; from stream_app.cli import documents; print(json.dumps(documents.pages()))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=children.fresh_environment(), cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, text in json.loads(done.stdout).items():
        assert (REFERENCE / name).read_text(encoding="utf-8") == text, "run: python -m stream_app.cli.documents"
