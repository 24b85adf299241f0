"""Why a Kafka cluster cannot be reached, in a sentence that says what to do.

aiokafka names only the addresses it tried; whether nobody listens, a certificate is not trusted or a password is wrong
it logs and forgets. So the way in is tried once more, by a bare connection, and its first fault is told.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.errors import Unavailable

#: Bound on the look at one broker, seconds.
LOOK_S: Final = 5.0
#: The same where a command begins, and is to say at once that nobody is there.
ANSWER_S: Final = 1.5
#: How long a cancellation waits for a client that starts, seconds.
PATIENCE_S: Final = 3.0

_PROTOCOL: Final = "PLUMBLINE_KAFKA_SECURITY_PROTOCOL"


@asynccontextmanager
async def started(client: Any, bootstrap: str, options: dict[str, Any]) -> AsyncIterator[None]:
    """:func:`start`, and stop it in the end."""
    await start(client, bootstrap, options)
    try:
        yield
    finally:
        await client.stop()


async def start(client: Any, bootstrap: str, options: dict[str, Any]) -> None:
    """Start a consumer or producer. One that cannot, or is not let, is stopped; :class:`Unavailable` says why.

    aiokafka forgets a connection that it makes while its start is cancelled: a cancellation waits for the start to end.
    """
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except BaseException as error:
        try:
            await asyncio.wait([starting], timeout=PATIENCE_S)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await client.stop()
        if isinstance(error, KafkaError | OSError | TimeoutError):
            raise await unreachable(bootstrap, options) from error
        raise


async def refuse_unanswered(bootstrap: str, options: dict[str, Any]) -> None:
    """Raise :class:`Unavailable` within two seconds if no broker answers, before clients with more patience begin."""

    async def fault(host: str, port: int) -> BaseException | None:
        return await _fault(host, port, options, ANSWER_S)

    looks = [asyncio.create_task(fault(host, port)) for host, port, _ in collect_hosts(bootstrap)]
    try:
        for done in asyncio.as_completed(looks):
            if await done is None:
                return
        raise _unanswered(
            bootstrap,
            options,
            [(host, port) for host, port, _ in collect_hosts(bootstrap)],
            [look.result() for look in looks],
        )
    finally:
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


async def unreachable(bootstrap: str, options: dict[str, Any]) -> Unavailable:
    """The error to raise when no client could start. ``options``: the client's TLS and SASL."""
    hosts = [(host, port) for host, port, _ in collect_hosts(bootstrap)]
    return _unanswered(bootstrap, options, hosts, [await _fault(host, port, options, LOOK_S) for host, port in hosts])


def _unanswered(
    bootstrap: str, options: dict[str, Any], hosts: list[tuple[str, int]], faults: list[BaseException | None]
) -> Unavailable:
    told: list[str] = []
    for (host, port), fault in zip(hosts, faults, strict=True):
        if isinstance(fault, KafkaError | ssl.SSLError | ConnectionResetError):
            return Unavailable(f"the broker at {host}:{port} {_refusal(fault, options)}")
        told.append(type(fault).__name__ if fault is not None else "slow to answer")
    return Unavailable(
        f"no Kafka broker answers at {bootstrap} ({', '.join(dict.fromkeys(told))}). Start one with "
        "`plumbline services up`, or name yours in PLUMBLINE_KAFKA_BOOTSTRAP."
    )


async def _fault(host: str, port: int, options: dict[str, Any], bound_s: float) -> BaseException | None:
    connection = None
    try:
        async with asyncio.timeout(bound_s):
            connection = await create_conn(host, port, request_timeout_ms=int(bound_s * 1000), **options)
            # A listener that wants a password lets everybody ask for its versions, and nothing after that.
            await connection.send(MetadataRequest([]))
    except (KafkaError, OSError, TimeoutError) as error:
        return error
    finally:
        if connection is not None:
            connection.close()
    return None


def _refusal(fault: BaseException, options: dict[str, Any]) -> str:
    """What the broker does, and what to correct."""
    protocol = options.get("security_protocol", "PLAINTEXT")
    mechanism, user = options.get("sasl_mechanism"), options.get("sasl_plain_username")
    if isinstance(fault, SaslAuthenticationFailed | AuthenticationFailedError):
        return (
            f"refuses the user {user} by {mechanism}. Correct PLUMBLINE_KAFKA_SASL_USERNAME and "
            f"PLUMBLINE_KAFKA_SASL_PASSWORD; a SCRAM user must exist for that very PLUMBLINE_KAFKA_SASL_MECHANISM."
        )
    if isinstance(fault, UnsupportedSaslMechanismError):
        return f"does not offer {mechanism}. Choose another PLUMBLINE_KAFKA_SASL_MECHANISM."
    if isinstance(fault, IllegalSaslStateError):
        return f"wants no SASL on this port, and {_PROTOCOL} is {protocol}. Correct one or the other."
    if isinstance(fault, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not trusted: {fault.verify_message.rstrip('.')}. Name the authorities that "
            "signed it in PLUMBLINE_KAFKA_SSL_CAFILE, and the broker, as its certificate does, in "
            "PLUMBLINE_KAFKA_BOOTSTRAP."
        )
    if isinstance(fault, ssl.SSLError):
        return (
            f"does not agree on TLS ({fault.reason}). See whether that port speaks it: {_PROTOCOL} is {protocol}; with "
            "mutual TLS it must trust the certificate in PLUMBLINE_KAFKA_SSL_CERTFILE."
        )
    return f"ends the connection before it answers: {_may_want(protocol)}"


def _may_want(protocol: str) -> str:
    if protocol == "PLAINTEXT":
        return f"it may want TLS or a password. {_PROTOCOL} is PLAINTEXT; docs/operations/security.md lists the others."
    if protocol == "SSL":
        return (
            "it may want a client certificate that it trusts (PLUMBLINE_KAFKA_SSL_CERTFILE), or a password "
            f"({_PROTOCOL}=SASL_SSL), or it speaks no TLS on that port."
        )
    return f"see whether that port speaks {protocol}, as {_PROTOCOL} says."
