"""Clients that speak HTTP manually, so that they can speak it badly."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple


class Answer(NamedTuple):
    """Status (0: none came), head, body, and whether the server closed."""

    status: int
    head: str
    body: bytes


async def raw(port: int, request: bytes, bound_s: float = 30.0, host: str = "127.0.0.1") -> Answer:
    """Send bytes, and read until the server closes or the answer is whole."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        return await answer(reader, bound_s)
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close and let go."""
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader, bound_s: float = 30.0) -> Answer:
    """The next answer of a connection."""
    try:
        async with asyncio.timeout(bound_s):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, "", b"")
    length = next((int(r.split(":")[1]) for r in head.lower().split("\r\n") if r.startswith("content-length:")), None)
    body = await (reader.read() if length is None else reader.readexactly(length))
    return Answer(int(head.split()[1]), head, body)


async def drip(port: int, first: bytes, every_s: float = 0.5, bound_s: float = 30.0) -> tuple[Answer, float]:
    """Send ``first``, then a byte now and then; returns the answer and after how many seconds the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    start = asyncio.get_running_loop().time()

    async def dripping() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(every_s)

    writer.write(first)
    task = asyncio.create_task(dripping())
    try:
        found = await answer(reader, bound_s)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(bound_s):
                await reader.read()
        return found, asyncio.get_running_loop().time() - start
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await close(writer)


async def half_open(port: int, count: int) -> list[asyncio.StreamWriter]:
    """That many connections with half a head each."""
    out = []
    for start in range(0, count, 50):
        found = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", port) for _ in range(min(50, count - start))), return_exceptions=True
        )
        for each in found:
            if not isinstance(each, BaseException):
                each[1].write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
                out.append(each[1])
    return out
