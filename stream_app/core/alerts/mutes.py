"""The mutes of a partition: of single models and of model types, as commands made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from schemas import bounds
from schemas.alerts import MuteWindow
from schemas.common import rfc3339
from stream_app.core.alerts import facts, state
from stream_app.core.alerts.state import Mute
from stream_app.core.kit.days import DAY_MS
from stream_app.core.kit.unit_of_work import UnitOfWork

#: Longest mute. What is muted for longer is a setting, or nobody's alert.
LONGEST_MS: Final = 30 * DAY_MS
#: How far ahead a mute can be planned.
AHEAD_MS: Final = 90 * DAY_MS
#: Mutes that hold or are planned at a time for one model or one type.
MOST: Final = 16
#: Bytes kept of the reason of one.
REASON: Final = 1_000


class Mutes:
    """Mutes in the stage's table."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        #: whether there are any; as a rule there are none, and then nothing is read
        self._any = bool(work.scan(state.MUTE, None, 1))

    def of(self, model: str) -> tuple[Mute, ...]:
        """Those of a model and of its type."""
        if not self._any:
            return ()
        keys = [state.mute_key(model), state.mute_key(model.partition(":")[0])]
        return tuple(mute for value in self._work.get(keys) if value is not None for mute in state.decode_mutes(value))

    def windows(self, scope: str) -> list[MuteWindow]:
        """Those of a model, or of a type, as they are published."""
        value = self._work.get([state.mute_key(scope)])[0]
        return [_window(scope, mute) for mute in (state.decode_mutes(value) if value is not None else ())]

    def change(self, fact: facts.Muted, now_ms: int) -> str:
        """Mute, or lift what is muted. Says what it did; ``ValueError`` says why it cannot be."""
        if fact.unusable is not None:
            raise ValueError(fact.unusable)
        scope = fact.scope
        value = self._work.get([state.mute_key(scope)])[0]
        known = [m for m in (state.decode_mutes(value) if value is not None else ()) if m.until_ms > now_ms]
        text = self._mute(known, fact, now_ms) if fact.command == "mute" else _lift(known, fact, scope)
        self._any = self._any or bool(known)
        self._work.put(state.mute_key(scope), state.encode_mutes(tuple(known)) if known else None)
        return text

    def _mute(self, known: list[Mute], fact: facts.Muted, now_ms: int) -> str:
        begin = max(fact.from_ms, now_ms) if fact.from_ms is not None else now_ms
        if fact.until_ms <= begin:
            raise ValueError(f"over_already: it would end {rfc3339(fact.until_ms)}, before it begins")
        if fact.until_ms - begin > LONGEST_MS:
            raise ValueError("too_long: a mute lasts 30 days at most; a threshold or a flag is a setting")
        if begin - now_ms > AHEAD_MS:
            raise ValueError("too_far: a mute begins 90 days ahead at most")
        if len(known) >= MOST:
            raise ValueError(f"too_many: {fact.scope} has {MOST} mutes that hold or are planned; lift some first")
        reason = bounds.cut(fact.reason, REASON)
        known.append(Mute(fact.kinds, begin, fact.until_ms, fact.actor, reason, fact.command_id[: state.ID]))
        return f"muted {_about(fact.kinds)} from {rfc3339(begin)} until {rfc3339(fact.until_ms)}: {fact.reason}"


def _lift(known: list[Mute], fact: facts.Muted, scope: str) -> str:
    """Take mutes back: all, or those of some kinds; one of more kinds goes on for the others."""
    lifted = 0
    left: list[Mute] = []
    for mute in known:
        if fact.kinds and not mute.kinds:
            raise ValueError("all_kinds: a mute of all kinds holds; lift it whole, without naming kinds")
        rest = tuple(kind for kind in mute.kinds if fact.kinds and kind not in fact.kinds)
        lifted += rest != mute.kinds or not rest
        if rest:
            left.append(Mute(rest, mute.from_ms, mute.until_ms, mute.actor, mute.reason, mute.command_id))
    if not lifted:
        raise ValueError(f"not_muted: nothing mutes {_about(fact.kinds)} of {scope}")
    known[:] = left
    return f"lifted {lifted} mutes of {_about(fact.kinds)}: {fact.reason}"


def _about(kinds: Sequence[str]) -> str:
    return ", ".join(kinds) if kinds else "everything"


def _window(scope: str, mute: Mute) -> MuteWindow:
    one = ":" in scope
    return MuteWindow(
        model=scope if one else UNSET,
        model_type=scope if not one else UNSET,
        kinds=list(mute.kinds),  # type: ignore[arg-type]
        from_=rfc3339(mute.from_ms),
        until=rfc3339(mute.until_ms),
        actor=mute.actor,
        reason=mute.reason,
        command_id=mute.command_id,
    )
