"""What became of each command of an epoch, gathered from the stages and published at its tick.

The alerts lane is the last in the chain: what stands in its log has passed every stage before. Each stage reports its
own effect; a command that a stage hands on has none there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from schemas import bounds
from schemas.alerts import MuteWindow
from schemas.common import ce_headers, encode, rfc3339, uuid5
from schemas.operators import CommandEffect, CommandOutcome
from stream_app.core import model_log
from stream_app.core.alerts import state
from stream_app.core.alerts.rules import AlertsConfig
from stream_app.core.alerts.state import Gathered
from stream_app.core.kit.effects import Emit
from stream_app.core.kit.timers import BATCH
from stream_app.core.kit.unit_of_work import UnitOfWork

OUTCOMES: Final = "command-outcomes"

#: Effects of one command, and bytes of each: three stages, and what a repetition adds.
EFFECTS, TEXT = 8, 1_000


class CommandOutcomes:
    """Commands of the epoch in hand, by id, in the stage's table."""

    def __init__(self, config: AlertsConfig, partition: int, work: UnitOfWork) -> None:
        self._config = config
        self._partition = partition
        self._work = work

    def begin(self, found: model_log.CommandEntry) -> bool:
        """A command came; ``False`` if it came before in this epoch."""
        key = state.command_key(found.id)
        if self._work.get([key])[0] is not None:
            return False
        terms = found.mute
        scope = (terms.model_type or found.model) if terms is not None else None
        reason = bounds.cut(found.reason, model_log.TEXT)
        self._work.put(
            key, state.encode_gathered(Gathered(found.id, found.model, found.command, found.actor, reason, scope))
        )
        return True

    def report(self, command_id: str, stage: str, done: bool, text: str) -> None:
        """A stage says what it did about a command of this epoch."""
        key = state.command_key(command_id)
        value = self._work.get([key])[0]
        if value is None:
            return
        known = state.decode_gathered(value, key)
        effect = (stage, done, bounds.cut(text, TEXT))
        if effect not in known.effects and len(known.effects) < EFFECTS:
            self._work.put(key, state.encode_gathered(replace(known, effects=(*known.effects, effect))))

    def publish(self, now_ms: int, mutes_of: Callable[[str], list[MuteWindow]]) -> None:
        """At the tick: say what became of them."""
        while batch := self._work.scan(state.COMMAND, None, BATCH):
            for key, value in batch:
                self._work.emit(self._record(state.decode_gathered(value, key), now_ms, mutes_of))
                self._work.put(key, None)

    def _record(self, known: Gathered, now_ms: int, mutes_of: Callable[[str], list[MuteWindow]]) -> Emit:
        refused = [text for _, done, text in known.effects if not done]
        done = len(refused) < len(known.effects) or not refused
        model_type, _, tenant = known.model.partition(":")
        id = uuid5("command-outcome", known.id, str(self._partition))
        record = CommandOutcome(
            schema="io.plumbline.command-outcome.v1",
            id=id,
            at=rfc3339(now_ms),
            model=known.model,
            model_type=model_type,
            tenant_id=tenant if known.model != "*" else "*",
            command_id=known.id,
            command=known.command,  # type: ignore[arg-type]
            actor=known.actor,
            reason=known.reason,
            state="done" if done else "refused",
            effects=[
                CommandEffect(stage, "done" if ok else "refused", text)  # type: ignore[arg-type]
                for stage, ok, text in known.effects
            ],
            refused_because=refused[0] if not done else UNSET,
            partition=self._partition,
            partitions=self._config.model_partitions,
            mutes_of=known.mutes_of or UNSET,
            mutes=mutes_of(known.mutes_of) if known.mutes_of is not None else UNSET,
        )
        headers = ce_headers("command-outcome", id, known.model, now_ms, self._config.source)
        return Emit(OUTCOMES, self._partition, known.id.encode(), encode(record), headers)
