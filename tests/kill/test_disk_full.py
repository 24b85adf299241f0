"""The disk under a worker's state is full: it says so and stops, and goes on where it was when there is room."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, until, write
from tests.support.worker import Worker

pytestmark = pytest.mark.long

#: bytes that a file of the worker may have while the disk is full: less than RocksDB needs for what comes
LIMIT = 20_000
STOPS_S = 10


@contextmanager
def small_disk(running: Worker) -> Any:
    """A file system of memory under the state, full to the last block once the worker runs."""
    data = Path(running.env["PLUMBLINE_DATA_DIR"])
    data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "plumbline-test", str(data)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is refused here: the limit on files' sizes stands for it")
    rest = data / "filler"

    def fill() -> None:
        # a smaller piece fits where a larger one does not
        with contextlib.ExitStack() as stack:
            for size in (2**20, 4096):
                with contextlib.suppress(OSError):
                    file = stack.enter_context(rest.open("ab", buffering=0))
                    while file.write(bytes(size)):
                        pass

    try:
        yield fill, rest.unlink
    finally:
        running.kill()
        subprocess.run(["umount", str(data)], capture_output=True, check=True)


@contextmanager
def small_files(running: Worker) -> Any:
    """A limit on the size of the worker's files, for where mounting is not allowed; it holds from the start."""
    running.limit_file_size(LIMIT)
    yield lambda: None, lambda: running.limit_file_size(resource.RLIM_INFINITY)


@pytest.mark.parametrize("full", [small_disk, small_files], ids=["disk", "files"])
async def test_a_full_disk_stops_the_worker_within_ten_seconds_and_loses_nothing(
    prefix: Prefix, worker: Callable[..., Worker], full: Callable[[Worker], AbstractContextManager[Any]]
) -> None:
    steps = history(seed=71, days=3, per_day=8_000)  # more than write buffers of 4 MB hold
    running = worker(max_checkpoint_events="3000", write_buffer_mb="4")
    with full(running) as (fill, make_room):
        running.start()
        await until(lambda: '"open":true' in running.ready() or running.exit_code is not None, 60, "lanes to open")
        await asyncio.to_thread(fill)
        await write(prefix, steps)
        began = time.monotonic()

        def noticed() -> bool:
            said = running.log.read_text(errors="replace")
            return running.exit_code is not None or "File too large" in said or "No space left" in said

        await until(noticed, 60, "the full disk to be noticed")
        seen = time.monotonic()
        await until(
            lambda: running.exit_code is not None or not _ready(running), 60, "the worker to stop or turn unready"
        )
        stopped = time.monotonic() - seen
        print(f"full after {seen - began:.1f} s, unready or gone {stopped:.1f} s later ({running.exit_code})")
        assert stopped < STOPS_S
        running.kill()
        make_room()
        running.start()
        follower = await finished(prefix, steps[-1][0], [running], bound_s=120)
        await compare(prefix, follower)


def _ready(running: Worker) -> bool:
    return '"ready":true' in running.ready()
