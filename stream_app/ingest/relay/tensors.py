"""Tensors of the Open Inference Protocol (V2): ``{name, shape, datatype, data}``, data flat or nested, row by row."""

from __future__ import annotations

from math import prod
from typing import Any

from stream_app.ingest.relay.words import Fault, fractions, shown


def named(tensors: Any, name: Any) -> Any:
    """The tensor with a name; with no name the first."""
    if not isinstance(tensors, list) or not tensors:
        raise Fault(f"{shown(tensors)} is no list of tensors")
    if not name:
        return tensors[0]
    for tensor in tensors:
        if isinstance(tensor, dict) and tensor.get("name") == name:
            return tensor
    raise Fault(f"no tensor is named {shown(name)}")


def rows(tensor: Any) -> list[Any]:
    """One item for each row of the batch: a number where a row has one value, else a list."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("data"), list):
        raise Fault(f"{shown(tensor)} is no tensor with its data in JSON")
    shape, data = tensor.get("shape"), tensor["data"]
    if not isinstance(shape, list) or not shape or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise Fault(f"shape {shown(shape)} is no list of sizes")
    flat = _flat(data)
    if len(flat) != prod(shape):
        raise Fault(f"shape {shown(shape)} does not fit {len(flat)} values")
    if str(tensor.get("datatype")).startswith("FP") and int in set(map(type, flat)):
        flat = fractions(flat)
    width = prod(shape[1:])
    if width == 1:
        return flat
    return [flat[at : at + width] for at in range(0, len(flat), width)] if width else []


def columns(tensors: Any) -> list[dict[str, Any]]:
    """One object for each row of the batch, from the inputs of a request; wide inputs become name_0, name_1, …"""
    found: list[dict[str, Any]] = []
    for tensor in tensors if isinstance(tensors, list) else []:
        for number, row in enumerate(rows(tensor)):
            if number == len(found):
                found.append({})
            name = str(tensor.get("name", "x"))
            wide = isinstance(row, list)
            found[number].update({f"{name}_{at}": item for at, item in enumerate(row)} if wide else {name: row})
    return found


def _flat(data: list[Any]) -> list[Any]:
    if data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise Fault(f"{shown(data)} is nested here and flat there")
        return [value for part in data for value in _flat(part)]
    return data
