"""What keeps several checks of the doctor from an answer is said once, with the names of all that it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli import cli
from stream_app.doctor.report import Check, Checkup, Diagnosis, examine, worst
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings

#: What a check may meet; ``None``: it finds that all is well.
_MET: tuple[Exception | None, ...] = (
    None, Unavailable("no broker answers. Start one."), Incompatible("a topic is missing"), KeyError("ours"),
)  # fmt: skip


def _check(name: str, met: Exception | None) -> Check:
    async def check(context: Checkup) -> list[Diagnosis]:
        if met is not None:
            raise met
        return [Diagnosis(name, "ok", f"{name} is well")]

    return check


def _examined(checks: Mapping[str, Check]) -> list[Diagnosis]:
    settings = Settings()
    return asyncio.run(examine(Checkup(settings, topics_of(settings)), checks))


@given(st.lists(st.sampled_from(_MET), max_size=9))
def test_each_sentence_is_said_once_and_every_check_is_named(met: list[Exception | None]) -> None:
    found = _examined({f"check-{n}": _check(f"check-{n}", one) for n, one in enumerate(met)})
    failed = [one for one in found if one.level == "fail"]
    assert len(failed) == len({str(one) for one in met if one is not None})
    for sentence in {str(one) for one in met if one is not None}:
        assert sum(sentence in one.what for one in failed) == 1
    for n, one in enumerate(met):
        named = [
            f for f in found if f.check == f"check-{n}" or f"check-{n}" in f.what.partition("reason: ")[2].split(", ")
        ]
        assert [f.level for f in named] == ["ok" if one is None else "fail"]
    assert worst(found) == (2 if failed else 0)


def test_without_a_broker_the_sentence_stands_once_and_names_what_could_not_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLUMBLINE_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    monkeypatch.setenv("PLUMBLINE_REDIS_URL", "")
    done: Any = CliRunner().invoke(cli, ["doctor", "-o", "wide"])
    assert done.exit_code == 2
    assert done.output.count("no Kafka broker answers") == 1
    assert "the same reason: topics, ticks, lag, checkpoints, partitioners, dead-letters" in done.output
