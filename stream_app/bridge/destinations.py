"""Where alerts go, and what they look like there."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import aiohttp
import orjson

from schemas.common import rfc3339

Alert = dict[str, Any]

SIGNATURE: Final = "X-Plumbline-Signature"
DEDUP_KEY: Final = "X-Plumbline-Dedup-Key"

#: Answers of the 4xx kind that pass: too slow, too early, too many.
_PASSING: Final = (408, 425, 429)
#: An answer's body as it is shown in errors.
_SHOWN: Final = 300
#: Bytes of an answer's body that are read; the client itself bounds the head.
MOST_READ: Final = 64 << 10
#: Seconds: what a destination may ask for, at least and at most.
SHORTEST_AFTER_S, LONGEST_AFTER_S = 1.0, 3600.0


class DeliveryRefused(Exception):
    """The destination does not want this alert, and will not want it later."""


class Unreachable(Exception):
    """The destination did not take it now. ``after_s``: it asked to be left alone that long."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class Destination(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """Part of the consumer group's name."""
        ...

    async def deliver(self, http: aiohttp.ClientSession, alert: Alert, before: Alert | None) -> None:
        """Hand a revision over; ``before``: the one that was delivered before it. :class:`DeliveryRefused`,
        :class:`Unreachable`."""
        ...

    async def refresh(self, http: aiohttp.ClientSession, alerts: Sequence[Alert]) -> None:
        """Say again what is open, for destinations that forget."""
        ...


class Alertmanager:
    """Prometheus Alertmanager, API v2.

    An alert there is its labels: when severity or escalation changes, the old one is ended and a new one begins. What
    is not repeated resolves by itself after ``resolve_timeout`` (5 min by default), hence the refreshes.
    """

    name = "alertmanager"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v2/alerts"

    async def deliver(self, http: aiohttp.ClientSession, alert: Alert, before: Alert | None) -> None:
        """POST the alert, and the end of the labels it had before."""
        sent = [posted(alert)]
        if before is not None and labels(before) != labels(alert):
            sent.append({**posted(before), "endsAt": _now()})
        await post(http, self._url, orjson.dumps(sent), {})

    async def refresh(self, http: aiohttp.ClientSession, alerts: Sequence[Alert]) -> None:
        """POST all of them once more."""
        if alerts:
            await post(http, self._url, orjson.dumps([posted(alert) for alert in alerts]), {})


def posted(alert: Alert) -> dict[str, Any]:
    """An alert as Alertmanager takes it; ``endsAt`` only where it is over."""
    notes = {"summary": alert["summary"], "recommendation": alert["recommendation"], "link": alert["link"]}
    if "acknowledged_by" in alert:
        notes["acknowledged_by"] = alert["acknowledged_by"]
    notes |= {name: alert[name] for name in ("owner", "runbook_url") if name in alert}
    out: dict[str, Any] = {
        "labels": labels(alert),
        "annotations": notes,
        # a simulated time may lie ahead, and what begins in the future is not shown
        "startsAt": min(alert["opened_at"], _now()),
        "generatorURL": alert["link"],
    }
    if alert["status"] == "resolved":
        notes["resolution_reason"] = alert["resolution_reason"]
        out["endsAt"] = _now()
    return out


def labels(alert: Alert) -> dict[str, str]:
    """What an alert is told apart by."""
    return {
        "alertname": alert["type"],
        "model": alert["model"],
        "model_type": alert["model_type"],
        "tenant_id": alert["tenant_id"],
        "model_version": alert["model_version"],
        "severity": alert["severity"].lower(),
        "escalated": "yes" if alert["escalation_level"] else "no",
        "alert_id": alert["id"],
    }


class Webhook:
    """Any address that takes a POST; the body is signed if there is a secret."""

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret.encode()

    async def deliver(self, http: aiohttp.ClientSession, alert: Alert, before: Alert | None) -> None:
        """POST ``{"event", "dedup_key", "alert"}``."""
        key = dedup_key(alert)
        body = orjson.dumps(
            {"event": alert.get("notify", "opened"), "dedup_key": key, "alert": alert}, option=orjson.OPT_SORT_KEYS
        )
        headers = {DEDUP_KEY: key}
        if self._secret:
            headers[SIGNATURE] = sign(self._secret, body, int(time.time()))
        await post(http, self._url, body, headers)

    async def refresh(self, http: aiohttp.ClientSession, alerts: Sequence[Alert]) -> None:
        """A webhook was told once."""


def dedup_key(alert: Alert) -> str:
    """The same for every delivery of a revision."""
    return f"{alert['id']}-{alert['revision']}"


def sign(secret: bytes, body: bytes, at_s: int) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 over the time, a dot and the body, so that a captured request grows old."""
    return f"t={at_s},v1={hmac.new(secret, f'{at_s}.'.encode() + body, hashlib.sha256).hexdigest()}"


def session(request_s: float) -> aiohttp.ClientSession:
    """Requests that end within so many seconds, each on a connection of its own: what an answer leaves behind there is
    no answer to the next. Proxies, cookies and passwords that the environment or a ``.netrc`` names are not used."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=aiohttp.ClientTimeout(total=request_s),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def post(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> None:
    """One request; anything but 2xx of the POST itself is :class:`DeliveryRefused` or :class:`Unreachable`.

    A redirect is a no: who asks to be called elsewhere, such as at a sign-in page, has taken nothing. Of an answer at
    most ``MOST_READ`` bytes are read. The address is never shown: it may hold a token.
    """
    sent = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
    try:
        async with http.post(url, data=body, headers=sent, allow_redirects=False, auto_decompress=False) as answer:
            status, after = answer.status, answer.headers.get("Retry-After", "")
            if 200 <= status < 300:
                return
            said = f"answered {status}: {shown(await _beginning(answer))}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # a ValueError is an answer that is no HTTP: the client makes neither head nor tail of it
        raise Unreachable(_why(error)) from error
    if status < 500 and status not in _PASSING:
        raise DeliveryRefused(said)
    raise Unreachable(said, retry_after(after))


def _why(error: Exception) -> str:
    """What went wrong and what to do about it, without the address."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{name}: {_distrusted(error.certificate_error)}"
    # the more special first
    said = (
        (aiohttp.ClientConnectorSSLError, "no TLS comes about; does it speak https on that port?"),
        (aiohttp.ClientConnectorDNSError, "its name is not found; check the address and the name server"),
        (aiohttp.ClientConnectorError, "no connection; does it run, and may this host reach it?"),
        (TimeoutError, "no answer in time"),
        (aiohttp.ClientConnectionError, "the connection broke off before an answer"),
        ((aiohttp.ClientError, ValueError), "what it answers is no HTTP; check the address and its port"),
    )
    return f"{name}: {next((text for kind, text in said if isinstance(error, kind)), 'no connection')}"


#: OpenSSL's number for a certificate that is somebody else's; its words name the host.
_OTHER_NAME: Final = (62, 64)


def _distrusted(error: Exception) -> str:
    text = str(getattr(error, "verify_message", "")) or "it could not be verified"
    if getattr(error, "verify_code", 0) in _OTHER_NAME:
        return "its certificate is for another name; use the name that stands in it"
    return f"its certificate is not trusted ({text}); name its authority's file in SSL_CERT_FILE, or renew it"


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """What a body begins with; nothing, or a part, where it breaks off."""
    found = bytearray()
    try:
        while len(found) < MOST_READ:
            part = await answer.content.read(MOST_READ - len(found))
            if not part:
                break
            found += part
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        pass  # the status has said it already
    return bytes(found)


def shown(body: bytes) -> str:
    """The beginning of a body as it may stand in a log: printable, on one line."""
    text = body[: 4 * _SHOWN].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)[:_SHOWN]


def retry_after(text: str, now_s: float | None = None) -> float | None:
    """Seconds of a Retry-After header, which names seconds or a date, between 1 s and 1 h; ``None`` for nonsense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text) if len(text) < 10 else LONGEST_AFTER_S
    else:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        at = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        seconds = at.timestamp() - (time.time() if now_s is None else now_s)
    return min(max(seconds, SHORTEST_AFTER_S), LONGEST_AFTER_S)


def _now() -> str:
    return rfc3339(time.time_ns() // 1_000_000)
