"""Settings that changed at run time, as keys of their stage's table: the same in metrics, drift, retrain and alerts.

====================  ==============================================================================================
key                   value and growth
====================  ==============================================================================================
``V*``                values set for all models; one record, as large as the commands that set it
``Vt`` + model type   values set for a type; at most 1,000, about 100 bytes each, 4 kB if every setting is set
``Vm`` + model        a model's own values; at most 100,000 settings in a partition, about 50 bytes each
``V#``                how many settings of single models there are, and by which of their values a stage has to be able
                      to find them; one record, at most some 5 kB
====================  ==============================================================================================

Each value: one format byte, then MessagePack of a map from name to value, names in order.
"""

from __future__ import annotations

from typing import Any, Final

from stream_app.core.kit.codec import Codec

FORMAT: Final = 1

EVERYWHERE: Final = b"V*"
TOTALS: Final = b"V#"
TYPE: Final = b"Vt"
MODEL: Final = b"Vm"

_codec: Final = Codec[dict[str, Any]](dict[str, Any], FORMAT, "changed settings")


def type_key(model_type: str) -> bytes:
    """Key of a type's values."""
    return TYPE + model_type.encode()


def model_key(model: str) -> bytes:
    """Key of a model's own values."""
    return MODEL + model.encode()


def encode(values: dict[str, Any]) -> bytes:
    """Stored bytes; equal values give equal bytes."""
    return _codec.encode({name: values[name] for name in sorted(values)})


def decode(value: bytes, key: bytes = b"") -> dict[str, Any]:
    """Inverse of :func:`encode`; ``UnknownFormat`` or ``Broken``. Lists come back as tuples."""
    found = _codec.decode(value, key)
    return {name: tuple(held) if isinstance(held, list) else held for name, held in found.items()}
