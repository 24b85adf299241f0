"""Verdicts of the last 30 daily checks of a model, one letter for each kind and day: what the first page draws as heat.

Pure. Of a day three letters are kept: performance, statistical, quality (the worst of its checks). ``.`` is no check,
``i`` insufficient evidence, ``n`` no drift, ``M``, ``H`` and ``C`` drift of that severity.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

#: Days that are kept, counted back from the newest check.
DAYS: Final = 30
#: Letters from nothing to the worst.
ORDER: Final = ".inMHC"
#: Kinds in the order of their letters.
KINDS: Final = ("performance", "statistical", "quality")
_NONE: Final = "." * len(KINDS)


def letter(verdict: str, severity: str | None) -> str:
    """The letter of a verdict; drift without a severity counts as the least."""
    if verdict == "drift":
        return (severity or "MEDIUM")[0]
    return "n" if verdict == "no_drift" else "i"


def note(days: dict[str, str], row: dict[str, Any]) -> None:
    """Take a drift event into ``days``: date of the check → its letters. One about a change of version is none, and
    neither is an hourly alarm: the daily check of the same date says what it found of that hour."""
    if row.get("check") in ("handover", "hourly"):
        return
    day, place = row["as_of"][:10], KINDS.index(row["kind"])
    known = days.get(day, _NONE)
    found = letter(row["verdict"], row.get("severity"))
    if row["kind"] == "quality":
        # several checks share the place; taken in any order, and twice, they leave the worst
        found = max(found, known[place], key=ORDER.index)
    days[day] = known[:place] + found + known[place + 1 :]
    for old in sorted(days)[:-DAYS]:
        del days[old]


def strip(days: dict[str, str]) -> tuple[str, str] | None:
    """The newest day, and the letters of the 30 days up to it, oldest first, three for each; ``None`` before any."""
    if not days:
        return None
    newest = max(days)
    last = date.fromisoformat(newest)
    wanted = ((last - timedelta(days=back)).isoformat() for back in range(DAYS - 1, -1, -1))
    return newest, "".join(days.get(day, _NONE) for day in wanted)
