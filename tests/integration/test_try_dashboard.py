"""`plumbline try --dashboard`: the same file on a broker, in a pipeline of its own that is gone afterwards."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from stream_app.kafka import admin
from stream_app.settings import children
from tests.support.kafka_io import until
from tests.support.live import RedisServer

MAKER = Path(__file__).parents[2] / "docs" / "examples" / "make_scored.py"


async def _topics(bootstrap: str) -> set[str]:
    async with admin.admin(bootstrap, {}) as client:
        return {name for name in await client.list_topics() if name.startswith(("try-", "looked-at"))}


@contextmanager
def _trying(bootstrap: str, folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command over the first nine days of the example's file, and what it says."""
    subprocess.run([sys.executable, MAKER], cwd=folder, check=True)
    rows = (folder / "scored.csv").read_text().splitlines(keepends=True)
    (folder / "scored.csv").write_text("".join(rows[:601]))
    redis = RedisServer(folder / "redis").start()
    command = [sys.executable, "-m", "stream_app", "try", "scored.csv", "--yes", "--set", "model_type=credit"]
    env, log = children.fresh_environment(kafka_bootstrap=bootstrap, redis_url=redis.url), folder / "out.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=env,
            stdout=out,
            stderr=out,
            # where the tests run in the background of a shell, Ctrl-C is ignored, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            children.end(process, 60)
        redis.kill()


@pytest.mark.parametrize("keep", [None, "looked-at"])
async def test_the_dashboard_shows_what_was_tried_and_leaves_only_what_is_kept(
    kafka: str, tmp_path: Path, keep: str | None
) -> None:
    with _trying(kafka, tmp_path, "--dashboard", *(["--keep", keep] if keep else [])) as (process, log):

        def says(words: str) -> re.Match[str] | None:
            assert process.poll() is None, log.read_text()
            return re.search(words, log.read_text())

        found = await until(lambda: says(r"dashboard: (http://[^/]+)/#token=(\S+)"), 90, "the dashboard's address")
        await until(lambda: says("every row is judged"), 120, "all rows to be judged")
        async with httpx.AsyncClient(base_url=found[1], headers={"authorization": f"Bearer {found[2]}"}) as client:

            async def shown() -> bool:
                models = (await client.get("/api/v1/models")).json()["items"]
                return [(row["model"], row["date"]) for row in models] == [("credit:global", "2026-01-13")]

            await until(shown, 60, "the last closed day on the dashboard")

            async def answers() -> bool:
                page = (await client.get("/api/v1/pipeline")).json()
                return bool(page["lanes"]) and [row["ready"] for row in page["workers"]] == [True]

            await until(answers, 60, "the worker's lanes on the page of the pipeline")
            page = (await client.get("/api/v1/pipeline")).json()
            # its clock is meant to be followed: that no tick comes by itself is nothing that needs a hand
            assert page["tick"]["mode"] == "external"
            assert [told for told in page["problems"] if "clock" in told["sentence"]] == []
        assert len(await _topics(kafka)) > 10
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 60) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert bool(await _topics(kafka)) == (keep is not None)
        if keep is not None:
            assert "PLUMBLINE_INPUT_PARTITIONS=4 PLUMBLINE_MODEL_PARTITIONS=2" in log.read_text()
        assert (tmp_path / ".plumbline" / "looked-at" / "data").exists() == (keep is not None)
        if keep is not None:
            assert "PLUMBLINE_APP_ID=looked-at" in log.read_text()
