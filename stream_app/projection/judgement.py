"""What may be said of the whole fleet's quality, worked out in one place for the API, the pages and the commands.

That quality is good is said only where something was judged, lately, by a pipeline that runs; and never without saying
how many models were judged and how many were not. Pure: :meth:`stream_app.projection.reader.Reader.judgement` asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from schemas.common import parse_ms, rfc3339
from stream_app.projection.status import Status

#: Longest time without a tick, and from the newest performance check to the last tick: checks are daily, and two hours
#: are left to do one.
LATEST_MS: Final = 26 * 3_600_000
#: Models with MEDIUM drift that are named; all are counted.
NAMED: Final = 20

_HOUR_MS: Final = 3_600_000
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why nothing may be said of quality."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Medium:
    """A model with MEDIUM drift, and what it was found by: recorded and shown, never alerted."""

    model: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QualityJudgement:
    """What may be said. Counts are ``None`` where nothing could be read. ``sentence`` is shown as it stands."""

    #: nothing needs a look, and that may be said
    all_clear: bool
    sentence: str
    #: close of the newest performance check; ``judged`` counts the models with a verdict of that check
    as_of: str | None
    models: int | None
    judged: int | None
    too_little_data: int | None
    without_labels: int | None
    not_yet_judged: int | None
    need_a_look: int | None
    #: models with MEDIUM drift; the first are named
    medium_models: int | None
    medium: tuple[Medium, ...]
    withheld: tuple[Withheld, ...]

    def plain(self) -> dict[str, Any]:
        """As the API gives it."""
        return asdict(self)


class Tally:
    """Models as they are counted, one after the other; a fleet of many thousands is counted in slices."""

    def __init__(self) -> None:
        self.models = self.need_a_look = self.medium_models = 0
        self.medium: list[Medium] = []
        self._standings: Counter[tuple[str, str]] = Counter()

    def add(self, view: dict[str, Any]) -> None:
        """A model as the fleet shows it."""
        self.models += 1
        check = view["drift"]["performance"]
        self._standings[check["as_of"] if check is not None else "", view["standing"]] += 1
        self.need_a_look += bool(view["reasons"])
        reasons = tuple(reason for reason in view["reasons"] if reason.startswith("MEDIUM ") and "alert" not in reason)
        # named by MEDIUM drift alone, a model that has an alert would seem to have nothing worse
        if reasons and not any(map(_alerted, view["reasons"])):
            self.medium_models += 1
            if len(self.medium) < NAMED:
                self.medium.append(Medium(view["model"], reasons))

    @property
    def as_of(self) -> str | None:
        """The newest performance check of any model."""
        return max((close for close, _ in self._standings), default="") or None

    def standings(self) -> Counter[str]:
        """Models by what that check could do; one that it has not come to, or passed over, is not yet judged."""
        newest, found = self.as_of, Counter[str]()
        for (close, standing), count in self._standings.items():
            found[standing if close == newest else "not_yet_judged"] += count
        return found


def _alerted(reason: str) -> bool:
    """Whether a reason stands in the lists of alerts, or is on its way there."""
    return " alert" in reason or reason.startswith(("HIGH ", "CRITICAL "))


def judge(tally: Tally, status: Status) -> QualityJudgement:
    """What may be said of the models counted, as the read model and the ticks stand."""
    withheld = _withheld(tally, status)
    if status.updated_ms is None:
        return QualityJudgement(False, _nothing(withheld), None, *(None,) * 7, (), withheld)
    found, as_of = tally.standings(), tally.as_of
    all_clear = not withheld and not tally.need_a_look
    if withheld:
        sentence = f"{_looks(tally)} {_nothing(withheld)}" if tally.need_a_look else _nothing(withheld)
    elif all_clear:
        sentence = f"No model that was judged needs a look: {_counts(found, as_of, status)}."
    else:
        sentence = f"{_looks(tally)} {_counts(found, as_of, status)}."
    return QualityJudgement(
        all_clear, sentence, as_of, tally.models, found["judged"], found["too_little_data"], found["without_labels"],
        found["not_yet_judged"], tally.need_a_look, tally.medium_models, tuple(tally.medium), withheld,
    )  # fmt: skip


def _withheld(tally: Tally, status: Status) -> tuple[Withheld, ...]:
    """Every reason, the one that explains the others first."""
    if status.degraded and status.updated_ms is None:
        return (Withheld(status.code, status.reason or ""),)
    out = [Withheld(status.code, status.reason or "")] if status.degraded else []
    out += _late(tally, status)
    if not tally.models:
        out.append(Withheld("no_model", "no model was ever seen"))
    elif not tally.standings()["judged"]:
        found = tally.standings()
        parts = ", ".join(f"{found[name]:,} {words}" for name, words in _UNJUDGED if found[name])
        which = "the only model" if tally.models == 1 else f"none of {tally.models:,} models"
        was = "was not judged" if tally.models == 1 else "was judged"
        out.append(Withheld("none_judged", f"{which} {was} ({parts})"))
    return tuple(out)


def _late(tally: Tally, status: Status) -> list[Withheld]:
    """Does time go on, and did the daily check come with it?"""
    if status.tick_ms is None or status.ticked_ms is None:
        return [Withheld("no_tick", "there is no tick yet, and without ticks nothing is checked")]
    out = []
    age = status.now_ms - status.ticked_ms
    if age > LATEST_MS:
        out.append(Withheld("no_tick", f"no tick came for {_span(age)}, and without ticks nothing is checked"))
    if tally.as_of is not None and status.tick_ms - parse_ms(tally.as_of) > LATEST_MS:
        at, behind = _when(tally.as_of, status.now_ms), _span(status.tick_ms - parse_ms(tally.as_of))
        out.append(Withheld("no_check", f"the newest performance check is of {at}, {behind} before the last tick"))
    return out


_UNJUDGED: Final = (
    ("too_little_data", "with insufficient data"),
    ("without_labels", "without labels"),
    ("not_yet_judged", "not yet judged"),
)


def _counts(found: Counter[str], as_of: str | None, status: Status) -> str:
    parts = [f"{found['judged']:,} judged", *(f"{found[name]:,} {words}" for name, words in _UNJUDGED if found[name])]
    return f"{', '.join(parts)}, as of {_when(as_of or '', status.now_ms)}"


def _looks(tally: Tally) -> str:
    """How many need a look, and of those with MEDIUM drift which and why."""
    head = "1 model needs a look" if tally.need_a_look == 1 else f"{tally.need_a_look:,} models need a look"
    if 0 < tally.medium_models < tally.need_a_look:
        # those that are named are not the worst: these have an alert, and stand first in every list
        head += f", {tally.medium_models:,} of them with MEDIUM drift"
    named = [f"{item.model}, {' and '.join(item.reasons)}" for item in tally.medium[:3]]
    if tally.medium_models > len(named):
        named.append(f"{tally.medium_models - len(named):,} more with MEDIUM drift")
    return f"{head} ({'; '.join(named)})." if named else f"{head}."


def _nothing(withheld: Iterable[Withheld]) -> str:
    reasons = "; ".join(item.text for item in withheld)
    return f"Nothing can be said of quality: {reasons}" + ("" if reasons.endswith("?") else ".")


def _span(ms: int) -> str:
    hours = ms // _HOUR_MS
    return f"{hours} h" if hours < 72 else f"{hours // 24:,} days"


def _when(at: str, now_ms: int) -> str:
    """``28 Nov 04:00 UTC`` of an RFC 3339 time; with the year where it is not this one."""
    year = "" if at[:4] == rfc3339(now_ms)[:4] else f" {at[:4]}"
    return f"{int(at[8:10])} {_MONTHS[int(at[5:7]) - 1]}{year} {at[11:16]} UTC"
