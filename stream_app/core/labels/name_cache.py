"""Names that a labels lane has looked up: one dictionary look-up an event, whatever checking a name costs.

Both dictionaries are bounded: what would be one too many empties them, and names are looked up again, some 10 µs each.
That shows only where more names are in use at once than :data:`MOST_NAMES`. What a name is answered with holds until
the day turns (:meth:`stream_app.core.labels.names.KnownNames.seen`), so nothing can be told from what is remembered.
"""

from __future__ import annotations

from typing import Final

from stream_app.core.kit.effects import TableReader
from stream_app.core.labels.config import BadName, LabelsConfig, Name, resolve
from stream_app.core.labels.names import KnownNames, Puts

#: Entries of each dictionary; one takes up to 1.5 kB. Doubled: 30 MB more for each lane at the limit of names.
MOST_NAMES: Final = 20_000

#: model type, tenant, version, whether it is a shadow
Named = tuple[str, str | None, str, bool]


class NameCache:
    """Names by what an event says, and by what an entry holds. Not thread-safe; owned by the stage."""

    def __init__(self, config: LabelsConfig) -> None:
        self._config = config
        self.known = KnownNames(config.limits, config.names_days, config.refresh_days)
        #: looked up in the per-event loops; always these two objects
        self.by_event: dict[Named, Name | BadName] = {}
        self.by_stored: dict[bytes, Name] = {}

    def load(self, table: TableReader | None, today: int) -> None:
        """Forget everything but what the table holds as of day ``today``."""
        self.by_event.clear()
        self.by_stored.clear()
        self.known.load(table, today, self._config.rules)

    def turn(self, before: int, today: int, puts: Puts) -> None:
        """Days up to ``today`` have begun: names that are seen from now on are counted for it."""
        self.by_event.clear()
        self.known.turn(before, today, puts)

    def of_event(self, named: Named, today: int, puts: Puts) -> Name | BadName:
        """The name, counted as seen ``today``, or why it is refused."""
        if len(self.by_event) >= MOST_NAMES:
            self.by_event.clear()
        try:
            name = resolve(self._config, *named)
            self.known.seen(name, self._config.rules(name.model_type), today, puts)
        except BadName as error:
            # Made anew: one that was raised holds its frames, and with them the records of this batch.
            refused = self.by_event[named] = BadName(error.reason, str(error))
            return refused
        if not name.shadow:
            name = self.by_stored.get(name.stored) or self._remember(name)
        self.by_event[named] = name
        return name

    def of_stored(self, stored: bytes) -> Name:
        """The name that an entry holds, ``type|owner|version``; it was checked before it was stored."""
        model_type, owner, version = stored.decode().split("|")
        scope = self._config.rules(model_type).scope
        tenant = None if owner == "global" and scope != "tenant" else owner
        return self._remember(resolve(self._config, model_type, tenant, version, False))

    def _remember(self, name: Name) -> Name:
        if len(self.by_stored) >= MOST_NAMES:
            self.by_stored.clear()
        self.by_stored[name.stored] = name
        return name
