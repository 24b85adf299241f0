"""What is fuzzed: for each target its seeds, and a function of bytes that raises nothing its caller does not expect."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from faust.types import TP

from schemas.clock import TickView
from stream_app.connect.relay.mapper import Mapper
from stream_app.connect.relay.maps import load_map, shipped, text_of
from stream_app.connect.relay.samples import Sample, samples
from stream_app.connect.relay.source import Unmappable
from stream_app.core import cells_codec, deltas, line_log
from stream_app.core.labels.stage import LabelsStage
from stream_app.engine.chunks import Chunk
from stream_app.engine.inbox import Clock
from stream_app.engine.protocol import Positions, decode_positions
from stream_app.errors import Incompatible, PlumblineError
from stream_app.kafka.record import Record
from stream_app.settings import Settings
from stream_app.simulator import Row, Simulator
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from tests.support import seeds

_GOLDEN: Final = Path(__file__).parents[1] / "golden" / "relay"
_NEEDED: Final = {"sagemaker-capture": {"model_type": "churn"}, "mlflow-inference-table": {"class": "leave"}}
_KNOWN: Final = Settings(environment="development", app_id="any", input_partitions=1, line_partitions=1)


def chain() -> Simulator:
    """Every stage, one partition each."""
    return Simulator(
        metrics_config(_KNOWN),
        drift_config(_KNOWN),
        retrain_config(_KNOWN, "ml.training-results"),
        alerts_config(_KNOWN),
        labels_config(_KNOWN).for_source(0),
    )


def _input(alias: str) -> Callable[[bytes], None]:
    stage = LabelsStage(labels_config(_KNOWN).for_source(0))
    tick = TickView(seeds.NOW_MS, True, "external", {}, 0)

    def read(value: bytes) -> None:
        stage.load(None, None)
        stage.accept(alias, [Row(alias, 0, 0, seeds.NOW_MS, b"p-1", value)], tick)
        stage.advance(tick)
        stage.drain()
        if sum(stage.memo.dispositions()[alias].values()) != 1:
            raise AssertionError("a record without a disposition")

    return read


def _ordered(give: str) -> Callable[[bytes], None]:
    sim = chain()
    at = [seeds.NOW_MS]

    def read(value: bytes) -> None:
        at[0] += 60_000
        getattr(sim, give)(value, at[0])
        sim.tick(at[0])

    return read


def _tick(value: bytes) -> None:
    clock = Clock(0, Positions({"clock": 0}), {})
    record: Any = Record("ml.clock", 0, 0, seeds.NOW_MS, 1, None, value)
    clock.put(Chunk(TP("ml.clock", 0), [record], 0, 1, 0))


def _map(name: str) -> Callable[[bytes], None]:
    found = load_map(name, _NEEDED.get(name))
    good = next(samples(_GOLDEN / f"{name}.jsonl"))

    def read(value: bytes) -> None:
        try:
            Mapper(found, 1 << 20).map(Sample(good.topic, 0, 0, good.timestamp, None, value, good.headers))
        except Unmappable:
            return

    return read


def _map_file(value: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(value)
        try:
            load_map(file.name)
        except Incompatible:
            return


def _stored(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def read(value: bytes) -> None:
        try:
            decode(value)
        except PlumblineError:
            return

    return read


def _values(name: str) -> Iterable[bytes]:
    return [sample.value or b"" for sample in samples(_GOLDEN / f"{name}.jsonl")]


_MSGPACK: Final = msgspec.msgpack.Encoder()

#: name → (its seeds, what reads)
TARGETS: Final[dict[str, tuple[Callable[[], Iterable[bytes]], Callable[[bytes], None]]]] = {
    "predictions": (lambda: [seeds.PREDICTION], _input("predictions")),
    "outcomes": (lambda: [seeds.OUTCOME], _input("outcomes")),
    "commands": (lambda: seeds.COMMANDS, _ordered("command")),
    "results": (lambda: seeds.RESULTS, _ordered("answer")),
    "ticks": (lambda: [seeds.TICK], _tick),
    "map-file": (lambda: [text_of(name).encode() for name in shipped()], _map_file),
    **{f"map-{name}": (lambda name=name: _values(name), _map(name)) for name in shipped()},
    "deltas": (lambda: [deltas.encode(deltas.DeltaRecord(0, [deltas.Part(0, closed=1)]))], _stored(deltas.decode)),
    "cells": (list, _stored(cells_codec.decode)),
    "log": (lambda: [line_log.encode(line_log.TickEntry(1, {}, [], {}))], _stored(line_log.decode)),
    "positions": (lambda: [b"\x01" + _MSGPACK.encode({"positions": {"clock": 1}})], _stored(decode_positions)),
}
