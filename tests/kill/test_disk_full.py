"""The disk under a worker's state is full: it says so and stops, and goes on where it was when there is room."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import pytest

from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, until, write
from tests.support.worker import Worker

#: bytes that a file of the worker may have while the disk is full: less than RocksDB needs for what comes
LIMIT = 20_000
STOPS_S = 10


async def test_a_full_disk_stops_the_worker_within_ten_seconds_and_loses_nothing(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """A file-size limit stands for the disk: mounting one is not allowed everywhere."""
    steps = history(seed=71, days=3, per_day=8_000)  # more than write buffers of 4 MB hold
    running = worker(max_checkpoint_events="3000", write_buffer_mb="4")
    running.limit_file_size(LIMIT)
    running.start()
    await write(prefix, steps)
    began = time.monotonic()

    def noticed() -> bool:
        return running.exit_code is not None or "File too large" in running.log.read_text(errors="replace")

    await until(noticed, 60, "the full disk to be noticed")
    seen = time.monotonic()
    await until(lambda: running.exit_code is not None or not _ready(running), 60, "the worker to stop or turn unready")
    stopped = time.monotonic() - seen
    print(f"full after {seen - began:.1f} s, unready or gone {stopped:.1f} s later ({running.exit_code})")
    assert stopped < STOPS_S
    running.kill()
    running.limit_file_size(resource.RLIM_INFINITY)
    running.start()
    follower = await finished(prefix, steps[-1][0], [running], bound_s=120)
    await compare(prefix, follower)


def _ready(running: Worker) -> bool:
    return '"ready":true' in running.ready()


pytestmark = pytest.mark.long
