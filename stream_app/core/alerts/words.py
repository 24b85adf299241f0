"""What an alert says to people: what was found, in numbers; what is broken in the data; what to do first."""

from __future__ import annotations

from datetime import date
from typing import Final

from stream_app.core.alerts import occasions
from stream_app.core.alerts.state import INCOMPLETE, AlertHistory, OpenAlert, Replacement
from stream_app.core.comparisons.finding import HOURLY, Finding, FoundWindow
from stream_app.core.kit.days import DAY_MS, date_of

#: Slots of hourly alarms about outcomes and about scores.
LOSS: Final = f"{HOURLY}_performance"
MOVE: Final = f"{HOURLY}_statistical"

#: Longest text of the wire.
LONGEST: Final = 4_000

_NAMES: Final = {"pr_auc": "PR-AUC", "f1": "F1", "precision_at_80_recall": "precision at 80 % recall"}
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
                  "November", "December")  # fmt: skip
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_ENDINGS: Final = {
    "no_drift": "Over: the last closes in a row were without drift. It was: ",
    "no_evidence": "Ended with insufficient data to speak for or against it. It was: ",
    "labels_revised": "Retracted: labels that came later changed the comparison. It said: ",
    "version_replaced": "Over: a version that came after it was kept after its probation. It was: ",
    "no_predictions": "Over: the model makes no predictions any more. It was: ",
    "no_loss": "Over: scores moved, and outcomes show that nothing was lost. It was: ",
    "accepted": "Closed: an operator accepted the present as normal. It was: ",
}


#: The same in few words, for lists.
_ENDED: Final = {
    "no_drift": "no drift at the last daily checks",
    "no_evidence": "insufficient data to speak for or against it",
    "labels_revised": "retracted: later labels changed the comparison",
    "version_replaced": "replaced by a version that came after it",
    "no_predictions": "the model makes no predictions any more",
    "no_loss": "scores moved, nothing lost",
    "accepted": "accepted as normal",
}


def ending(alert: OpenAlert, resolution: str) -> str:
    """Why an alert is over, in few words: ``retrained: v2 since 18 Jan``."""
    by = alert.replaced_by
    if by is not None and resolution == "version_replaced":
        return change(by)
    if resolution == "cause_ended":
        return occasions.ENDED[alert.type]
    text = _ENDED[resolution]
    if resolution == "no_drift" and alert.type == INCOMPLETE:
        text = "outcomes were complete at the last daily checks"
    if resolution == "accepted" and alert.accepted_by is not None:
        text = f"{text} by {alert.accepted_by}"
    return f"{text}; {change(by)}" if by is not None else text


def change(by: Replacement) -> str:
    """Which version came in place of which, how and when."""
    when = date.fromisoformat(date_of(by.since_ms // DAY_MS))
    since = f"{by.version} since {when.day} {_MONTHS[when.month - 1][:3]}"
    if by.how in ("retrained", "recalibrated"):
        return f"{by.how}: {since}"
    if by.how == "rolled_back":
        return f"rolled back from {by.previous}: {since}"
    return f"replaced: {since}, deployed from outside"


def summary(alert: OpenAlert, history: AlertHistory, resolution: str | None = None) -> str:
    """One sentence of facts, faults of the pipeline first."""
    found = alert.found
    if alert.occasion is not None:
        text = occasions.summary(alert, alert.occasion)
        return (f"Over: {ending(alert, resolution)}. It was: {text}" if resolution is not None else text)[:LONGEST]
    if alert.type == INCOMPLETE:
        text = _incomplete(found["completeness"], alert.first_day)
    else:
        parts = [
            part(found[slot]) + (_ended(history.latest.get(slot)) if resolution is None else "")
            for slot, part in (("performance", _performance), ("handover", _handover))
            if slot in found
        ]
        if LOSS in found and "performance" not in found:
            parts.append(_lost(found[LOSS]))
        if "statistical" in found:
            shift = _shift_too(found["statistical"]) if parts else _shift(found["statistical"])
            parts.append(shift + (_ended(history.latest.get("statistical")) if resolution is None else ""))
        elif MOVE in found:
            parts.append(_moved(found[MOVE]))
        text = "; ".join(parts)
        broken = faults(alert, history)
        if broken:
            text = f"{'; '.join(broken)}, which may be all there is to it: {text}"
    over = _ENDINGS.get(resolution or "", "")
    if alert.type == INCOMPLETE and resolution == "no_drift":
        over = "Over: outcomes were complete at the last closes in a row. It was: "
    by = alert.replaced_by
    if by is not None and resolution == "version_replaced":
        over = f"Over: {change(by)}, kept after its probation. It was: "
    elif by is not None:
        text = f"{text}; {change(by)}"
    return (over + text)[:LONGEST]


def recommendation(alert: OpenAlert, history: AlertHistory, resolution: str | None = None) -> str:
    """The next step, in the order in which causes are worth excluding."""
    if resolution is not None:
        return "Nothing to do."
    if alert.occasion is not None:
        return occasions.recommendation(alert, alert.occasion)
    if alert.type == INCOMPLETE:
        return (
            "Find where outcomes stop: the feed, the join by prediction_id, or a delay longer than label_delay_days. "
            "Until they come performance cannot be judged and nothing is retrained; `plumbline load outcomes FILE` "
            "brings what was missed."
        )
    if faults(alert, history):
        return (
            "Repair the data first: what looks like a bad model may be a broken pipe. Nothing is retrained while the "
            "data is broken; the comparison is made again when late outcomes come."
        )
    by = alert.replaced_by
    if by is not None and by.how != "rolled_back":
        return (
            f"Wait: {by.version} is on probation in place of {by.previous}, and this ends if it is kept. "
            f"`plumbline rollback {alert.model}` goes back to {by.previous} at once."
        )
    handover, performance = alert.found.get("handover"), alert.found.get("performance", alert.found.get(LOSS))
    if handover is not None:
        before = handover.baseline_version or "the version before"
        step = f"Consider going back to {before}: `plumbline rollback {alert.model}`."
    elif performance is not None:
        step = f"Look for what changed {_around(performance)}: upstream data, the population, the meaning of the label."
    else:
        moved = alert.found["statistical"] if "statistical" in alert.found else alert.found[MOVE]
        step = (
            f"Look for what changed {_around(moved)} in the inputs: scores move when features do. "
            "Outcomes will show whether it matters."
        )
    if alert.decision.eligible:
        return f"{step} Every safeguard of retraining agrees."
    refused = [f"{name}: {reason}" for name, passed, reason in alert.decision.safeguards if not passed]
    why = f" ({refused[0]})" if refused else ""
    return (
        f"{step} Nothing is retrained by itself{why}. If the change is real, retrain on data from then on, "
        f"or accept it as normal: `plumbline rebaseline {alert.model}`."
    )[:LONGEST]


def faults(alert: OpenAlert, history: AlertHistory) -> list[str]:
    """What is broken in the data at the newest close date: in each event's words, none twice."""
    known = list((alert.found if alert.type == INCOMPLETE else history.latest).values())
    newest = newest_date(known)
    return list(dict.fromkeys(text for f in known if f.close_ms // DAY_MS == newest for text in f.faults))


def newest_date(findings: list[Finding]) -> int:
    """Close date (days since 1970) of the newest."""
    return max((f.close_ms // DAY_MS for f in findings), default=0)


def decisive(finding: Finding) -> FoundWindow | None:
    """The window that an event's statistic is of; the first one where that cannot be told."""
    if finding.kind == "quality":
        return next(iter(finding.windows), None)
    if finding.kind == "statistical":
        same = [w for w in finding.windows if w.statistic is not None and w.statistic == finding.statistic]
        return next(iter(same or finding.windows), None)
    wanted = finding.metric
    known = [w for w in finding.windows if w.metric in (None, wanted) and None not in (w.recent, w.baseline)]
    if finding.statistic is None or not known:
        return next(iter(known), None)
    statistic = finding.statistic
    return min(known, key=lambda w: abs(100 * ((w.baseline or 0.0) - (w.recent or 0.0)) - statistic))


def weekday(day: int) -> str:
    """``Tuesday 3 March``; day 0 was a Thursday."""
    when = date.fromisoformat(date_of(day))
    return f"{_WEEKDAYS[(day + 3) % 7]} {when.day} {_MONTHS[when.month - 1]}"


def _performance(finding: Finding) -> str:
    window = decisive(finding)
    name = _NAMES.get(finding.metric or "", (finding.metric or "performance").replace("_", " "))
    if window is None or window.recent is None or window.baseline is None:
        return f"{name} dropped"
    text = f"{name} {window.baseline:.2f} → {window.recent:.2f} {_days(window)}"
    if window.recent_rows is not None:
        text += f" on {window.recent_rows:,} outcomes"
    if window.interval is not None:
        low, high = window.interval
        text += f", 99 % interval of the drop {100 * low:.1f} to {100 * high:.1f} points"
    if finding.prior_shift is not None:
        new, old = finding.prior_shift
        way = "fell" if new < old else "rose"
        text += (
            f"; the share of positives {way} from {100 * old:.0f} % to {100 * new:.0f} %; among actual positives and "
            "negatives the error rates did not move"
        )
    return text


def _handover(finding: Finding) -> str:
    before = finding.baseline_version or "the version before"
    return f"version {finding.version} is worse than {before}: {_performance(finding)}"


def _shift(finding: Finding) -> str:
    window = decisive(finding)
    text = "scores shifted"
    if finding.statistic is not None:
        text += f", D = {finding.statistic:.2f}"
    if window is None:
        return text
    if window.interval is not None:
        text += f" ({window.interval[0]:.2f} to {window.interval[1]:.2f})"
    text += f" {_days(window)}"
    if window.recent_rows is not None:
        text += f" on {window.recent_rows:,} predictions"
    return text


def _lost(finding: Finding) -> str:
    """An hourly alarm about outcomes: ``accuracy is down by 18 points since 14:00 UTC on Tuesday 3 March``."""
    name = _NAMES.get(finding.metric or "", finding.metric or "performance")
    window = next(iter(finding.windows), None)
    if window is None or finding.statistic is None:
        return f"{name} is down, as the outcomes of the last hours show"
    return (
        f"{name} is down by {finding.statistic:.0f} points {_since(window)}: {window.baseline or 0:.2f} → "
        f"{window.recent or 0:.2f} on {window.recent_rows or 0:,} outcomes{_points(window)}"
    )


def _moved(finding: Finding) -> str:
    """The same about scores: a share of them that has grown."""
    window = next(iter(finding.windows), None)
    if window is None or finding.statistic is None:
        return "scores have moved within the last hours"
    return (
        f"scores have moved {_since(window)}: a part of their range that held {100 * (window.baseline or 0):.0f} % of "
        f"them holds {100 * (window.recent or 0):.0f} % of {window.recent_rows or 0:,}{_points(window)}"
    )


def _since(window: FoundWindow) -> str:
    """``since 14:00 UTC on Tuesday 3 March``."""
    day = date.fromisoformat(window.from_[:10]).toordinal() - _EPOCH
    return f"since {window.from_[11:16]} UTC on {weekday(day)}"


def _points(window: FoundWindow) -> str:
    if window.interval is None:
        return ""
    low, high = window.interval
    return f", 99 % interval {100 * low:.1f} to {100 * high:.1f} points"


def _shift_too(finding: Finding) -> str:
    return "scores shifted too" + (f", D = {finding.statistic:.2f}" if finding.statistic is not None else "")


def _incomplete(finding: Finding, first_day: int) -> str:
    since = finding.run_from if finding.run_from is not None else first_day
    text = "; ".join(finding.faults) or f"outcomes missing since {weekday(since)}"
    window = decisive(finding)
    coverage = window.recent if window is not None else finding.statistic
    if coverage is None:
        return f"{text}: none can be told for {weekday(finding.day)}"
    rows = window.recent_rows if window is not None else None
    of = f"{rows:,} predictions" if rows is not None else "the predictions"
    return f"{text}: {100 * coverage:.0f} % of {of} of {weekday(finding.day)} have one"


def _ended(latest: Finding | None) -> str:
    if latest is None or latest.drift:
        return ""
    return " (not at the last close)" if latest.verdict == "no_drift" else " (the last close had insufficient data)"


def _around(finding: Finding) -> str:
    return f"around {weekday(finding.run_from if finding.run_from is not None else finding.day)}"


def _days(window: FoundWindow) -> str:
    first = date.fromisoformat(window.from_[:10]).toordinal()
    count = date.fromisoformat(window.to[:10]).toordinal() - first
    return f"over {count} days" if count != 1 else f"on {weekday(first - _EPOCH)}"


_EPOCH: Final = date(1970, 1, 1).toordinal()
