"""What a lane asks of the engine, and what it checks before it trusts a position."""

from __future__ import annotations

from typing import Protocol

from faust.types import TP

from stream_app.engine.protocol import Positions, StageSpec
from stream_app.errors import Incompatible

Bounds = dict[TP, tuple[int, int]]


class Host(Protocol):
    """The engine, as its lanes see it."""

    async def seek(self, tp: TP, offset: int) -> int: ...
    async def log_bounds(self, tps: list[TP]) -> Bounds: ...
    async def group_offsets(self, tps: list[TP]) -> dict[TP, int]: ...
    def gate(self, tps: set[TP], opened: bool) -> None: ...
    def pause(self, tp: TP) -> None: ...
    def resume(self, tp: TP) -> None: ...
    async def still_ours(self, since: float) -> None: ...
    async def identify(self, spec: StageSpec) -> dict[str, str]: ...
    def fatal(self, error: BaseException) -> None: ...


async def first_positions(
    spec: StageSpec, partition: int, inputs: dict[str, TP], bounds: Bounds, host: Host
) -> Positions:
    """Without state: the log's start, unless the group has been further, for then the state is lost."""
    known = await host.group_offsets(list(inputs.values()))
    if known:
        tp, offset = min(known.items())
        raise Incompatible(
            f"{spec.changelog}[{partition}] is empty, but the application has read {tp.topic}[{tp.partition}] up to "
            f"{offset}: the state was lost. Start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX, "
            "which rebuilds everything from the input topics."
        )
    return Positions({alias: bounds[tp][0] for alias, tp in inputs.items()})


def check_bounds(spec: StageSpec, state: Positions, inputs: dict[str, TP], bounds: Bounds) -> None:
    """Raise :class:`Incompatible` if a log no longer holds a position, or does not reach end offsets."""
    for alias, tp in inputs.items():
        begin, end = bounds[tp]
        position = state.positions.get(alias, -1)
        if position < begin:
            raise Incompatible(
                f"{tp.topic}[{tp.partition}]: {spec.name} stands at offset {position}, the log starts at {begin}: "
                "records were deleted before they were read. Raise the topic's retention; to go on without them start "
                "afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX."
            )
        if max(position, state.end_offsets.get(alias, 0)) > end:
            raise Incompatible(
                f"{tp.topic}[{tp.partition}]: {spec.name} stands at offset {position}, the log ends at {end}: the "
                "topic was made anew or truncated. Use a new PLUMBLINE_INPUT_PREFIX and PLUMBLINE_APP_ID."
            )
