"""What strangers write into reasons, notes and errors does not steer the terminal it is shown on."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli import listing
from stream_app.cli.listing import ListColumn, printable


@given(st.text())
def test_no_sign_steers(text: str) -> None:
    shown = printable(text)
    assert not {sign for sign in shown if unicodedata.category(sign) == "Cc"} - {"\t", "\n"}
    assert not {sign for sign in shown if unicodedata.bidirectional(sign) in ("LRO", "RLO", "LRE", "RLE", "RLI", "LRI")}
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["Äpfel – 3 µs → ½", "日本語", "🙂 \t\n", "a\\x1b"])
def test_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_a_table_shows_them_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    listing.show([{"a": "\x1b[2Jgone\x07", "b": "so\x1b]0;title\x07"}], [
        ListColumn("a", lambda row: row["a"]), ListColumn("b", lambda row: row["b"], sentence=True),
    ], "table")  # fmt: skip
    listing.echo("by \x1b[8meve")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[2Jgone\\x07" in out
    assert "by \\x1b[8meve" in out
