"""Who may do what: bearer tokens with roles, compared in constant time; guesses are answered with 429."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, Literal

from stream_app.errors import Incompatible

Role = Literal["viewer", "operator"]

#: Shortest token: 16 characters of what `secrets` makes cannot be guessed.
LEAST: Final = 16
#: Longest token; what is longer is not even looked at.
MOST: Final = 256
#: Failed attempts of one address within the window, after which its wrong tokens get 429. Right ones always enter.
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
        if len(token) > MOST:
            return None
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


class SignInAttempts:
    """Failed attempts by address; at most :data:`ATTEMPTS` times of each are kept."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """Remember a failure; returns seconds until a further one would not be too many, 0 if this one is not."""
        now = time.monotonic()
        times = self._failed.setdefault(address, deque(maxlen=ATTEMPTS))
        self._failed.move_to_end(address)
        if len(self._failed) > _ADDRESSES:
            self._failed.popitem(last=False)
        if len(times) == ATTEMPTS and now - times[0] < WINDOW_S:
            return WINDOW_S - (now - times[0])
        times.append(now)
        return 0.0
