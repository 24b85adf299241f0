"""How large a record is on its way to the broker."""

from __future__ import annotations

from aiokafka.producer.message_accumulator import BatchBuilder


def batch_bytes(record: tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]) -> int:
    """Size of a batch that holds this record (key, value, headers) alone, as the client writes it."""
    key, value, headers = record
    builder = BatchBuilder(16_384, 0, is_transactional=True)
    if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
        raise AssertionError("the client takes the first record of a batch whatever its size")
    return len(builder._build())
