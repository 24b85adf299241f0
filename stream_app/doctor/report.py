"""Asking all questions: one that breaks or hangs hides no other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer

from stream_app.errors import PlumblineError
from stream_app.kafka import clients
from stream_app.kafka.reach import started
from stream_app.kafka.reading import newest
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

Level = Literal["ok", "warn", "fail"]

#: Bound on one check, seconds.
BOUND_S = 20.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An answer. ``repair``: the command that helps, where one does."""

    check: str
    level: Level
    what: str
    repair: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What checks look at."""

    settings: Settings
    topics: Topics
    #: addresses of workers' views; none: where the settings say that one is
    workers: tuple[str, ...] = ()

    @asynccontextmanager
    async def consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A started reader that belongs to no group. ``Unavailable`` says why there is none."""
        bootstrap, options = self.settings.kafka_bootstrap, self.settings.kafka_client_options()
        reader = clients.consumer(bootstrap, options, auto_offset_reset="earliest")
        async with started(reader, bootstrap, options):
            yield reader


Check = Callable[[Checkup], Awaitable[list[Diagnosis]]]


async def examine(
    context: Checkup, checks: Mapping[str, Check], say: Callable[[str], None] = lambda name: None
) -> list[Diagnosis]:
    """Every check's findings in order; ``say`` hears the name of each as it begins.

    What keeps several checks from an answer, a broker that is away, is found once, by the first of them, and names the
    others.
    """
    found: list[Diagnosis | str] = []
    kept: dict[str, list[str]] = {}
    for name, check in checks.items():
        say(name)
        try:
            async with asyncio.timeout(BOUND_S):
                found += await check(context)
            continue
        except TimeoutError:
            why = f"no answer within {BOUND_S:.0f} s"
        except PlumblineError as error:
            why = str(error)
        except Exception as error:
            why = f"the check itself broke: {type(error).__name__}: {error}"
        if why not in kept:
            found.append(why)
        kept.setdefault(why, []).append(name)
    return [_unanswered(one, kept[one]) if isinstance(one, str) else one for one in found]


def _unanswered(why: str, names: list[str]) -> Diagnosis:
    first, *others = names
    also = f"{'' if why.endswith('.') else '.'} Not checked for the same reason: {', '.join(others)}" if others else ""
    return Diagnosis(first, "fail", f"{why}{also}")


def worst(findings: Iterable[Diagnosis]) -> int:
    """Exit code: 0 all is well, 1 something deserves a look, 2 something is broken."""
    return max(({"ok": 0, "warn": 1, "fail": 2}[finding.level] for finding in findings), default=0)


async def tails(context: Checkup, topic: str, most: int) -> dict[int, list[Any]]:
    """The newest committed records of each partition, up to ``most``; none of a topic that does not exist."""
    found: dict[int, list[Any]] = defaultdict(list)
    async with context.consumer() as consumer:
        async for record in newest(consumer, topic, most):
            found[record.partition].append(record)
    return found
