"""Generate the reference: a JSON Schema for each record and one AsyncAPI document.

``python -m schemas.generate`` writes them into docs/reference/schemas; a test fails when they are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from schemas import deadletters
from schemas.catalogue import FAMILIES, Family, records

TARGET: Final = Path(__file__).parents[1] / "docs" / "reference" / "schemas"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CONSTANT: Final = {"ce_specversion": "1.0", "content-type": "application/json"}


def documents() -> dict[str, bytes]:
    """File name → bytes of every generated document."""
    found = {f"{name}.schema.json": _json(_schema(name, record)) for name, record in sorted(records().items())}
    found["asyncapi.json"] = _json(asyncapi())
    return found


def write(target: Path) -> list[str]:
    """Write what differs into ``target``; returns the names written. Removes nothing: a test names leftovers."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = documents()
    touched = []
    for name, content in wanted.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
            touched.append(name)
    return touched


def _schema(name: str, record: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema of one record, complete in itself."""
    definitions = msgspec.json.schema(record)["$defs"]
    own = definitions.pop(record.__name__)
    return {
        "$schema": _DIALECT,
        "$id": f"urn:plumbline:schema:{name}:v1",
        **own,
        "title": name,
        **({"$defs": definitions} if definitions else {}),
    }


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0: channels are topics under their default prefix, messages carry key and headers."""
    _, schemas = msgspec.json.schema_components(records().values(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Plumbline",
            "version": "1.0.0",
            "description": (
                "Topics of Plumbline under the default prefix `ml.`, which settings change. JSON in UTF-8; unknown "
                "fields are ignored; the wire grows by addition."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {family.topic: _channel(family) for family in FAMILIES},
        "operations": {_operation(family): _do(family) for family in FAMILIES},
        "components": {
            "messages": {family.topic: _message(family) for family in FAMILIES},
            "schemas": schemas,
        },
    }


def _channel(family: Family) -> dict[str, Any]:
    # The binding knows these two and no timestamp type; that one stands in the description.
    configuration: dict[str, Any] = {"cleanup.policy": list(family.cleanup)}
    if family.retention_ms is not None:
        configuration["retention.ms"] = family.retention_ms
    return {
        "address": f"ml.{family.topic}",
        "description": family.about,
        "messages": {family.name: {"$ref": f"#/components/messages/{family.topic}"}},
        "bindings": {"kafka": {"topicConfiguration": configuration, "bindingVersion": "0.5.0"}},
    }


def _message(family: Family) -> dict[str, Any]:
    if family.record is None:
        payload: dict[str, Any] = {"description": "the original bytes, whatever they are"}
        content_type = "application/octet-stream"
    else:
        payload = {"$ref": f"#/components/schemas/{family.record.__name__}"}
        content_type = "application/json"
    message: dict[str, Any] = {
        "name": family.name,
        "contentType": content_type,
        "payload": payload,
        "bindings": {"kafka": {"key": _key(family), "bindingVersion": "0.5.0"}},
    }
    if family.headers:
        message["headers"] = {
            "type": "object",
            "properties": {name: _header(family, name) for name in (*family.headers, *family.more_headers)},
            "required": list(family.headers),
        }
    return message


def _key(family: Family) -> dict[str, Any]:
    if family.key == "none":
        return {"type": "null", "description": "no key; every partition has its own ticks"}
    where = {
        "inputs": "any partitioner, the same for both inputs",
        "models": "partitioned by murmur2 of the model, whatever the key",
        "one": "one partition",
    }[family.placed]
    return {"type": "string", "description": f"{family.key}; {where}"}


def _header(family: Family, name: str) -> dict[str, Any]:
    if name in _CONSTANT:
        return {"type": "string", "const": _CONSTANT[name]}
    if name == "ce_type":
        return {"type": "string", "const": f"io.plumbline.{family.name}.v1"}
    if name == "plumbline.command":
        return {"type": "string", "enum": ["train", "cancel", "activate", "rollback"]}
    if name == deadletters.REASON:
        return {"type": "string", "enum": sorted(deadletters.REASONS)}
    return {"type": "string"}


def _operation(family: Family) -> str:
    return f"{'receive' if family.sent == 'in' else 'send'}-{family.topic}"


def _do(family: Family) -> dict[str, Any]:
    return {
        "action": "receive" if family.sent == "in" else "send",
        "channel": {"$ref": f"#/channels/{family.topic}"},
        "summary": family.about,
    }


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    """Write and say what changed."""
    touched = write(TARGET)
    sys.stdout.write(f"{len(touched)} of {len(documents())} documents changed\n")


if __name__ == "__main__":
    main()
