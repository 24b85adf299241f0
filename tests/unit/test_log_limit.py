"""Log lines of one kind."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from stream_app.cli import log_limit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written() -> Iterator[tuple[Clock, io.StringIO]]:
    clock, out = Clock(), io.StringIO()
    handler = logging.StreamHandler(out)
    root = logging.getLogger("limited")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    root.propagate = False
    log_limit.install(log_limit.LogLimit(clock))
    try:
        yield clock, out
    finally:
        log_limit.uninstall()
        root.removeHandler(handler)


def test_ten_lines_of_a_kind_pass_in_any_minute_and_the_next_says_how_many_did_not(
    written: tuple[Clock, io.StringIO],
) -> None:
    clock, out = written
    log = logging.getLogger("limited.child.made.later")
    for number in range(100):
        clock.now = number / 10
        log.warning("client %s sent nonsense", number)
    assert len(out.getvalue().splitlines()) == 10
    log.warning("another kind")
    clock.now = 60.0
    log.warning("client %s sent nonsense", "x")
    assert out.getvalue().splitlines()[-2:] == [
        "another kind", "client x sent nonsense (90 more of this kind were not written)"
    ]  # fmt: skip
    log.warning("client %s sent nonsense", "y")
    assert out.getvalue().splitlines()[-1] == "client x sent nonsense (90 more of this kind were not written)"


@pytest.mark.parametrize(
    "line", ["job 0x7f{0} of <Task {0}> at '10.0.0.{0}'", "topic-{0}: gone", "x" * 200 + "{0}", "a\nb {0}"]
)
def test_a_message_that_came_ready_made_is_of_the_kind_of_its_first_words(
    line: str, written: tuple[Clock, io.StringIO]
) -> None:
    for number in range(50):
        logging.getLogger("limited.asyncio").error(line.format(number))
    assert out_lines(written, line) == 10


def out_lines(written: tuple[Clock, io.StringIO], line: str) -> int:
    return len(written[1].getvalue().splitlines()) // (line.count("\n") + 1)


def test_debug_lines_are_not_counted_and_kinds_are_bounded(written: tuple[Clock, io.StringIO]) -> None:
    log = logging.getLogger("limited")
    for _ in range(50):
        log.debug("look")
    assert len(written[1].getvalue().splitlines()) == 50
    limit = log_limit.LogLimit()
    for number in range(5_000):
        limit.filter(logging.LogRecord(f"n{number}", logging.ERROR, "", 0, "m", None, None))
    assert len(limit._kinds) == log_limit._KINDS
