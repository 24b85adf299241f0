"""Settings of file, environment and profile as commands (CONTRACT section 6).

Whoever leads the clock says at its start what differs from what was announced last, so an edit and a restart take
effect at a known place in the log, and a replay that follows the recorded ticks meets the same settings there. What
was announced stands in the commands themselves: nothing else has to be remembered.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec

from schemas import bounds
from schemas.operators import OperatorCommand
from stream_app.commands.send import NewCommand, new_command, oversized, send
from stream_app.core.kit import changes
from stream_app.errors import Incompatible
from stream_app.kafka.reading import records
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings, announcements

ACTOR: Final = "settings-file"

#: Commands read before the loop's other tasks have their turn; some 5 ms.
AT_ONCE: Final = 100

_decoder = msgspec.json.Decoder(OperatorCommand)

log = logging.getLogger(__name__)


async def announce(settings: Settings, topics: Topics) -> int:
    """Command what differs from the last announcement; returns how many settings that are."""
    # in a thread: a file may speak of 100,000 models, and this runs in a worker's loop
    wanted = await asyncio.to_thread(announcements, settings)
    known = await _announced(settings, topics)
    differs = await asyncio.to_thread(_differences, wanted, known)
    if differs:
        reason = f"as file, environment and profile say ({settings.environment})"
        commands = [command for model in differs for command in split(model, differs[model], reason)]
        await send(settings, topics, commands)
        log.info("announced %d changed settings", sum(map(len, differs.values())))
    return sum(map(len, differs.values()))


def _differences(wanted: dict[tuple[str, str], Any], known: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Model or ``*`` → key → what it is to be; ``None``: as if it had never been set."""
    differs: dict[str, dict[str, Any]] = {}
    for model, key in sorted({*wanted, *known}):
        value = wanted.get((model, key))
        if value != known.get((model, key)):
            differs.setdefault(model, {})[key] = value
    return differs


def split(model: str, values: dict[str, Any], reason: str) -> list[NewCommand]:
    """``set`` commands that say these values, each below the bound of a command.

    What belongs to one model type, and what holds for all, stays together as far as it can: some settings are only
    possible together. Raises ``Incompatible``, with the setting's name, for a value that no command holds.
    """
    made = new_command(model, "set", {"values": values}, ACTOR, reason)
    if oversized(made) is None:
        return [made]
    if len(values) == 1:
        raise Incompatible(
            f"{next(iter(values))} of {model} is too long: written as JSON a setting has to fit a command of "
            f"{bounds.COMMAND} bytes"
        )
    keys = sorted(values, key=lambda key: (key.rpartition(".")[0], key))
    middle = len(keys) // 2
    owners = [key.rpartition(".")[0] for key in keys]
    # cut between two owners, as near to the middle as there is one
    between = [i for i in range(1, len(keys)) if owners[i] != owners[i - 1]]
    cut = min(between, key=lambda i: abs(i - middle)) if between else middle
    return [
        command
        for part in (keys[:cut], keys[cut:])
        for command in split(model, {key: values[key] for key in part}, reason)
    ]


async def _announced(settings: Settings, topics: Topics) -> dict[tuple[str, str], Any]:
    """(model or ``*``, key) → value as it was announced last."""
    known: dict[tuple[str, str], Any] = {}
    options = settings.kafka_client_options()
    count = 0
    async for record in records(settings.kafka_bootstrap, options, topics.operator_commands):
        count += 1
        if not count % AT_ONCE:
            await asyncio.sleep(0)
        try:
            command = _decoder.decode(record.value or b"")
            # one for all models stands in every partition, and each has it in the same order
            if command.actor == ACTOR and command.command == "set" and (command.model != "*" or record.partition == 0):
                found = changes.of(command)
                known |= {(found.model, key): value for key, value in found.values.items()}
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue  # what nobody could read announced nothing; metrics dead-letters it
    return {key: value for key, value in known.items() if value is not None}
