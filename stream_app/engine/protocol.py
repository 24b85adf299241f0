"""What a stage is to the engine: an object that takes records and ticks and says, as data, what to write.

The types are structural: core satisfies them without knowing the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from schemas import bounds
from schemas.clock import TickView
from stream_app.core.kit.codec import Codec
from stream_app.engine.segmenting import Segmenting

POSITIONS_FORMAT = 3

#: Changelog key of the positions record; stages never use a key that starts with a zero byte.
POSITIONS_KEY = b"\x00positions"

EmitTuple = tuple[str, int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]


class CommittedTable(Protocol):
    """Committed state, as :class:`~stream_app.engine.store.Store` gives it."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...
    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]: ...


class DrainedEffects(Protocol):
    """Effects of a stage for one transaction."""

    @property
    def puts(self) -> dict[bytes, bytes | None]: ...
    @property
    def emits(self) -> Sequence[EmitTuple]: ...
    @property
    def lane_state(self) -> bytes: ...


class Stage(Protocol):
    """One partition of a stage. Thrown away and loaded anew after anything but a clean checkpoint.

    ``accept`` returns how many of the records it has handled. Fewer than all: of the next one, a part that is worth a
    checkpoint; it is handed in again after that.
    """

    live: bool

    def load(self, lane_state: bytes | None, table: Any) -> None: ...
    def accept(self, alias: str, batch: Sequence[Any], tick: TickView | None) -> int: ...
    def waiting_for(self, tick: TickView) -> str | None: ...
    def advance(self, tick: TickView) -> bool: ...
    def drain(self) -> DrainedEffects: ...


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage as the engine runs it. ``gated`` and ``ungated`` map the stage's aliases to topic names.

    A stage without a clock reads a log that carries its ticks in order: everything is taken as it comes.
    """

    name: str
    partitions: int
    clock: str | None
    gated: dict[str, str]
    ungated: dict[str, str]
    #: alias of an output → (topic name, partitions)
    outputs: dict[str, tuple[str, int]]
    #: makes the stage object of a partition
    make: Callable[[int], Stage]
    changelog: str
    #: makes the dead-lettered record of (record, stage, reason, error), for clock records that cannot be read
    dead_letter: Callable[[Any, str, str, str], EmitTuple]
    segmenting: Segmenting | None = None
    #: records taken in one go and in one checkpoint, where what they cause is large; else the engine's limit
    most_records: int | None = None

    def __post_init__(self) -> None:
        if self.gated and self.clock is None:
            raise ValueError(f"{self.name}: inputs are gated by a clock, and it has none")

    def inputs(self) -> dict[str, str]:
        """Every input topic by alias, the clock as ``clock``."""
        return {**self.gated, **self.ungated, **({"clock": self.clock} if self.clock is not None else {})}

    def by_alias(self, end_offsets: dict[str, int]) -> dict[str, int]:
        """Of end offsets by topic name those of the gated inputs, by alias."""
        return {alias: end_offsets[topic] for alias, topic in self.gated.items() if topic in end_offsets}

    def by_topic(self, end_offsets: dict[str, int]) -> dict[str, int]:
        """Inverse of :meth:`by_alias`."""
        return {self.gated[alias]: offset for alias, offset in end_offsets.items() if alias in self.gated}


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits of the engine. Seconds and bytes as named."""

    group: str
    bootstrap: str
    cluster: str
    data_dir: Path
    kafka_options: dict[str, Any] = field(default_factory=dict)
    #: longest time a Kafka transaction may stay open before the broker aborts it
    transaction_timeout_s: float = 10.0
    session_timeout_s: float = 6.0
    #: shortest time between two checkpoints of a lane that is not full
    checkpoint_interval_s: float = 0.1
    #: events after which a lane checkpoints at once; bounds memory and the length of a transaction
    max_checkpoint_events: int = 12_000
    #: fetched bytes a lane holds for each input partition before it asks for no more
    lane_buffer_bytes: int = 4 << 20
    #: a store older than this may have missed tombstones: half of Kafka's ``delete.retention.ms`` as we set it
    max_store_age_ms: int = 7 * 86_400_000 // 2
    #: largest changelog or output batch of several records; below the broker's ``message.max.bytes``
    max_batch_bytes: int = bounds.BATCH
    #: ``max.message.bytes`` of the topics that are made with another than Kafka's own
    message_limits: dict[str, int] = field(default_factory=dict)
    #: what the state must have been written with (partition counts, horizons, …): name → value
    static: dict[str, str] = field(default_factory=dict)
    #: topic of the output prefix' owner; without one nobody is asked
    owner_topic: str = ""
    #: settings read at start, which all workers that run at the same time must agree on: name → value
    at_start: dict[str, str] = field(default_factory=dict)
    #: how often topic ids and partition counts are asked for, and the claim
    identity_interval_s: float = 15.0
    owner_interval_s: float = 30.0
    #: what figures tell published records apart by: (alias, value, headers) → values of its labels
    describe: Callable[[str, bytes | None, list[tuple[str, bytes]]], tuple[str, ...]] = lambda alias, value, headers: ()


class Positions(msgspec.Struct):
    """The positions record: where every input stands, and the state of the lane. One a checkpoint, in the changelog."""

    positions: dict[str, int]
    #: last tick handled, epoch ms
    tick: int = 0
    #: highest end offset that a tick has named, by alias of the gated input
    end_offsets: dict[str, int] = {}
    static: dict[str, str] = {}
    #: topic ids of the inputs and the changelog by alias, where the cluster has any
    ids: dict[str, str] = {}
    #: whether the last tick was a live one: simulated ones are refused after it
    live: bool = False
    lane_state: bytes = b""


_positions: Final = Codec[Positions](Positions, POSITIONS_FORMAT, "positions record")
encode_positions, decode_positions = _positions.encode, _positions.decode
