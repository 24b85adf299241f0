"""Two bridges of one application: partitions change hands while a destination is away."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_bridge import Hook, alert, hook, publish  # noqa: F401
from tests.support.kafka_io import Prefix, until
from tests.support.reference import Process


def _bridge(prefix: Prefix, folder: Path, hook: Hook, name: str) -> Process:  # noqa: F811
    env = {"PLUMBLINE_BRIDGE_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/"}
    return Process(prefix, folder, f"bridge-{name}", ["bridge"], env=env)


async def test_a_bridge_that_waits_lets_go_of_what_another_has_taken_over(
    prefix: Prefix,
    tmp_path: Path,
    hook: Hook,  # noqa: F811
) -> None:
    first, second = bridges = [_bridge(prefix, tmp_path, hook, name) for name in "ab"]
    try:
        first.start()
        await until(lambda: "delivering" in first.tail(), 60, "the first bridge")
        await publish(prefix, *(alert(n, 1, "opened") for n in range(1, 7)))
        await until(lambda: sum(map(len, hook.taken.values())) >= 6, 60, "the first six")
        hook.status = 503
        await publish(prefix, *(alert(n, r, "reminder") for r in (2, 3) for n in range(1, 7)))
        await until(lambda: "again in" in first.tail(), 60, "the first to wait")
        second.start()
        await until(lambda: "again in" in second.tail(), 60, "the second to wait")
        hook.status = 200
        await publish(prefix, *(alert(n, 4, "resolved") for n in range(1, 7)))
        await until(
            lambda: all(any(k.endswith("-4") for k in hook.taken[f"fraud:t{n}"]) for n in range(1, 7)), 90, "all"
        )
        for n in range(1, 7):
            seen = [int(key.rpartition("-")[2]) for key in hook.taken[f"fraud:t{n}"]]
            assert seen == sorted(seen), "in order, with whatever comes twice"
            assert set(seen) == {1, 2, 3, 4}
        assert [each.exit_code for each in bridges] == [None, None], "".join(each.tail() for each in bridges)
        assert [each.stop() for each in bridges] == [0, 0]
    finally:
        for each in bridges:
            each.kill()


async def test_a_first_start_that_is_killed_between_two_open_alerts_loses_neither(
    prefix: Prefix,
    tmp_path: Path,
    hook: Hook,  # noqa: F811
) -> None:
    running = _bridge(prefix, tmp_path, hook, "a")
    await publish(prefix, *(alert(n, 1, "opened", model="fraud:t1") for n in range(3)))
    hook.most = 1
    try:
        running.start()
        await until(lambda: len(hook.taken["fraud:t1"]) == 1 and "again in" in running.tail(), 60, "the first of them")
        running.kill()
        hook.most = None
        running.start()
        wanted = {f"{alert(n, 1, None)['id']}-1" for n in range(3)}
        await until(lambda: set(hook.taken["fraud:t1"]) == wanted, 60, f"the others\n{running.tail()}")
        assert running.stop() == 0, running.tail()
    finally:
        running.kill()
