"""Which versions of a model predict, in numbers and in one sentence that API, pages and commands show as it stands.

Pure, and made from snapshots alone, so that everything which shows them agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

#: Days up to the newest closed one in which other versions are counted.
DAYS: Final = 7
#: Other versions that are named; the rest are counted.
NAMED: Final = 5
#: Versions of a model whose newest day is remembered, the latest.
KEPT: Final = 20

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def see(seen: dict[str, str], version: str, day: str, active: str | None) -> None:
    """Note that a version predicted on a day; what was seen longest ago is forgotten, but never the active version."""
    seen[version] = max(day, seen.get(version, ""))
    while len(seen) > KEPT:
        del seen[min((known for known in seen if known != active), key=lambda known: (seen[known], known))]


def first_day(newest: str) -> str:
    """The first of the days that end with the newest closed one."""
    return (date.fromisoformat(newest) - timedelta(days=DAYS - 1)).isoformat()


def traffic(
    active: str | None, figures_of: str | None, days: Mapping[str, Iterable[tuple[str, int]]], seen: Mapping[str, str]
) -> dict[str, Any]:
    """Who predicts. ``figures_of``: version whose figures are shown beside this, ``None`` where they are of all.

    ``days``: date of each closed day → (version, predictions); ``seen``: version → newest day, open or closed, on which
    it predicted.
    """
    newest = max(days, default=None)
    start = first_day(newest) if newest is not None else ""
    made: dict[str, int] = {}
    for day, versions in days.items():
        if day >= start:
            for version, count in versions:
                made[version] = made.get(version, 0) + count
    found = {*(v for v, count in made.items() if count), *(v for v, day in seen.items() if day >= start)}
    others = sorted(found - {active}, key=lambda version: (-made.get(version, 0), version))
    named = [{"version": v, "predictions": made.get(v, 0), "last_seen": seen.get(v)} for v in others[:NAMED]]
    out = {
        "figures_of": figures_of,
        "last_seen": seen.get(active) if active is not None else None,
        "from": start or None,
        "to": newest,
        "predictions": made.get(active, 0) if active is not None else 0,
        "others": named,
        "more": len(others) - len(named),
    }
    return {**out, "sentence": _sentence(active, out)}


def _sentence(active: str | None, found: Mapping[str, Any]) -> str:
    if active is None:
        head = "No version is active yet"
    else:
        seen = f"last seen on {_day(found['last_seen'])}" if found["last_seen"] else "not seen predicting yet"
        if found["figures_of"] == active:
            head = f"Figures are of the active version {active}, {seen}"
        else:
            head = f"Figures are of all versions, as the active one, {active}, {seen}, has no outcomes of these days"
    if not found["others"]:
        return f"{head}; no other version predicts."
    counts = [(other["version"], other["predictions"]) for other in found["others"] if other["predictions"]]
    if active is not None and counts:
        counts.insert(0, ("it", found["predictions"]))
    parts = [f"{who} {'made ' * (not n)}{made:,}{' predictions' * (not n)}" for n, (who, made) in enumerate(counts)]
    if parts:
        parts[0] = f"in the {DAYS} days to {_day(found['to'])} {parts[0]}"
    parts += [
        f"{other['version']} began on {_day(other['last_seen'])}"
        for other in found["others"]
        if not other["predictions"]
    ]
    if found["more"]:
        parts.append(f"{found['more']:,} more {'version predicts' if found['more'] == 1 else 'versions predict'}")
    text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{head}; {text}."


def _day(text: str) -> str:
    """``28 Nov 2026`` of a date."""
    return f"{int(text[8:10])} {_MONTHS[int(text[5:7]) - 1]} {text[:4]}"
