"""The process that fits ends with the trainer, however that ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.kafka_io import until

_TRAINER = """
import concurrent.futures, multiprocessing, os, time
from stream_app.reference.trainer import _end_with_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


def _runs(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def trainer() -> Iterator[subprocess.Popen[str]]:
    """A process that has one of its own."""
    with subprocess.Popen([sys.executable, "-c", _TRAINER], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


async def test_it_ends_when_the_trainer_is_killed(trainer: subprocess.Popen[str]) -> None:
    assert trainer.stdout is not None
    fits = int(trainer.stdout.readline())
    assert _runs(fits)
    trainer.kill()
    await until(lambda: not _runs(fits), 20, "the process that fits to end")
