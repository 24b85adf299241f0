"""Tasks end, although a library loses a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.tasks import end, heed_cancellation


async def _loses(cancellations: int, then: BaseException | None = None) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancellations -= 1
            if cancellations < 0:
                if then is not None:
                    raise then from None
                raise


async def test_a_task_that_loses_cancellations_is_cancelled_until_it_has_ended() -> None:
    tasks = [asyncio.create_task(_loses(n)) for n in range(4)]
    await asyncio.sleep(0)
    await end(*tasks, again_s=0.01)
    assert all(task.cancelled() for task in tasks)


async def test_ended_tasks_and_what_they_ended_with_are_nobodys_trouble() -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    done, failing = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(_loses(0, ValueError("late")))
    await asyncio.sleep(0.01)
    await end(done, failing)
    await end()
    assert done.done()
    assert isinstance(failing.exception(), ValueError)
    del done, failing
    assert not told


async def test_a_loop_over_a_library_that_keeps_a_cancellation_ends_at_its_next_turn() -> None:
    turns = 0

    async def keeps() -> None:
        nonlocal turns
        while True:
            heed_cancellation()
            turns += 1
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                assert turns == 1

    task = asyncio.create_task(keeps())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task
    assert turns == 1
