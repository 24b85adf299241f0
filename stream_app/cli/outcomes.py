"""What becomes of a command: read after it was written, until every partition that it went to has answered.

The client of Kafka is imported when a command is sent: a shell that completes a word does without it.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from stream_app.commands.send import NewCommand
    from stream_app.kafka.clock_tail import ClockTail
    from stream_app.kafka.topics import Topics
    from stream_app.settings import Settings

#: Exit codes: done is 0.
REFUSED: Final = 1
NO_ANSWER: Final = 3

_WAIT: Final = "plumbline.wait_s"


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    if option.name == "wait" and value:
        context.meta.setdefault(_WAIT, 60.0)
    elif option.name == "timeout" and value is not None and _WAIT in context.meta:
        context.meta[_WAIT] = float(value)


def wait_options(command: Any) -> Any:
    """``--wait`` and ``--timeout``; :func:`waits` tells what was said."""
    command = click.option(
        "--timeout", type=click.FloatRange(0, 86_400), metavar="S", callback=_keep, expose_value=False,
        help="Seconds that --wait waits; 60 if not given.",
    )(command)  # fmt: skip
    return click.option(
        "--wait", is_flag=True, callback=_keep, expose_value=False, is_eager=True,
        help="Wait for what becomes of it: exit code 0 done, 1 refused, 3 no answer.",
    )(command)  # fmt: skip


def waits() -> float | None:
    """Seconds to wait for an answer; ``None``: not at all."""
    found: float | None = click.get_current_context().meta.get(_WAIT)
    return found


async def stands(settings: Settings) -> ClockTail:
    """Where the clock stands that a command waits for. ``Incompatible`` if topics have other partitions than are
    configured."""
    from aiokafka import TopicPartition

    from stream_app.kafka import clients
    from stream_app.kafka.admin import require_counts
    from stream_app.kafka.clock_tail import ClockTail, read_tail
    from stream_app.kafka.reach import started
    from stream_app.kafka.topics import topics_of

    bootstrap, options, topics = settings.kafka_bootstrap, settings.kafka_client_options(), topics_of(settings)
    await require_counts(bootstrap, options, topics)
    reader = clients.consumer(bootstrap, options, fetch_max_wait_ms=100)
    async with started(reader, bootstrap, options):
        if topics.model_clock not in await reader.topics():
            return ClockTail()
        count = topics.model_partitions
        return await read_tail(reader, [TopicPartition(topics.model_clock, partition) for partition in range(count)])


async def send_and_wait(settings: Settings, written: NewCommand, wait_s: float | None) -> list[dict[str, Any]]:
    """Write the command; what the partitions say of it within ``wait_s`` seconds, as far as they have."""
    from aiokafka import TopicPartition

    from stream_app.commands import send
    from stream_app.kafka import clients
    from stream_app.kafka.reach import started
    from stream_app.kafka.topics import topics_of

    topics = topics_of(settings)
    if wait_s is None:
        await send.send(settings, topics, [written])
        return []
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    reader = clients.consumer(bootstrap, options, fetch_max_wait_ms=100)
    async with started(reader, bootstrap, options):
        tps = [TopicPartition(topics.command_outcomes, partition) for partition in range(topics.model_partitions)]
        reader.assign(tps)
        for tp, end in (await reader.end_offsets(tps)).items():
            reader.seek(tp, end)
        await send.send(settings, topics, [written])
        return await _answers(reader, topics, written, wait_s)


async def _answers(reader: Any, topics: Topics, written: NewCommand, wait_s: float) -> list[dict[str, Any]]:
    import msgspec

    from schemas.operators import CommandOutcome
    from stream_app.kafka.arrived import decoded
    from stream_app.kafka.passed_by import readable

    decode = msgspec.json.Decoder(CommandOutcome).decode
    found: dict[int, dict[str, Any]] = {}
    wanted = topics.model_partitions if written.model == "*" else 1
    deadline = asyncio.get_running_loop().time() + wait_s
    while len(found) < wanted and (left := deadline - asyncio.get_running_loop().time()) > 0:
        for batch in (await reader.getmany(timeout_ms=int(1_000 * min(left, 0.5)))).values():
            for record in readable(batch):
                if record.key == written.id.encode() and decoded(decode, record) is not None:
                    row = json.loads(record.value)
                    found[row["partition"]] = row
    return [found[partition] for partition in sorted(found)] if len(found) == wanted else []


def tell(found: list[dict[str, Any]], wait_s: float) -> None:
    """Say what became of it; ends the command with its exit code unless it is done."""
    if not found:
        click.echo(f"no answer within {wait_s:.0f} s: `plumbline doctor` says whether time goes on", err=True)
        raise SystemExit(NO_ANSWER)
    done = any(row["state"] == "done" for row in found)
    said = dict.fromkeys(
        f"{effect['stage']}: {effect['effect']}"
        for row in found
        for effect in row["effects"]
        if effect["state"] == ("done" if done else "refused")
    )
    click.echo("\n".join([("done" if done else "refused"), *(f"  {line}" for line in said)]))
    if not done:
        raise SystemExit(REFUSED)
