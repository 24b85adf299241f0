"""Whatever bytes a stored or internal value has, its decoder answers with a value, ``UnknownFormat`` or ``Broken``.

Decoders are found, not listed: everything in a module that declares a ``FORMAT`` and is called ``decode…``, and every
:class:`~stream_app.core.kit.codec.Codec`. What reads bytes under another name stands in ``OTHERS``.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stream_app
from stream_app.core.counts import cells_codec
from stream_app.core.hourly import hours_codec
from stream_app.core.kit.codec import Codec
from stream_app.core.labels import entry
from stream_app.core.metrics_stage import known_models, traffic
from stream_app.engine import protocol, store
from stream_app.errors import Broken, Incompatible, UnknownFormat
from stream_app.projection import fold, points
from tests.laws.examples import of_type
from tests.laws.test_laws import ARRAYS, LAWFUL, codecs

Decoder = Callable[[bytes], Any]

#: Readers of stored bytes that are called otherwise.
OTHERS: dict[str, Decoder] = {
    "labels entry, its day": entry.entry_day,
    "labels entry, as a whole": lambda value: entry.check(b"e1", value),
    "labelled count": lambda value: known_models._labelled(value, ("a:b", "v1")),
    "sum of cells": lambda value: cells_codec.add_up([value, value]),
    "several days by hours": lambda value: hours_codec.read_days([value, value]),
    "cell without scores": lambda value: cells_codec.decode(value, scores=False),
}
#: Values whose encodings are cut and changed, beside those that the other laws know.
VALUES: dict[str, bytes] = {
    "stream_app.engine.protocol.decode_positions": protocol.encode_positions(
        protocol.Positions({"clock": 7}, 5, {"t": 9}, {"a": "1"}, b"\x01memo")
    ),
    "stream_app.engine.store._meta": store._meta.encode(store.Meta("cluster", "topic", 1, 5, 6, b"\x01x")),
    "several days by hours": hours_codec.encode(np.arange(864, dtype=np.int64).reshape(24, 36)),
    "labels entry, its day": entry.PREDICTION.pack(1, 1, 20_000, 0, 0, 5, 0.5, 0.1, 0.9, 1) + b"fraud|acme|v1",
    "labels entry, as a whole": entry.PREDICTION.pack(1, 3, 20_000, 0, 7, 5, 0.5, 0.1, 0.9, 1) + b"fraud|acme|v1",
    "stream_app.core.metrics_stage.traffic._codec": traffic._codec.encode(
        traffic._Record({480_000: {"v1": 3, "v2": 40}}, 1_728_000_000_000, {"v1": 9})
    ),
    "labelled count": b"\x01" + (7).to_bytes(8, "little"),
    "stream_app.projection.points.decode": points.encode(
        points.Point("i", "t", "v", "drift", None, None, 0.5, None, [])
    ),
    "stream_app.projection.fold.decode": fold.encode(fold.State("a:b", "a", "b", "f1")),
}


def _decoders() -> dict[str, tuple[Any, Decoder]]:
    found: dict[str, tuple[Any, Decoder]] = {name: (None, decoder) for name, decoder in OTHERS.items()}
    for info in pkgutil.walk_packages(stream_app.__path__, "stream_app."):
        module = importlib.import_module(info.name)
        if not any(name.endswith("FORMAT") for name in vars(module)):
            continue
        mine = {
            name: value
            for name, value in vars(module).items()
            if name.startswith("decode")
            and getattr(value, "__module__", "stream_app.core.kit.codec") in (info.name, "stream_app.core.kit.codec")
        }
        found |= {f"{info.name}.{name}": (module, value) for name, value in mine.items()}
        public = {getattr(value, "__self__", None) for value in mine.values()}
        found |= {
            f"{info.name}.{name}": (module, value.decode)
            for name, value in vars(module).items()
            if isinstance(value, Codec) and value not in public
        }
    return found


DECODERS = _decoders()


def _format(name: str) -> int:
    module, decoder = DECODERS[name]
    codec = getattr(decoder, "__self__", None)
    if isinstance(codec, Codec):
        return codec.format
    if name.endswith(".decode_rows"):
        return int(module.ROWS_FORMAT)  # type: ignore[union-attr]  # a number of its own beside the module's codec
    if module is None:
        return cells_codec.FORMAT if "cell" in name else 1
    return int(module.FORMAT)  # type: ignore[attr-defined]


def _clean(decode: Decoder, value: bytes) -> None:
    with contextlib.suppress(UnknownFormat, Broken):
        decode(value)


def test_every_codec_is_found() -> None:
    assert len(DECODERS) >= 25
    assert set(VALUES) <= set(DECODERS)
    assert {f"{module.__name__}.decode" for module in codecs()} <= set(DECODERS)


@pytest.mark.parametrize("name", DECODERS)
def test_another_format_and_nothing_at_all_are_unknown_formats(name: str) -> None:
    _, decode = DECODERS[name]
    for value in (b"", *(bytes((n,)) + b"\x80" * 60 for n in range(256) if n != _format(name))):
        with pytest.raises(Incompatible) as refusal:
            decode(value)
        assert isinstance(refusal.value, UnknownFormat)
        assert "format" in str(refusal.value)


@pytest.mark.parametrize("name", DECODERS)
def test_a_damaged_body_is_a_broken_invariant_and_never_a_decoders_own_error(name: str) -> None:
    module, decode = DECODERS[name]
    head = bytes((_format(name),))
    codec = getattr(decode, "__self__", None)
    sound: st.SearchStrategy[bytes] = st.just(head)
    if name in VALUES:
        sound = st.just(VALUES[name])
    elif module is None:
        sound = ARRAYS[cells_codec.__name__].map(cells_codec.encode)
    elif module.__name__ in ARRAYS:
        sound = ARRAYS[module.__name__].map(module.encode)
    elif isinstance(codec, Codec):
        sound = of_type(codec.kind).map(codec.encode)

    @LAWFUL
    @given(sound, st.binary(max_size=80), st.integers(0, 10_000), st.integers(0, 255))
    def law(value: bytes, noise: bytes, at: int, other: int) -> None:
        at %= max(1, len(value))
        for bad in (
            value[:at], value + noise, head + noise, head + value[at:], value[:at] + noise + value[at:],
            value[:at] + bytes((other,)) + value[at + 1 :], head + b"\x91" * 20_000, head + b"\xdd\xff\xff\xff\xff",
            head + b"\xdb\xff\xff\xff\xff", head + b"\xa4\xff\xfe\xfd\xfc",
        ):  # fmt: skip
            _clean(decode, bad)

    law()


def test_an_error_names_the_key_under_which_the_value_stands() -> None:
    for name, (_, decode) in DECODERS.items():
        if isinstance(getattr(decode, "__self__", None), Codec):
            with pytest.raises(Broken, match="under key b'Xfraud:acme'"):
                decode(bytes((_format(name),)) + b"\xc1", b"Xfraud:acme")  # type: ignore[call-arg]
    with pytest.raises(Broken, match="under key b'C1'"):
        cells_codec.decode(b"\x02\x00", b"C1")
    with pytest.raises(Broken, match="under key b'e1'"):
        entry.check(b"e1", b"\x01\x01")
