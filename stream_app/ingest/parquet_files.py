"""Parquet, batch by batch: times as integers of their unit, so that no time is too late, too fine or moved.

A file may be small and what it holds large: a dictionary holds a text once that a million rows have. So batches have as
many rows as fit, whatever texts they have, and a page that does not fit, which has to be unpacked whole, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from stream_app.ingest.faults import FileFault
from stream_app.ingest.kinds import Kinds
from stream_app.ingest.relay.cells import Instant, WallTime

_BATCH: Final = 8_192
#: Bytes of a batch of usual rows.
_UNPACKED: Final = 8 << 20
#: A row group above may hold rows of very different sizes: so many rows at a time, each of a record's size.
_LARGE_GROUP: Final = 256 << 20
_FEW: Final = 256
#: Least rows of a batch, however large they are.
_LEAST: Final = 16
#: Bytes of pages that are held at a time, those of dictionaries three times.
_HELD: Final = 96 << 20
#: No dictionary of this size makes a batch large.
_SMALL: Final = _UNPACKED // _BATCH
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
                size = _batch_size(self.path, file, wanted)
                # a column of this name and those below it, if it is nested; a name with a point in it is one column
                for batch in file.iter_batches(size, columns=list(wanted), use_threads=False):
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


def _open(path: Path, dictionaries: Iterable[str] = ()) -> Any:
    from pyarrow import parquet

    # INT96 holds nanoseconds of any year, and pyarrow's would wrap around beyond 2262
    return parquet.ParquetFile(
        path, buffer_size=_BUFFER, coerce_int96_timestamp_unit="us", pre_buffer=False,
        read_dictionary=list(dictionaries),
    )  # fmt: skip


def _batch_size(path: Path, file: Any, wanted: tuple[str, ...]) -> int:
    """Rows that can be unpacked at a time. Raises :class:`FileFault` for pages that cannot."""
    size = _BATCH
    with path.open("rb") as raw:
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            unpacked, longest, held = 0, 0, 0
            for chunk in map(group.column, range(group.num_columns)):
                if not {chunk.path_in_schema, chunk.path_in_schema.split(".")[0]}.intersection(wanted):
                    continue
                unpacked += chunk.total_uncompressed_size
                held += _page_size(raw, chunk.data_page_offset)
                if chunk.has_dictionary_page and chunk.physical_type == "BYTE_ARRAY":
                    dictionary = _page_size(raw, chunk.dictionary_page_offset)
                    held += 3 * dictionary
                    if _SMALL < dictionary <= _HELD:
                        a_row = -(-chunk.num_values // max(1, group.num_rows))  # of lists several
                        longest += a_row * _longest(path, number, chunk.path_in_schema)
            if held > _HELD:
                raise FileFault(
                    f"{path}: row group {number + 1} has pages that unpack to {held >> 20} MiB, and {_HELD >> 20} MiB "
                    "can be held: write it with smaller pages and dictionaries"
                )
            mean = unpacked // max(1, group.num_rows)
            size = min(size, max(_LEAST, _UNPACKED // max(1, mean, longest)))
            if unpacked > _LARGE_GROUP:
                size = min(size, _FEW)
    return size


def _longest(path: Path, group: int, column: str) -> int:
    """Bytes of the longest text of a column's dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with _open(path, [column]) as file:
        for batch in file.iter_batches(1, row_groups=[group], columns=[column], use_threads=False):
            found = batch.column(0)
            while not pa.types.is_dictionary(found.type):
                if not pa.types.is_nested(found.type):
                    return 0  # of a type that pyarrow keeps no dictionaries of, such as decimals
                found = found.flatten() if not pa.types.is_struct(found.type) else found.flatten()[0]
            return pc.max(pc.binary_length(found.dictionary)).as_py() or 0
    return 0


def _page_size(raw: BinaryIO, offset: int) -> int:
    """Bytes of a page, unpacked, as its header says: two numbers in Thrift's compact writing, its kind and its size.
    0 of what is no header, which reading will say."""
    raw.seek(offset)
    header, at, numbers = raw.read(16), 0, []
    for _ in range(2):
        if header[at : at + 1] != b"\x15":  # the next field, an integer of 32 bits
            return 0
        at, shift, number = at + 1, 0, 0
        while at < len(header):
            byte = header[at]
            number |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        numbers.append(number >> 1)  # zigzag
    return numbers[1]


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
