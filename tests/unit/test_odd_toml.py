"""TOML that is none, of settings, mappings and maps alike: one sentence that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app.errors import Incompatible
from stream_app.ingest.mapping import read_mapping
from stream_app.ingest.relay.maps import load_map
from stream_app.settings import find
from stream_app.settings.toml_text import parsed

ODD = {
    "digits": b"web_port = " + b"9" * 5_000, "deep": b"a = " + b"[" * 20_000 + b"]" * 20_000,
    "half deep": b"a = " + b"[" * 600 + b"]" * 600, "utf-16": "web_port = 5".encode("utf-16"), "nul": b"web_port = 5\0",
    "latin": b"a = '\xff'", "surrogate": b'a = "\\ud800"', "twice": b"web_port = 5\nweb_port = 6", "page": b"<html>",
}  # fmt: skip
READERS: dict[str, Callable[[Path], object]] = {
    "settings": lambda path: find(), "mapping": read_mapping, "map": lambda path: load_map(str(path)),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_toml_is_said_with_its_file(
    odd: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(ODD[odd])
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(path))
    with pytest.raises(Incompatible, match=r"odd\.toml"):
        READERS[reader](path)


def test_a_mark_at_its_beginning_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(b"\xef\xbb\xbfweb_port = 5\n")
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(path))
    assert find().settings.web_port == 5
    assert read_mapping(path) == {"web_port": 5}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text() | st.text(alphabet="[]{}=.\"'\\0123e\n #a", max_size=80))
def test_any_text_is_toml_or_a_value_error(text: str) -> None:
    try:
        parsed(text)
    except ValueError:
        return
