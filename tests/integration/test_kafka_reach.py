"""Clients of Kafka that are told to stop before they have started."""

from __future__ import annotations

import asyncio
import gc
import math
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
    """How many connections stay open when twenty starts are cancelled, spread over the time that a start takes.

    That time is the shortest seen so far: on a busy machine a single start may take ten times another's.
    """
    span, cancelled = math.inf, 0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        for number in range(400):
            consumer = clients.consumer(prefix.bootstrap, {}, isolation_level="read_uncommitted")
            began = time.monotonic()
            starting = asyncio.create_task(begin(consumer))
            # Not a wait for anything: the moment of the cancellation. The first start takes its whole time.
            await asyncio.wait((starting,), timeout=None if span == math.inf else span * (number % 20) / 20)
            if starting.done():
                span = min(span, time.monotonic() - began)
                await asyncio.sleep(0)  # its tasks begin; a stop before that is taken for a cancellation
            starting.cancel()
            (ended,) = await asyncio.gather(starting, return_exceptions=True)
            cancelled += isinstance(ended, asyncio.CancelledError)
            await consumer.stop()
            del consumer, starting, ended
            if cancelled == 20:
                break
        gc.collect()
    print(f"{cancelled} starts of {span * 1000:.1f} ms at least were cancelled")
    assert cancelled == 20
    return sum("Unclosed AIOKafkaConnection" in str(warning.message) for warning in told)


async def test_a_start_that_is_cancelled_leaves_no_connection_open(prefix: Prefix) -> None:
    assert await _forgotten(prefix, lambda consumer: start(consumer, prefix.bootstrap, {})) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_aiokafka_alone_still_forgets_them(prefix: Prefix) -> None:
    """When this fails, :func:`start` need not wait any more."""
    for _ in range(20):  # on a busy machine all moments of one round may lie before there is a connection
        if await _forgotten(prefix, lambda consumer: consumer.start()):
            return
    raise AssertionError("in twenty rounds no connection was forgotten")
