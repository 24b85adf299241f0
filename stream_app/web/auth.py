"""Who may do what: bearer tokens with roles, compared in constant time, guesses slowed down."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

from stream_app.errors import Incompatible

Role = Literal["viewer", "operator"]

#: Shortest token: 16 characters of what `secrets` makes cannot be guessed.
LEAST: Final = 16
#: Failed attempts of one address within the window, after which it has to wait.
ATTEMPTS, WINDOW_S = 10, 60.0
#: Addresses that are remembered; beyond it the oldest are forgotten.
_ADDRESSES: Final = 10_000

_ENTRY = re.compile(r"([A-Za-z0-9._@-]{1,64}):(viewer|operator):([\x21-\x2b\x2d-\x7e]{1,256})")


@dataclass(frozen=True, slots=True)
class User:
    """Whose token it is."""

    name: str
    role: Role


class Tokens:
    """Known tokens, as digests; the tokens themselves are not kept."""

    def __init__(self, text: str) -> None:
        """``text``: ``NAME:ROLE:TOKEN``, with commas between. ``Incompatible`` names what is wrong, never a token."""
        self._users: list[tuple[bytes, User]] = []
        for number, part in enumerate(filter(None, (item.strip() for item in text.split(","))), 1):
            match = _ENTRY.fullmatch(part)
            if match is None:
                raise Incompatible(
                    f"entry {number} of web_tokens cannot be read: write NAME:viewer:TOKEN or NAME:operator:TOKEN"
                )
            if len(match[3]) < LEAST:
                raise Incompatible(
                    f"the token of {match[1]} in web_tokens is short: at least {LEAST} characters, such as "
                    "`python3 -c 'import secrets; print(secrets.token_urlsafe())'` makes"
                )
            self._users.append((_digest(match[3]), User(match[1], match[2])))  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        return bool(self._users)

    def user(self, token: str) -> User | None:
        """Whose token this is; every known one is compared, whatever comes first."""
        given, found = _digest(token), None
        for known, user in self._users:
            if hmac.compare_digest(given, known):
                found = user
        return found


def one_time(name: str) -> tuple[Tokens, str]:
    """Tokens with a single operator, made for this run."""
    token = secrets.token_urlsafe(24)
    return Tokens(f"{name}:operator:{token}"), token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Attempts:
    """Failed attempts by address."""

    def __init__(self) -> None:
        self._failed: dict[str, list[float]] = {}

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may now."""
        now = time.monotonic()
        failed = [at for at in self._failed.get(address, ()) if now - at < WINDOW_S]
        if not failed:
            self._failed.pop(address, None)
            return 0.0
        self._failed[address] = failed
        return WINDOW_S - (now - failed[0]) if len(failed) >= ATTEMPTS else 0.0

    def failed(self, address: str) -> None:
        """Remember a failure."""
        if address not in self._failed and len(self._failed) >= _ADDRESSES:
            del self._failed[next(iter(self._failed))]
        self._failed.setdefault(address, []).append(time.monotonic())
