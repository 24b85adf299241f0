"""The figures that hold for every server, and how many descriptors its connections may take."""

from __future__ import annotations

import resource
from typing import Final

#: Seconds for the head of a request, for its body, and for a client to take what is sent.
HEAD_S: Final = 10.0
BODY_S: Final = 10.0
STALLED_S: Final = 10.0
#: Seconds that a connection may lie idle between two requests.
IDLE_S: Final = 5.0
#: Seconds that the answer to a refused connection may take to leave.
LINGER_S: Final = 1.0

#: Bytes of a head, of a body, and of all bodies that a process holds at once.
HEAD_BYTES: Final = 32_768
BODY_BYTES: Final = 1 << 20
BODIES_BYTES: Final = 32 << 20

#: Requests in work at once. Ten times what a busy dashboard needs; doubled, answers would only wait longer.
IN_WORK: Final = 200
#: WebSockets at once, and how many of them may not have said yet who they are.
SOCKETS, UNKNOWN_SOCKETS = 2_000, 500
#: Rows of one page.
PAGE_ROWS: Final = 500
#: Bytes taken from a connection at once: tiny chunks cost some 10 µs each to parse, so 8 KiB are about 15 ms.
READ_BYTES: Final = 8_192

#: Connections at once, where descriptors suffice.
_CONNECTIONS: Final = 4_096
#: Descriptors kept for everything else: a burst of accepts, Redis, Kafka, files.
ACCEPTS, _OTHERS = 128, 128


def raise_descriptors() -> None:
    """Take as many descriptors as the hard limit gives, at most what the figures above can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + ACCEPTS + _OTHERS
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections() -> int:
    """Connections that this process may hold, so that descriptors never run out."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    return max(16, min(_CONNECTIONS, soft - ACCEPTS - _OTHERS))
