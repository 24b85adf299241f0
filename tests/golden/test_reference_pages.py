"""The reference pages say what the code says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_app.cli import documents
from stream_app.settings import PREFIX

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_references_of_settings_commands_and_api_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, text in documents.pages().items():
        assert (REFERENCE / name).read_text(encoding="utf-8") == text, "run: python -m stream_app.cli.documents"
