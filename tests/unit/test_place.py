"""Where things stand, said plainly: the same as the whole settings say, or nothing."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from stream_app import settings
from stream_app.errors import Incompatible
from stream_app.settings import place
from stream_app.settings.place import PlainWhereabouts

PLAIN: tuple[dict[str, str], ...] = (
    {},
    {"KAFKA_BOOTSTRAP": "a:9092,[::1]:9093", "INPUT_PREFIX": "in.", "OUTPUT_PREFIX": "", "APP_ID": "x-1"},
    {"INPUT_PARTITIONS": "3", "MODEL_PARTITIONS": "999", "ENVIRONMENT": "staging", "WEB_PORT": "0"},
    {"REDIS_URL": "", "DATA_DIR": "somewhere", "CLOCK": "follow"},
    {"REDIS_URL": "redis://cache:6379/3"},
)
WHOLE: tuple[dict[str, str], ...] = (
    {"KAFKA_SECURITY_PROTOCOL": "SSL"}, {"REDIS_PASSWORD": "x"}, {"REDIS_URL": "rediss://cache/0"},
    {"REDIS_URL": "redis://:pw@cache/0"}, {"WEB_TOKENS": "a:viewer:" + "t" * 32}, {"DROP_POINTS": "7"},
)  # fmt: skip
REFUSED = (
    {"KAFKA_BOOTSTRAP": "no-port"}, {"INPUT_PREFIX": "a b"}, {"INPUT_PARTITIONS": "0"}, {"INPUT_PARTITIONS": "1001"},
    {"APP_ID": ""}, {"MISSPELT": "1"}, {"ENVIRONMENT": "prod"}, {"REDIS_URL": "http://x"}, {"kafka_bootstrap": "a:1"},
)  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(settings.PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _say(values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values.items():
        monkeypatch.setenv(settings.PREFIX + name, value)


@pytest.mark.parametrize("values", PLAIN)
def test_what_is_plain_is_what_the_whole_settings_say(values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    _say(values, monkeypatch)
    found, whole = place.find(), settings.load()
    assert isinstance(found, PlainWhereabouts)
    for field in fields(PlainWhereabouts):
        assert getattr(found, field.name) == getattr(whole, field.name), field.name
    assert (found.kafka_client_options(), found.redis_client_options()) == ({}, {})


@pytest.mark.parametrize("values", WHOLE)
def test_secrets_and_all_else_are_left_to_the_whole_settings(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(values, monkeypatch)
    assert place.plain() is None
    assert isinstance(place.find(), settings.Settings)


@pytest.mark.parametrize("values", REFUSED)
def test_what_cannot_be_used_is_refused_by_name_as_ever(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(values, monkeypatch)
    with pytest.raises(Incompatible):
        place.find()


def test_a_file_is_read_by_the_whole_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plumbline.toml").write_text('output_prefix = "file."\n')
    assert place.find().output_prefix == "file."
    (tmp_path / "plumbline.toml").write_text("misspelt = 1\n")
    with pytest.raises(Incompatible, match="misspelt"):
        place.find()
