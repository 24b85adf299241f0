"""The write buffers that all stores of a process share are spent on entries, not on the room around them."""

from __future__ import annotations

from pathlib import Path

from stream_app.engine.segmenting import Segmenting
from stream_app.engine.store import Meta, Store, StoreMemory

DAYS = 12


def test_many_stores_with_little_in_them_stay_in_memory(tmp_path: Path) -> None:
    """Twelve lanes, entries in all six segments of each: 72 memtables, 2 MB in them, of 8 that they may have."""
    memory = StoreMemory(8 << 20, 8 << 20)
    segmenting = Segmenting(day_of=lambda value: value[0], horizon_days=DAYS - 2)
    stores = [Store(tmp_path / str(lane), memory, segmenting) for lane in range(12)]
    for number in range(20):
        for store in stores:
            entries = [(b"%d-%d" % (number, day), bytes([day]) * 500) for day in range(DAYS)]
            store.write(entries, Meta("cluster", "topic", 1, number, 0, b""))
    assert not list(tmp_path.rglob("*.sst"))
    assert all(store.get_many([b"7-3"]) == [bytes([3]) * 500] for store in stores)
    for store in stores:
        store.close()
    assert len(list(tmp_path.rglob("*.sst"))) > 12, "closing writes them"
