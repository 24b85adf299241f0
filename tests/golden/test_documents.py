"""The documents generated from the structs."""

from __future__ import annotations

from pathlib import Path

from schemas import generate

DOCUMENTS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"


def test_the_generated_documents_are_up_to_date() -> None:
    stored = {path.name: path.read_bytes() for path in DOCUMENTS.iterdir() if path.suffix == ".json"}
    wanted = {name: text if isinstance(text, bytes) else text.encode() for name, text in generate.documents().items()}
    assert stored == wanted, "run: python -m schemas.generate"
