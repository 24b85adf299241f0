"""Whatever a destination answers: only a 2xx of the request itself is a yes, and little of the rest is read."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest
import trustme
from aiohttp import connector
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_app.bridge import destinations
from stream_app.bridge.destinations import (
    Alertmanager,
    DeliveryRefused,
    Destination,
    Unreachable,
    Webhook,
    dedup_key,
    retry_after,
    session,
)
from stream_app.bridge.run import Bridge, _alert
from stream_app.cli import bridge as cli
from stream_app.errors import Unavailable
from stream_app.kafka.arrived import FAULTS
from stream_app.kafka.topics import topics_of
from stream_app.settings import Settings
from tests.laws.test_laws import LAWFUL
from tests.support.spoil import spoiled

ALERT: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "alert.opened.json").read_bytes()
)  # fmt: skip
NOW = 1_800_000_000.0


class Server:
    """An HTTP server that says exactly the bytes that a test gives it, whatever it is asked."""

    def __init__(self) -> None:
        self.answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        #: sent again and again after the answer
        self.endless = b""
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.sent = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.split("\r\n")[0])
            self.heads.append(head)
            found = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            self.bodies.append(await reader.readexactly(int(found[1]) if found else 0))
            if head.startswith("GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsign in")
            else:
                writer.write(self.answer)
                while self.endless:
                    self.sent += len(self.endless)
                    writer.write(self.endless)
                    await writer.drain()
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook"  # type: ignore[attr-defined]
    yield made
    listening.close()


def both(url: str) -> list[Destination]:
    return [Webhook(url, "secret"), Alertmanager(url)]


def answer(status: int, *headers: str, body: bytes = b"no") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def outcome(destination: Destination) -> Exception | None:
    async with session(10) as http:
        try:
            await destination.deliver(http, ALERT, None)
        except (DeliveryRefused, Unreachable) as error:
            return error
    return None


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 403, 404, 410, 413, 451, 499])
async def test_every_answer_from_300_to_499_but_the_passing_ones_is_a_no_and_no_redirect_is_followed(
    server: Any, status: int
) -> None:
    server.answer = answer(status, f"Location: {server.url}/sign-in", body=b"" if status == 304 else b"no")
    for destination in both(server.url):
        assert isinstance(await outcome(destination), DeliveryRefused), destination.name
    assert [text.split()[0] for text in server.asked] == ["POST", "POST"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_yes_whatever_else_it_says(server: Any, status: int) -> None:
    body = b"" if status == 204 else b"\xff\xfe"
    server.answer = answer(status, "Content-Encoding: gzip", "Content-Type: text/plain; charset=no-such", body=body)
    for destination in both(server.url):
        assert await outcome(destination) is None


@pytest.mark.parametrize("status", [302, 400, 503])
async def test_of_an_endless_answer_little_is_read(server: Any, status: int) -> None:
    server.answer = b"HTTP/1.1 %d Said\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" % status
    server.endless = b"x" * 10_000
    read = []
    found = destinations._beginning

    async def counted(said: aiohttp.ClientResponse) -> bytes:
        read.append(await found(said))
        return read[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(destinations, "_beginning", counted)
        assert await outcome(Webhook(server.url, "")) is not None
    assert [len(body) for body in read] == [64 << 10]
    assert server.sent < 16 << 20, "what lies in sockets' buffers, not more"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Type: text/html; charset=no-such-charset"], b"\xff\xfe<html>"),
        (["Content-Encoding: gzip"], b"this is no gzip"), (["Content-Encoding: br"], b"\x00" * 100),
        (["Content-Encoding: zebra"], b"x"), (["Content-Type: \xff\xfe"], b"\x1b[31mred\r\nforged model"),
        (["Content-Type: text/plain; charset=utf-16"], b"odd"),
    ],
)  # fmt: skip
async def test_odd_encodings_of_a_no_are_a_no_on_one_line(server: Any, headers: list[str], body: bytes) -> None:
    for status, kind in ((400, DeliveryRefused), (503, Unreachable)):
        server.answer = answer(status, *headers, body=body)
        error = await outcome(Webhook(server.url, ""))
        assert isinstance(error, kind)
        assert str(error).isprintable()
        assert len(str(error)) < 400


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\x00" * 100, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xff\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=lambda said: repr(said[:24]),
)  # fmt: skip
async def test_what_is_no_http_is_no_yes(server: Any, said: bytes) -> None:
    server.answer = said
    assert isinstance(await outcome(Webhook(server.url, "")), Unreachable)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0", 1.0), ("1", 1.0), ("3600", 3600.0), ("86400", 3600.0), ("9" * 400, 3600.0), (" 12 ", 12.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 1.0),
        ("Fri, 15 Jan 2117 08:00:00 GMT", 3600.0), ("Fri, 15 Jan 2027 09:01:00 +0100", 60.0),
        ("", None), ("soon", None), ("-5", None), ("1.5", None), ("1e9", None), ("inf", None), ("nan", None),
        ("\u0667", None), ("\u00b2", None), ("Fri, 99 Foo 2027 99:99:99 GMT", None), ("0x10", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_between_a_second_and_an_hour(text: str, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@LAWFUL
@given(st.text(max_size=60) | st.text("0123456789 ,:GMTJanFri+-", max_size=60))
def test_no_retry_after_is_more_than_a_wait(text: str) -> None:
    found = retry_after(text, NOW)
    assert found is None or 1.0 <= found <= 3600.0


@pytest.mark.parametrize(("header", "after"), [("7", 7.0), ("0", 1.0), ("999999", 3600.0), ("\xb2", None)])
async def test_a_busy_destination_says_when(server: Any, header: str, after: float | None) -> None:
    for status in (429, 503):
        server.answer = answer(status, f"Retry-After: {header}")
        error = await outcome(Webhook(server.url, ""))
        assert isinstance(error, Unreachable)
        assert error.after_s == after


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/TOKEN", "http://no-such.invalid/TOKEN"])
async def test_what_keeps_a_destination_away_is_said_with_what_to_do_and_without_its_address(address: str) -> None:
    error = await outcome(Webhook(address, "secret"))
    assert isinstance(error, Unreachable)
    assert re.fullmatch(r"\w+: [a-z][^;]+; [^;]+", str(error)), str(error)
    assert "TOKEN" not in str(error)


@pytest.mark.parametrize(("trusted", "said"), [(False, "SSL_CERT_FILE"), (True, "for another name")])
async def test_a_certificate_that_is_not_trusted_is_said_with_what_to_do(
    trusted: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem") if trusted else None)
    # aiohttp makes its own when it is imported
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", client)
    port = listening.sockets[0].getsockname()[1]
    error = await outcome(Webhook(f"https://127.0.0.1:{port}/TOKEN", "secret"))
    listening.close()
    assert isinstance(error, Unreachable)
    assert said in str(error)
    assert "127.0.0.1" not in str(error)


async def test_a_check_takes_no_sign_in_page_for_a_yes_and_ends_its_alert_under_another_key(server: Any) -> None:
    await cli._check(both(server.url)[:1])
    opened, ended = (json.loads(body) for body in server.bodies)
    assert (opened["event"], ended["event"]) == ("opened", "resolved")
    assert opened["dedup_key"] != ended["dedup_key"] == dedup_key(ended["alert"])
    server.answer = answer(302, f"Location: {server.url}/sign-in")
    for destination in both(server.url):
        with pytest.raises(Unavailable, match="answered 302"):
            await cli._check([destination])


async def test_proxies_passwords_and_cookies_of_the_environment_are_not_used(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with session(10) as http:
        for destination in both(server.url) * 2:
            await destination.deliver(http, ALERT, None)
    assert len(server.heads) == 4
    assert not [head for head in server.heads if "authorization:" in head.lower() or "cookie:" in head.lower()]


SEEDS = tuple(path.read_bytes() for path in sorted((Path(__file__).parents[1] / "golden").glob("alert.*.json")))


@LAWFUL
@given(spoiled(SEEDS))
def test_an_alert_of_any_bytes_can_be_handed_on_or_is_none(value: bytes) -> None:
    try:
        alert = _alert(value)
    except FAULTS:
        return
    orjson.dumps(destinations.posted(alert))
    orjson.dumps(alert)
    assert dedup_key(alert).isprintable()
    assert destinations.labels(alert)


@pytest.mark.parametrize("odd", [b"1" + b"0" * 30, b"-1" + b"0" * 30, b"[" * 600 + b"]" * 600])
def test_an_alert_whose_report_cannot_be_written_again_is_none(odd: bytes) -> None:
    """Else the bridge would end at it, and at every start again."""
    value = SEEDS[0].replace(b'"report":{', b'"report":{"odd":' + odd + b",")
    assert odd in value
    with pytest.raises(FAULTS):
        _alert(value)


def test_a_resolved_alert_that_does_not_say_why_is_none() -> None:
    resolved = json.loads(SEEDS[-1])
    assert resolved.pop("resolution_reason")
    with pytest.raises(ValueError, match="resolution_reason"):
        _alert(json.dumps(resolved).encode())


async def test_an_older_revision_that_arrives_again_is_no_news() -> None:
    sent: list[int] = []

    class Kept(Webhook):
        async def deliver(self, http: aiohttp.ClientSession, alert: Any, before: Any) -> None:
            sent.append(alert["revision"])

    settings = Settings()
    bridge = Bridge(settings, topics_of(settings), Kept("http://127.0.0.1:1", ""))
    bridge._http = None  # type: ignore[assignment]
    record = SimpleNamespace(topic="ml.alerts", partition=0, offset=0, value=b"", key=b"", headers=())
    for revision in (1, 3, 2, 1, 3, 4):
        await bridge._take(0, {**ALERT, "revision": revision}, record)
    assert sent == [1, 3, 3, 4], "the newest one again is the same once more"
    assert bridge._open[0][ALERT["id"]]["revision"] == 4


async def test_what_waits_is_let_go_when_its_partition_is_given_up() -> None:
    """Its next owner delivers it and what follows; one that came after those would tell people of what is over."""
    sent: list[int] = []
    bridge: Bridge
    tp = TopicPartition("ml.alerts", 0)

    class Away(Webhook):
        async def deliver(self, http: aiohttp.ClientSession, alert: Any, before: Any) -> None:
            sent.append(alert["revision"])
            if alert["revision"] == 2:
                given_up.append(asyncio.create_task(bridge.on_partitions_revoked([tp])))
                raise Unreachable("away", 0.0)

    given_up: list[asyncio.Task[None]] = []
    settings = Settings()
    bridge = Bridge(settings, topics_of(settings), Away("http://127.0.0.1:1", ""))
    bridge._http = None  # type: ignore[assignment]
    record = SimpleNamespace(topic="ml.alerts", partition=0, offset=0, value=b"", key=b"", headers=())
    await bridge._take(0, {**ALERT, "revision": 1}, record)
    await bridge._take(0, {**ALERT, "revision": 2}, record)
    await asyncio.gather(*given_up)
    assert sent == [1, 2]
    assert (bridge._open, bridge._delivered) == ({}, {}), "nothing is refreshed that is somebody else's"
    await bridge._take(0, {**ALERT, "revision": 3}, record, since=1)
    assert sent == [1, 2, 3], "it may come back"


async def test_what_was_committed_beyond_the_end_of_a_topic_made_anew_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Anew:
        async def committed(self, tp: TopicPartition) -> int:
            return 100

        async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
            return dict.fromkeys(tps, 3)

    looked: list[int] = []

    async def history(tp: TopicPartition, until: int) -> AsyncIterator[Any]:
        looked.append(until)
        for each in list[Any]():
            yield each

    settings, tp = Settings(), TopicPartition("ml.alerts", 0)
    bridge = Bridge(settings, topics_of(settings), Webhook("http://127.0.0.1:1", ""))
    bridge._consumer = Anew()
    monkeypatch.setattr(bridge, "_history", history)
    await bridge.on_partitions_assigned([tp])
    assert looked == [3]
    assert bridge._ready == {tp}
