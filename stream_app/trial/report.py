"""The findings as one HTML file that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from typing import Final

from stream_app.trial.findings import ModelFindings, Week
from stream_app.trial.words import drift, lacks, versions

_WIDTH: Final = 860
_HEIGHT: Final = 190
_LEFT: Final = 46
_BOTTOM: Final = 24

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; max-width: 900px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem; margin-bottom: .3rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #cfd6e1 } td.n { text-align: right } svg { max-width: 100%; height: auto }
.note { color: #5a6577 } code { background: #f1f4f8; padding: 0 .25rem }
"""


def report(
    title: str, mapping: Iterable[tuple[str, str, str]], notes: Iterable[str], found: list[ModelFindings]
) -> str:
    """The whole file. ``mapping``: field, what it was read from, why."""
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{escape(column)}</td><td>{escape(why)}</td></tr>"
        for field, column, why in mapping
    )
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        *(_model(one) for one in found),
        f"<h2>How the file was read</h2><table><tr><th>Field</th><th>Read from</th><th></th></tr>{rows}</table>",
        *(f"<p class='note'>{escape(note)}</p>" for note in notes),
        "</html>\n",
    ]
    return "\n".join(parts)


def _model(found: ModelFindings) -> str:
    labels = f"{found.outcomes:,} outcomes" if found.outcomes else "no outcome"
    parts = [
        f"<h2>{escape(found.model)}</h2><p>{found.predictions:,} predictions, {labels}. "
        f"{escape(' '.join(versions(found)))}</p>",
        "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in drift(found)) + "</ul>",
        f"<h3>{escape(found.metric)} by week, with its 95 % interval</h3>{_metric(found)}",
        f"<h3>Predictions by week, and those with an outcome</h3>{_volume(found.weeks)}",
        "".join(f"<p class='note'>{escape(line)}</p>" for line in lacks(found)),
        _table(found),
    ]
    return "\n".join(parts)


def _x(number: int, count: int) -> float:
    return _LEFT + (number + 0.5) * (_WIDTH - _LEFT) / max(count, 1)


def _frame(weeks: Sequence[Week], top: str, bottom: str, inner: str) -> str:
    every = max(1, len(weeks) // 8)
    labels = "".join(
        f"<text x='{_x(number, len(weeks)):.0f}' y='{_HEIGHT - 6}' text-anchor='middle'>{week.monday:%d %b}</text>"
        for number, week in enumerate(weeks)
        if number % every == 0
    )
    floor = _HEIGHT - _BOTTOM
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}' font-size='11' fill='#5a6577' role='img'>"
        f"<line x1='{_LEFT}' y1='{floor}' x2='{_WIDTH}' y2='{floor}' stroke='#cfd6e1'/>"
        f"<text x='0' y='14'>{top}</text><text x='0' y='{floor}'>{bottom}</text>{labels}{inner}</svg>"
    )


def _metric(found: ModelFindings) -> str:
    known = [week for week in found.weeks if week.value is not None]
    if not known:
        return "<p class='note'>Without outcomes there is nothing to draw.</p>"
    low = max(0.0, min(week.low for week in known) - 0.02)
    high = min(1.0, max(week.high for week in known) + 0.02)

    def y(value: float) -> float:
        return 8 + (high - value) / max(high - low, 1e-9) * (_HEIGHT - _BOTTOM - 8)

    marks, points = [], []
    changes = {str(row["since"])[:10]: row["active_version"] for row in found.versions if row.get("previous_version")}
    for number, week in enumerate(found.weeks):
        at = _x(number, len(found.weeks))
        taken = [name for day, name in changes.items() if 0 <= (_days(day) - week.monday.toordinal()) < 7]
        if taken:
            marks.append(
                f"<line x1='{at:.1f}' y1='0' x2='{at:.1f}' y2='{_HEIGHT - _BOTTOM}' stroke='#8a63d2' "
                f"stroke-dasharray='4 3'/><text x='{at + 4:.1f}' y='12' fill='#8a63d2'>{escape(taken[-1])}</text>"
            )
        if week.value is None:
            continue
        marks.append(
            f"<line x1='{at:.1f}' y1='{y(week.low):.1f}' x2='{at:.1f}' y2='{y(week.high):.1f}' stroke='#9db7e8' "
            "stroke-width='5'/>"
        )
        points.append((at, y(week.value), week))
    line = " ".join(f"{at:.1f},{height:.1f}" for at, height, _ in points)
    dots = "".join(
        f"<circle cx='{at:.1f}' cy='{height:.1f}' r='3.5' fill='#2457b2'><title>{week.monday}: {week.value:.3f} "
        f"({week.low:.3f} to {week.high:.3f})</title></circle>"
        for at, height, week in points
    )
    inner = "".join(marks) + f"<polyline points='{line}' fill='none' stroke='#2457b2' stroke-width='1.5'/>{dots}"
    return _frame(found.weeks, f"{high:.2f}", f"{low:.2f}", inner)


def _days(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _volume(weeks: Sequence[Week]) -> str:
    most = max((week.predictions for week in weeks), default=0) or 1
    floor, wide = _HEIGHT - _BOTTOM, 0.7 * (_WIDTH - _LEFT) / max(len(weeks), 1)
    bars = []
    for number, week in enumerate(weeks):
        at = _x(number, len(weeks)) - wide / 2
        for count, colour in ((week.predictions, "#d5deed"), (week.outcomes, "#2457b2")):
            height = count / most * (floor - 16)
            bars.append(
                f"<rect x='{at:.1f}' y='{floor - height:.1f}' width='{wide:.1f}' height='{height:.1f}' "
                f"fill='{colour}'><title>{week.monday}: {week.predictions:,} predictions, {week.outcomes:,} with an "
                "outcome</title></rect>"
            )
    return _frame(weeks, f"{most:,}", "0", "".join(bars))


def _table(found: ModelFindings) -> str:
    rows = "".join(
        f"<tr><td>{week.monday}</td><td class='n'>{week.predictions:,}</td><td class='n'>{week.outcomes:,}</td>"
        + ("<td></td>" if week.value is None else f"<td>{week.value:.3f} ({week.low:.3f} to {week.high:.3f})</td>")
        + f"<td>{escape(', '.join(week.versions))}</td></tr>"
        for week in found.weeks
    )
    return (
        "<details><summary>Numbers by week</summary><table><tr><th>Week of</th><th>Predictions</th><th>Outcomes</th>"
        f"<th>{escape(found.metric)}</th><th>Versions</th></tr>{rows}</table></details>"
    )
