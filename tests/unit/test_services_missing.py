"""What the services say when the machine lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.cli.services import services
from stream_app.errors import Incompatible, Unavailable
from stream_app.services import artifacts
from stream_app.services.kafka import LocalKafka
from stream_app.services.stack import Stack


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, and a cache with nothing in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLUMBLINE_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_missing_java_names_its_package(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="java is not installed: apt-get install default-jre-headless"):
        LocalKafka(tmp_path / "kafka").start()


def test_missing_java_is_named_also_when_the_jars_are_here(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / f"kafka-{artifacts.KAFKA_VERSION}").mkdir(parents=True)
    with pytest.raises(Unavailable, match="java is not installed"):
        LocalKafka(tmp_path / "kafka").start()


def test_missing_maven_names_its_package(programs: Path, tmp_path: Path) -> None:
    _program(programs / "java", "exit 0")
    with pytest.raises(Unavailable, match="mvn is not installed: apt-get install maven"):
        LocalKafka(tmp_path / "kafka").start()


def test_what_maven_says_is_passed_on_and_nothing_half_fetched_stays(programs: Path, tmp_path: Path) -> None:
    _program(programs / "java", "exit 0")
    _program(programs / "mvn", "echo 'no route to the repository'; exit 1")
    with pytest.raises(Unavailable, match="no route to the repository"):
        artifacts.jars()
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_old_java_is_named_as_the_reason(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / f"kafka-{artifacts.KAFKA_VERSION}").mkdir(parents=True)
    _program(programs / "java", "echo 'java.lang.UnsupportedClassVersionError: kafka/Kafka' >&2; exit 1")
    with pytest.raises(Unavailable, match="needs Java 17 or newer"):
        LocalKafka(tmp_path / "kafka").start()


def test_missing_redis_names_its_package(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="redis-server is not installed: apt-get install redis-server"):
        Stack(tmp_path / "stack").up_redis(0)


def test_a_quorum_keeps_its_size(tmp_path: Path) -> None:
    (tmp_path / "kafka-1" / "data").mkdir(parents=True)
    (tmp_path / "kafka-1" / "data" / "meta.properties").touch()
    with pytest.raises(Incompatible, match="--nodes 1"):
        LocalKafka(tmp_path, nodes=3).start()


def test_an_unreadable_state_file_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text('{"kafka": 3}')
    with pytest.raises(Incompatible, match=r"services\.json cannot be read"):
        Stack(tmp_path).down()
    assert (tmp_path / "services.json").exists()


def test_down_where_nothing_was_started_makes_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(services, ["down", "--dir", str(tmp_path / "none")])
    assert (done.exit_code, done.output) == (0, "nothing was running\n")
    assert not (tmp_path / "none").exists()


def test_a_named_broker_that_does_not_answer_is_an_error_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:9, which the settings name"):
        CliRunner().invoke(services, ["up", "--dir", str(tmp_path / "none")], catch_exceptions=False)
    assert not (tmp_path / "none").exists()
