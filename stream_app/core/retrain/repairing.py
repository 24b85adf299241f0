"""Repair first: whether a version is recalibrated before anything is trained, and the command that does it.

Metrics proposes (:mod:`stream_app.core.comparisons.recalibration`); here stands what only the coordinator knows. What
comes of a repair that did not work is in :mod:`~stream_app.core.retrain.unrepaired`.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.common import rfc3339, uuid5
from stream_app.core.comparisons.recalibration import RepairProposal, words
from stream_app.core.kit.days import DAY_MS
from stream_app.core.retrain.events import DriftFound
from stream_app.core.retrain.state import Cause
from stream_app.core.retrain.transition import Transition, command_id

#: Days after a repair's command before the next: a version that needs one every week has something else.
REPAIR_PAUSE_DAYS: Final = 7
#: what candidates' names end with: ``-r`` of a training, ``-c`` of a repair
_MARK: Final = re.compile(r"-[rc][0-9a-f]{8}$")
#: characters of a name before its mark; a name has 128 at most
_NAMED: Final = 118


def considered(transition: Transition, event: DriftFound) -> tuple[RepairProposal | None, str]:
    """The repair to command in place of a training, if there is one, and in words why or why not.

    No words where no repair is looked at: drift of scores, or ``repair_first`` off."""
    found, state = event.repair, transition.state
    if found is None or event.check != "performance" or not transition.rules.repair_first:
        return None, ""
    why = found.refused
    last = state.last_repair_ms
    if found.metric != transition.rules.primary:
        why = f"it was proposed by {found.metric}, and {transition.rules.primary} is the primary metric now"
    elif why is None and state.active is not None and state.active == state.repaired:
        why = f"{state.active} is a repair already"
    elif why is None and last is not None and event.close_ms < last + REPAIR_PAUSE_DAYS * DAY_MS:
        why = f"repaired {rfc3339(last)} last, again from {rfc3339(last + REPAIR_PAUSE_DAYS * DAY_MS)} on"
    if why is None:
        return found, f"repair first: {words(found)}"
    said = words(found) if why == found.refused else f"{why}; {words(found)}"
    return None, f"not repaired: {said}"


def order(transition: Transition, cause: Cause, repair: RepairProposal) -> None:
    """Command a repair."""
    transition.begin("repairing", cause, repair=repair)
    send(transition)


def send(transition: Transition) -> None:
    """Send the job's repair to the deployer. Counts for no cooldown and for no policy's clock."""
    job = transition.job()
    model = transition.config.model
    name = repaired_version(model, job.base, command_id(model, job.episode, "recalibrate"))
    transition.change_job(candidate=name)
    transition.change(repaired=name, last_repair_ms=job.cause.nominal_ms, given_up=None)
    transition.send("repairing", "recalibrate")


def repaired_version(model: str, base: str, command: str) -> str:
    """``BASE-c1a2b3c4d``: the version that is wrapped, without an earlier mark, and the command's own."""
    return f"{_MARK.sub('', base)[:_NAMED]}-c{uuid5('recalibration', model, command)[:8]}"
