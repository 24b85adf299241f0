"""Faust tables over the lanes' stores: Faust knows the changelog topics and assigns their partitions with the inputs;
reading and writing stay with the lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import faust
from faust.stores.base import Store as FaustStore
from faust.types import TP, EventT


class LaneStore(FaustStore[Any, Any]):
    """Says that everything is persisted, so that Faust's per-record recovery has nothing to do.

    Nothing here asks Kafka for an end: a lane's last transaction may still be settling, and an end asked twice would
    differ, which Faust takes for records to wait for; none would come (:meth:`.transport.Consumer.highwaters`).
    """

    def persisted_offset(self, tp: TP) -> int | None:
        """As far as :meth:`.transport.Consumer.highwaters` says there is anything."""
        return -1

    async def need_active_standby_for(self, tp: TP) -> bool:
        """No standbys: the changelog restores in seconds."""
        return False

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Keep the client from fetching this table's changelog partitions."""
        topic = self.table.changelog_topic.get_topic_name()
        mine = {tp for tp in assigned if tp.topic == topic}
        if mine:
            await self.app.engine_consumer.thread.stop_fetching(mine)

    def apply_changelog_batch(self, batch: Iterable[EventT], to_key: Any, to_value: Any) -> None:
        """Ignore what Faust replays: the lane restores itself."""

    def reset_state(self) -> None:
        """Keep state: it is the lane's."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("lanes write their tables themselves, inside a checkpoint")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("lanes write their tables themselves, inside a checkpoint")

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """Backups are the changelog."""

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """Backups are the changelog."""


class LaneTable(faust.Table[Any, Any]):
    """A table whose changelog partitions belong to lanes."""

    changelog_config: ClassVar[dict[str, str]] = {}

    def _new_store(self) -> Any:
        return LaneStore("lane://", self.app, self, loop=self.loop)
