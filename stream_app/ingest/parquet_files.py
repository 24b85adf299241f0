"""Parquet, batch by batch: times as integers of their unit, so that no time is too late, too fine or moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stream_app.ingest.faults import FileFault
from stream_app.ingest.kinds import Kinds
from stream_app.ingest.relay.cells import Instant, WallTime

_BATCH: Final = 8_192
#: Bytes of a column chunk that are read ahead; without it a whole row group would be.
_BUFFER: Final = 1 << 20
_PER_MS: Final = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


@dataclass(slots=True)
class Parquet:
    """A Parquet file whose footer was read."""

    path: Path
    columns: tuple[str, ...]
    decimal_comma: bool = False

    def rows(self, wanted: tuple[str, ...], kinds: Kinds | None) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Rows counted from 1, with the wanted columns."""
        import pyarrow as pa

        number = 0
        try:
            with _open(self.path) as file:
                # a column of this name and those below it, if it is nested; a name with a point in it is one column
                for batch in file.iter_batches(_BATCH, columns=list(wanted), use_threads=False):
                    names = [field.name for field in batch.schema if field.name in wanted]
                    cells = [_values(batch.column(batch.schema.get_field_index(name))) for name in names]
                    for values in zip(*cells, strict=True) if cells else [()] * batch.num_rows:
                        number += 1
                        row = dict(zip(names, values, strict=True))
                        if kinds is not None:
                            kinds.look_at(row)
                        yield number, row
        except (pa.ArrowException, OSError, ValueError) as error:
            raise FileFault(f"{self.path}: after row {number}: {_why(error)}") from error


def read_footer(path: Path) -> Parquet:
    """Which columns there are. Raises :class:`FileFault`."""
    import pyarrow as pa

    try:
        with _open(path) as file:
            return Parquet(path, tuple(file.schema_arrow.names))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFault(f"{path}: {_why(error)}") from error


def _open(path: Path) -> Any:
    from pyarrow import parquet

    # INT96 holds nanoseconds of any year, and pyarrow's would wrap around beyond 2262
    return parquet.ParquetFile(path, buffer_size=_BUFFER, coerce_int96_timestamp_unit="us", pre_buffer=False)


def _why(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "magic bytes" in text or "footer" in text.lower() or "smaller than" in text:
        return f"no Parquet, or cut short: {text}"
    return f"its Parquet cannot be read: {text}"


def _values(column: Any) -> list[Any]:
    """Cells as Python has them, but for times."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_timestamp(kind):
        times, by = _PER_MS[kind.unit]
        make = WallTime if kind.tz is None else Instant
        return [None if at is None else make(at * times // by) for at in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_date64(kind):
        return [None if at is None else WallTime(at) for at in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_date32(kind):
        days = column.cast(pa.int32()).to_pylist()
        return [None if day is None else WallTime(day * 86_400_000) for day in days]
    if pa.types.is_map(kind):
        return [None if pairs is None else dict(pairs) for pairs in column.to_pylist()]
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return column.cast(pa.int64() if kind.bit_width == 64 else pa.int32()).to_pylist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]
