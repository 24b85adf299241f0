"""The table of transitions as a document: ``python -m stream_app.core.retrain.diagram`` prints docs/retraining.md."""

from __future__ import annotations

from stream_app.core.retrain.events import KINDS
from stream_app.core.retrain.safeguards import (
    SAFEGUARDS,
    active_job,
    approval,
    circuit,
    cooldown,
    coverage,
    flags,
    maturity,
    samples,
    severity,
)
from stream_app.core.retrain.transitions import STATES, TABLE, Go, Refuse

_MODULES = (flags, severity, maturity, cooldown, samples, coverage, active_job, approval, circuit)


def mermaid() -> str:
    """A stateDiagram with one arrow for each pair of states, labelled with the events that can lead along it."""
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for state in STATES:
        arrows: dict[str, list[str]] = {}
        for kind in KINDS:
            cell = TABLE[state][kind]
            for target in cell.to if isinstance(cell, Go) else ():
                if target != state:
                    arrows.setdefault(target, []).append(kind)
        lines += [f"    {state} --> {target}: {', '.join(kinds)}" for target, kinds in arrows.items()]
    return "\n".join(lines)


def refusals() -> str:
    """A table of what each state refuses by name."""
    rows = ["| state | refuses |", "|---|---|"]
    for state in STATES:
        names: dict[str, list[str]] = {}
        for kind in KINDS:
            cell = TABLE[state][kind]
            if isinstance(cell, Refuse):
                names.setdefault(cell.name, []).append(f"`{kind}`")
        rows.append(f"| {state} | {'; '.join(f'{name}: ' + ', '.join(kinds) for name, kinds in names.items())} |")
    return "\n".join(rows)


def safeguards() -> str:
    """The safeguards in their order, each with its file's first sentence."""
    found = zip(SAFEGUARDS, _MODULES, strict=True)
    return "\n".join(f"{i}. **{name}**: {_flat(module.__doc__)}" for i, (name, module) in enumerate(found, start=1))


def document() -> str:
    """The whole of docs/retraining.md."""
    return _DOCUMENT.format(mermaid=mermaid(), refusals=refusals(), safeguards=safeguards())


def _flat(text: str | None) -> str:
    return " ".join((text or "").split())


_DOCUMENT = """\
# How a model is retrained

Written by `python -m stream_app.core.retrain.diagram` from the table in `stream_app/core/retrain/transitions.py`;
a test compares the two. The rules and numbers are those of the settings `retrain_*`, `command_*`, `validation_*` and
`probation_*`; `plumbline settings explain` names each with its reason.

```mermaid
{mermaid}
```

A model rests in `idle`, in `failed` once a command came to nothing, or in `halted` while its circuit is open. `failed`
stays until a success ends it (a training that brings a candidate, a version that is deployed) or a person does
(`dismiss`; `reset_circuit` where the circuit is open); it keeps no training back, the back-off after it does. While the
next job is under way the failure stands beside it. `tick` stands for every timer: acceptance and finish of a command,
lapse of an approval, the end of a probation, and the judgement of a candidate at the end of the epoch in which it came.
A change of the active version that nobody here commanded ends whatever job there is.

## Before a training

Asked in this order, all of them, for every statistical or performance event with verdict `drift`; every answer is in a
record on `ml.audit`, and the same answer at one check after the other in the same one. A manual command skips flags,
severity and approval; a policy, which has no severity, skips that; an approval skips only its own request.

{safeguards}

## Repair first

Drift of performance that has passed every safeguard need not cost a training. Where scores are only shifted or
stretched, two numbers and another threshold give back what was lost: score′ = σ(a·logit(score) + b). At HIGH and above
metrics fits them on the labelled rows of the run of drift: on either half of them, judged on the other, with the
threshold that serves the primary metric best on the half it was fitted on. The command is `recalibrate` if

- the rows are enough (150, 30 of each class), their outcomes do not come by class, and at most 1 % of the decisions do
  not follow the score;
- the order of the scores is intact: ROC AUC of the run is less than 3 points below the baseline's;
- it wins back 60 % of what the primary metric has lost and 2 points at least, and less than 5 points are left;
- the active version is no repair itself, and the last repair's command is seven days old.

Otherwise `train` is ordered at the same tick. Either way the audit says why, with ROC AUC before and after. Order is
what tells the two apart: without that condition one-sided concept drift passes for calibration. A metric that ranks, as
PR-AUC, is the same after any repair, so its models are always trained. `repair_first` off trains always; an approval
covers whichever of the two it shows.

The deployer serves `VERSION-c` and a mark: the version as it is, wrapped. What it makes goes on probation like any new
version. A deployer that answers `failed` or `unsupported`, or nothing, leads to a training in the same episode, and so
does a repair that its probation takes back: the plan is made anew, and samples, coverage, maturity and circuit are
asked again, the cooldown is not. Nothing of it counts for the circuit, backs off or starts a cooldown.

A repair that was given up may come all the same, from a deployer that was slow. It is known by its version's name: it
goes on probation as if it had come in time, and the training that was commanded in its place is called back, as it
would be judged beside a version that serves no more. Only if the active version has changed meanwhile is it one that
nobody asked for. If a late repair is taken back, the cooldown counts from the training that was called back.

## What asks for a training

`retrain_policies` of a model, its type or all says what may ask. `drift` is the default: every statistical or
performance event with verdict `drift`. `schedule` asks once `retrain_every_days` have passed since the last train
command, whatever asked for it; of a model that was never trained the days count from the first that is known, less a
part of the period that the model's name decides, so that a fleet is not due at once. `labels` asks once
`retrain_every_labels` labelled rows have come. A version that nothing is wrong with can still be old: where the world
moves all the time, or the first model was poor, a schedule finds what drift does not show. `floor` asks once a metric
of `validation_floors` has surely been too low: its upper bound over seven days (99 %, one-sided) lies below its floor
at `retrain_floor_checks` daily checks in a row of the active version. Windows that are not judged, for too few judged
days or because labels come by class, break the row; the best precision at a recall has no bound and asks for nothing.
After a train command it waits `retrain_floor_wait_days`, twice as long after each of its candidates that is rejected,
up to `retrain_floor_wait_most_days` (7, 14 … 112 days), until a version is activated.

Policies are asked at the daily performance check, after drift: `floor`, `labels`, `schedule`; the first that passes the
safeguards takes the job, the others stay due. All safeguards but severity are evaluated. The reason stands in the
command's trigger and in the audit, which is written when a policy falls due, when other safeguards refuse it than
before, and when it passes, not at every check. `retrain_at_once` trainings of policies are on their way in a
partition at a time; others wait (`waiting` in the audit), the oldest first. A request that a person rejected, or that
lapsed, asks again a period later; drift takes the place of one that waits. A version that a policy asked for and that
is taken back does not count for the circuit. Switching `auto_retrain` off stops policies too.

## Which rows a candidate learns from

The hold-out is the newest fifth of the labelled rows since the drift began, or of the last 30 days where no drift asks;
it reaches further back for 100 rows with 30 of each class, but not over 30 days, nor over half of those rows. It ends
with the last mature day, whose outcomes can be expected. Where that cannot be had, `samples` refuses and says what is
missing: a command that is bound to fail is not sent.

What is learnt from ends where the hold-out begins. `retrain_ranges` names ranges, `onset` (since the drift began),
`30d` and `all` (`retrain_all_days`) by default; the reference trainer fits one model a range and takes the longest
within one standard error of the best. Result and audit name the one taken and what came of each (`tried`). Trainers
that fit one model have `data.train`, the first of them that fits the occasion. A training of which retention left
nothing is said as `rows_expired`; like a command that nobody accepted, it does not count for the circuit.

## How a candidate is judged

On the rows of a hold-out that it was not trained on, beside the active version on the same rows. The primary metric
alone decides between the two (`primary_metric`: accuracy for conflict, PR-AUC for fraud, else the first of
`performance_metrics`): the difference has to reach `validation_min_gain_points`, 0 by default. Other metrics do not: a
version that has collapsed and hardly ever says yes has the better precision. Result and audit carry both values, the
difference and its 95 % interval as `comparison`. A trainer that reports no comparison is judged by the two versions'
metrics, without an interval.

Then the floors (`validation_floors`) are asked of the candidate. One that the active version misses as well, on the
same rows, does not reject: if the interval lies above 0, the candidate is activated and the audit says `below_floor`;
if not, it waits for a person. A type without floors always waits.

After it is activated it is on probation: a rollback metric down by more than `probation_drop_points`, with a lower
bound above 0 whose counts are divided by the day-to-day dispersion of the previous version's last
`probation_dispersion_days` judged days, takes it back. Days of a run of drift that began within the days compared, and
the days before it, are each taken around their own mean: the step between them is no dispersion, and with it in the
bound a version that answered upside down was kept (250 rows a day, a drop of 30 points on the day before).

## What is refused

Refusals move nothing and are audited by these names. What is refused at every check of the same run of drift by the
same safeguards is one fact on the audit: said when it begins and, under the same id, once it is over, because other
safeguards refuse, none does, or the run has ended. The second says how often it was (`count`), since when (`first_at`),
what the last refusal was and when. So the audit of a model that cannot be trained grows with what changes, not with the
days; what refuses now stands in its open alert.

`drift`, `retrain` and `approve` are refused by safeguards; results also as `unknown_command`, `other_attempt` or
`wrong_version`; an `activated` or `rolled_back` that no command waits for is believed, and audited once: as the change
of version that it is, or, where that version is active already or none is named, as `not_ordered`; `approve` and
`reject` of something else as `another_job`; a rollback to nowhere as `no_previous_version`; `dismiss` where no
failure stands as `nothing_failed`.

{refusals}
"""

if __name__ == "__main__":
    print(document(), end="")
