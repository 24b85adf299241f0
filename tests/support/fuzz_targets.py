"""What is fuzzed: for each target its seeds, and a function of bytes that raises nothing its caller does not expect."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard
from faust.types import TP

from schemas.clock import TickView
from stream_app.core import model_log
from stream_app.core.counts import cells, cells_codec, deltas
from stream_app.core.counts.cells import Cell, DriftNote
from stream_app.core.labels import entry as labels_entry
from stream_app.core.labels.stage import LabelsStage
from stream_app.engine.chunks import Chunk
from stream_app.engine.inbox import Clock
from stream_app.engine.lane_driver import Row
from stream_app.engine.protocol import Positions, decode_positions
from stream_app.errors import Broken, Incompatible, UnknownFormat
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import load_map, shipped, text_of
from stream_app.ingest.relay.samples import Sample, samples
from stream_app.ingest.relay.source import Unmappable
from stream_app.kafka.record import Record
from stream_app.projection import fold, points
from stream_app.reference.artefacts import CARD
from stream_app.reference.registry import FolderRegistry
from stream_app.settings import Settings
from stream_app.simulator import Simulator
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from tests.support import seeds

_GOLDEN: Final = Path(__file__).parents[1] / "golden" / "relay"
_NEEDED: Final = {"sagemaker-capture": {"model_type": "churn"}, "mlflow-inference-table": {"class": "leave"}}
#: where files that live for microseconds are best kept
_IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
_KNOWN: Final = Settings(environment="development", app_id="any", input_partitions=1, model_partitions=1)


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
        if sum(stage.lane_state.dispositions()[alias].values()) != 1:
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


def _stored(*decoders: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Each reads the bytes; another format and a broken body are all that may leave it."""

    def read(value: bytes) -> None:
        for decode in decoders:
            with contextlib.suppress(UnknownFormat, Broken):
                decode(value)

    return read


def _cell_packed(value: bytes) -> bytes:
    """A cell whose frames are sound and hold whatever comes: chance never finds its way through Zstandard."""
    if len(value) < 20:
        return value
    at = 20 + int.from_bytes(value[18:20], "little")
    vector = _zip(value[20:at])
    return b"".join((value[:18], len(vector).to_bytes(2, "little"), vector, _zip(value[at:])))


def _cells() -> Iterable[bytes]:
    """Cells of few and of more scores, with and without what a check found."""
    for rows, note in ((1, None), (3, DriftNote(0.1, None, -0.2, True)), (200, DriftNote(None, 0.5, None, None))):
        scores = [number / rows for number in range(rows)]
        columns = deltas.aggregate([0] * rows, [number % deltas.KINDS for number in range(rows)], scores, [1] * rows)
        yield cells_codec.encode(Cell(cells.changes(1, columns, [])[0], seeds.NOW_MS, rows, rows == 3, note))


def _cells_unpacked() -> Iterable[bytes]:
    """The same, as :func:`_cell_packed` takes them."""
    for value in list(_cells())[:1]:
        size = int.from_bytes(value[18:20], "little")
        vector, scores = _unzip(value[20 : 20 + size]), _unzip(value[20 + size :])
        yield b"".join((value[:18], len(vector).to_bytes(2, "little"), vector, scores))


def _deltas() -> Iterable[bytes]:
    cell, kind, score, count = (
        x.tobytes() for x in deltas.aggregate([0, 0, 1], [0, 3, 5], [0.1, 0.1, 0.9], [1, 1, -1])
    )
    yield deltas.encode(deltas.DeltaRecord(0, [deltas.Part(0, closed=1)]))
    part = deltas.Part(
        1, 2, {"ml.predictions": 7}, {"predictions": {"joined": 1}},
        [deltas.CellId("churn:acme", "v1", 480_000), deltas.CellId("churn:acme", "v2", 480_024)],
        cell, kind, score, count, [deltas.Intervals(1, 1, 5, 1)], [deltas.HourCount("churn:acme", "v1", 480_000, 3)],
    )  # fmt: skip
    yield deltas.encode(deltas.DeltaRecord(2, [part]))


def _log() -> Iterable[bytes]:
    model = ("churn:acme", "v1")
    entries: list[model_log.Entry] = [
        model_log.TickEntry(1, {"p": {0: 1}}, [("metrics", 7)], {"predictions": {"joined": 1}}),
        model_log.SnapshotEntry(*model, 1, 1, 7, 3),
        model_log.LifecycleEntry(*model, None, "observed", 1),
        model_log.StatisticalEntry(*model, 1, 1, 1, model_log.BaselineEntry("window", 1, 2, 1), [], "x"),
        model_log.QualityEntry(*model, 1, 1, model_log.BaselineEntry(), [], "x"),
        model_log.ProbationEntry(*model, "v0", 1, 1, 1, [], "x"),
        model_log.LabelledEntry([(*model, 7)]),
        model_log.CommandEntry(model=model[0], command="set", id="c", values={"drop_points": 5.5}),
        model_log.ResultEntry(model=model[0], command_id="c", status="accepted", attempt=1),
        model_log.DecisionEntry(model[0], "e", True, [("cooldown", True, "")]),
    ]
    yield from map(model_log.encode, entries)


def _card(value: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
        path = Path(folder, "churn@acme", "v1")
        path.mkdir(parents=True)
        (path / CARD).write_bytes(value)
        (path.parent / "active.json").write_bytes(value)
        registry = FolderRegistry(Path(folder))
        for ask in (
            lambda: registry.card(seeds.MODEL, "v1"),
            lambda: registry.active(seeds.MODEL),
            lambda: registry.served(seeds.MODEL, "v1"),
        ):
            with contextlib.suppress(Incompatible):
                ask()


def _values(name: str) -> Iterable[bytes]:
    return [sample.value or b"" for sample in samples(_GOLDEN / f"{name}.jsonl")]


_MSGPACK: Final = msgspec.msgpack.Encoder()
_zip: Final = zstandard.ZstdCompressor(level=1).compress
_unzip: Final = zstandard.ZstdDecompressor().decompress
_ENTRY: Final = labels_entry.PREDICTION.pack(1, 3, 20_000, 0, 7, 5, 0.5, 0.1, 0.9, 1) + b"fraud|acme|v1"

#: name → (its seeds, what reads)
TARGETS: Final[dict[str, tuple[Callable[[], Iterable[bytes]], Callable[[bytes], None]]]] = {
    "predictions": (lambda: [seeds.PREDICTION], _input("predictions")),
    "outcomes": (lambda: [seeds.OUTCOME], _input("outcomes")),
    "commands": (lambda: seeds.COMMANDS, _ordered("command")),
    "results": (lambda: seeds.RESULTS, _ordered("answer")),
    "ticks": (lambda: [seeds.TICK], _tick),
    "map-file": (lambda: [text_of(name).encode() for name in shipped()], _map_file),
    **{f"map-{name}": (partial(_values, name), _map(name)) for name in shipped()},
    "entries": (
        lambda: [_ENTRY, _ENTRY[: labels_entry.BODY_AT]],
        _stored(labels_entry.entry_day, lambda value: labels_entry.check(b"e1", value)),
    ),
    "deltas": (_deltas, _stored(deltas.decode)),
    "cells": (
        _cells,
        _stored(cells_codec.decode, lambda value: cells_codec.decode(value, scores=False), cells_codec.folded_to),
    ),
    "cells-inside": (
        _cells_unpacked,
        _stored(
            lambda value: cells_codec.decode(_cell_packed(value)),
            lambda value: cells_codec.add_up([_cell_packed(value)] * 2),
        ),
    ),
    "log": (_log, _stored(model_log.decode)),
    "positions": (lambda: [b"\x01" + _MSGPACK.encode({"positions": {"clock": 1}})], _stored(decode_positions)),
    "states": (lambda: [fold.encode(fold.State("a:b", "a", "b", "f1"))], _stored(fold.decode)),
    "points": (
        lambda: [points.encode(points.Point("i", "t", "v", "drift", None, None, 0.5, None, []))],
        _stored(points.decode),
    ),
    "cards": (lambda: [b'{"version": "v1", "sha256": "ab", "rows": 7, "champion": {"f1": 0.5}}'], _card),
}
