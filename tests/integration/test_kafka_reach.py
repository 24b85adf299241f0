"""Clients of Kafka that are told to stop before they have started."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from stream_app.kafka import clients
from stream_app.kafka.reach import start
from tests.support.kafka_io import Prefix


async def _forgotten(prefix: Prefix, begin: Callable[[AIOKafkaConsumer], Coroutine[Any, Any, None]]) -> int:
    """How many connections stay open when forty starts are cancelled, spread over the time that a start takes."""
    for _ in range(3):  # the last takes as long as those that follow
        whole = clients.consumer(prefix.bootstrap, {}, isolation_level="read_uncommitted")
        began = time.monotonic()
        await whole.start()
        step = (time.monotonic() - began) / 40
        await asyncio.sleep(0)  # its tasks begin; a stop before that is taken for a cancellation
        await whole.stop()
    cancelled = 0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        for number in range(40):
            consumer = clients.consumer(prefix.bootstrap, {}, isolation_level="read_uncommitted")
            starting = asyncio.create_task(begin(consumer))
            await asyncio.sleep(number * step)  # not a wait for anything: the moment of the cancellation
            starting.cancel()
            (ended,) = await asyncio.gather(starting, return_exceptions=True)
            cancelled += isinstance(ended, asyncio.CancelledError)
            await consumer.stop()
            del consumer, starting, ended
        gc.collect()
    print(f"{cancelled} of 40 starts of {40 * step * 1000:.1f} ms were cancelled")
    assert cancelled > 10
    return sum("Unclosed AIOKafkaConnection" in str(warning.message) for warning in told)


async def test_a_start_that_is_cancelled_leaves_no_connection_open(prefix: Prefix) -> None:
    assert await _forgotten(prefix, lambda consumer: start(consumer, prefix.bootstrap, {})) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_aiokafka_alone_still_forgets_them(prefix: Prefix) -> None:
    """When this fails, :func:`start` need not wait any more."""
    assert await _forgotten(prefix, lambda consumer: consumer.start()) > 0
