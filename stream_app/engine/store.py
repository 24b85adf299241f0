"""RocksDB store of one lane: entries, in time segments where a table asks for them, and the lane's own record.

The write-ahead log is off: the changelog is the log. A crash loses the memtables, all of them up to the same write
(atomic flush), and with them the changelog offset reached, so a restore starts where the disk really is.

The lane's record (``_META``) names the cluster, topic and format the store belongs to, the changelog offset reached,
when it was last written, and the positions record of the last checkpoint.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from stream_app.core.kit.codec import Codec
from stream_app.engine.segmenting import SEGMENTS, Segmenting
from stream_app.errors import UnknownFormat

FORMAT: Final = 1
_META: Final = b"\x00meta"
#: What a memtable takes from the shared budget at a time. RocksDB's 1 MiB, for each segment of each lane, fills the
#: budget with emptiness, and almost every write then flushes a tiny file. Below 64 KiB nothing more is saved.
_ARENA_BYTES: Final = 64 << 10


class Meta(msgspec.Struct, frozen=True):
    """The lane's record in its store."""

    cluster: str
    topic: str
    format: int
    #: next changelog offset to read
    changelog: int
    #: epoch ms of the last write
    written_ms: int
    #: positions record of the last checkpoint, as the changelog holds it
    positions: bytes
    #: a restore from the changelog's start is under way, or was when the process ended
    unproven: bool = False


class StoreMemory:
    """One block cache and one write-buffer budget for every store of the process."""

    def __init__(self, block_cache_bytes: int, write_buffer_bytes: int) -> None:
        self.cache = Cache(block_cache_bytes)
        self.buffers = WriteBufferManager(write_buffer_bytes, False)

    def options(self) -> Options:
        """Options of a column family: bloom filters on, because most look-ups of new ids are misses."""
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_atomic_flush(True)
        options.set_write_buffer_manager(self.buffers)
        options.set_write_buffer_size(16 << 20)
        options.set_arena_block_size(_ARENA_BYTES)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        options.set_compression_type(DBCompressionType.lz4())
        table = BlockBasedOptions()
        table.set_bloom_filter(10, False)
        table.set_block_cache(self.cache)
        options.set_block_based_table_factory(table)
        return options


class Store:
    """Entries of one lane. All calls are synchronous and short."""

    def __init__(self, path: Path, memory: StoreMemory, segmenting: Segmenting | None = None) -> None:
        self.path = path
        self._memory = memory
        self._segmenting = segmenting
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True
        self._open()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        families: dict[str, Options] = {}
        if self._segmenting is not None and (self.path / "CURRENT").exists():
            names = Rdict.list_cf(str(self.path), self._memory.options())
            families = {name: self._memory.options() for name in names if name != "default"}
        options = self._memory.options()
        self._db = Rdict(str(self.path), options, column_families=families or None)
        self._segments = {int(name[1:]): self._segment_handles(name) for name in families}
        self._newest_first = sorted(self._segments, reverse=True)

    def _segment_handles(self, name: str) -> tuple[Rdict, Any]:
        return self._db.get_column_family(name), self._db.get_column_family_handle(name)

    # -- reading -------------------------------------------------------------------------------------------------

    def meta(self) -> Meta | None:
        """The lane's record, ``None`` in a new store. Raises ``UnknownFormat`` or ``Broken``."""
        value = self._db.get(_META)
        if value is None:
            return None
        if value[:1] != bytes((FORMAT,)):
            raise UnknownFormat(
                f"{self.path} was written in store format {value[0] if value else 'none'}, this release reads "
                f"{FORMAT}. Delete that folder: the state is restored from its changelog."
            )
        return _meta.decode(value, _META)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by key in the order asked; segments are asked newest first, each only for what is still missing."""
        if self._segmenting is None:
            values: list[bytes | None] = self._db.get(keys)
            return values
        order = self._newest_first
        if not order:
            return [None] * len(keys)
        found: list[bytes | None] = self._segments[order[0]][0].get(keys)
        for segment in order[1:]:
            missing = [i for i, value in enumerate(found) if value is None]
            if not missing:
                break
            for i, value in zip(missing, self._segments[segment][0].get([keys[i] for i in missing]), strict=True):
                found[i] = value
        return found

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries under ``prefix`` with a key above ``after``, in key order; in segments the newest copy of each."""
        if self._segmenting is None:
            return self._scan(self._db, prefix, after, limit)
        found: dict[bytes, bytes] = {}
        for segment in reversed(self._newest_first):
            found.update(self._scan(self._segments[segment][0], prefix, after, limit))
        return sorted(found.items())[:limit]

    @staticmethod
    def _scan(db: Rdict, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        iterator = db.iter(ReadOptions())
        iterator.seek(prefix if after is None else after + b"\x00")
        out: list[tuple[bytes, bytes]] = []
        while len(out) < limit and iterator.valid():
            key = iterator.key()
            if not key.startswith(prefix):
                break
            out.append((key, iterator.value()))
            iterator.next()
        return out

    def segmented(self, size: int) -> Iterator[list[bytes]]:
        """Values of all segments, some of them more than once if a key moved on, in lists of at most ``size``."""
        for segment in self._newest_first:
            values = iter(self._segments[segment][0].values())
            while taken := list(itertools.islice(values, size)):
                yield taken

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], meta: Meta) -> None:
        """One WriteBatch: entries and the lane's record together. ``None`` deletes."""
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        if self._segmenting is None:
            for key, value in puts:
                if value is None:
                    delete(key)
                else:
                    put(key, value)
        else:
            self._put_segmented(batch, puts, self._segmenting)
        put(_META, _meta.encode(meta))
        self._db.write(batch, self._write_options)
        self._drop_expired()

    def _put_segmented(
        self, batch: WriteBatch, puts: Iterable[tuple[bytes, bytes | None]], segmenting: Segmenting
    ) -> None:
        day_of, span = segmenting.day_of, segmenting.span
        put = batch.put
        day, family = -1, None
        for key, value in puts:
            if value is None:
                raise ValueError("a table in segments forgets by whole segments, never by key")
            its_day = day_of(value)
            if its_day != day:
                day, family = its_day, self._family(its_day // span)
            if family is not None:
                put(key, value, family)

    def _family(self, segment: int) -> Any | None:
        """Handle of a segment, made if new; ``None`` for one so old that everything in it has expired."""
        known = self._segments.get(segment)
        if known is not None:
            return known[1]
        newest = max(self._segments, default=segment)
        if segment <= newest - SEGMENTS:
            return None
        name = f"s{segment}"
        self._db.create_column_family(name, self._memory.options())
        self._segments[segment] = self._segment_handles(name)
        self._newest_first = sorted(self._segments, reverse=True)
        return self._segments[segment][1]

    def _drop_expired(self) -> None:
        """After the write: a batch that spans more days than six segments hold puts into those it leaves behind."""
        while len(self._newest_first) > 1 and self._newest_first[-1] <= self._newest_first[0] - SEGMENTS:
            old = self._newest_first.pop()
            del self._segments[old]
            self._db.drop_column_family(f"s{old}")

    # -- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush and close. Closes also where the flush fails: whoever opens the store next needs its lock."""
        self._segments.clear()
        try:
            self._db.flush()
        finally:
            self._db.close()

    def wipe(self) -> None:
        """Start again with an empty store; the changelog will fill it."""
        self._segments.clear()
        self._db.close()
        shutil.rmtree(self.path)
        self._open()

    def size(self) -> int:
        """Bytes on disk and in memtables, as RocksDB estimates them."""
        total = 0
        for name in ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables"):
            for db in (self._db, *(handles[0] for handles in self._segments.values())):
                total += db.property_int_value(name) or 0
        return total


_meta: Final = Codec[Meta](Meta, FORMAT, "the lane's record in its store")
