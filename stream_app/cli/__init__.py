"""Command line of Plumbline. Commands are imported when they are called, so ``--help`` is instant."""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import Any, Final

import click

from stream_app.cli import log_limit
from stream_app.cli.lazy import LazyGroup
from stream_app.errors import PlumblineError

#: What a shell sets that asks how a word goes on.
_COMPLETES: Final = "_PLUMBLINE_COMPLETE"
#: What a disk answers whichever file it was; the system names no path with it.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
#: command → (module below stream_app.cli, attribute, one line for the list)
_COMMANDS: Final = {
    "try": ("try_", "try_", "What a file of scored rows shows, without Kafka."),
    "demo": ("demo", "demo", "From nothing to a closed loop in minutes."),
    "services": ("services", "services", "Kafka and Redis on this machine: up, down, status."),
    "topics": ("topics", "topics", "Create, check and delete topics."),
    "worker": ("worker", "worker", "Joins, counts, drift, alerts, retraining."),
    "web": ("web", "web", "The dashboard, its API and the live feed."),
    "bridge": ("bridge", "bridge", "Deliver alerts to Alertmanager or a webhook."),
    "trainer": ("reference", "trainer", "The reference trainer: fits what is commanded."),
    "predictor": ("reference", "predictor", "Serve a stream and deploy what is commanded."),
    "relay": ("relay", "relay", "Turn records of other topics into inputs, by a map."),
    "load": ("load", "load", "Bring files of outcomes or predictions in."),
    "replay": ("replay", "replay", "Send recorded rows as if time passed."),
    "backfill": ("backfill", "backfill", "Write ticks for topics that hold no time."),
    "models": ("models", "models", "Models and their active versions."),
    "snapshots": ("snapshots", "snapshots", "Daily snapshots of a model."),
    "alerts": ("alerts", "alerts", "Alerts: list and show."),
    "explain": ("explain", "explain", "What stands behind an event or alert, recomputed."),
    "audit": ("audit", "audit", "Every decision, with what it was based on."),
    "dead-letters": ("dead_letters", "dead_letters", "Records that could not be used: list, redrive."),
    "acknowledge": ("operators", "acknowledge", "Take an open alert: no more reminders."),
    "unacknowledge": ("attending", "unacknowledge", "Give an open alert back."),
    "mute": ("attending", "mute", "Have nobody told of alerts for a time."),
    "unmute": ("attending", "unmute", "Lift what is muted."),
    "verdict": ("attending", "verdict", "Say whether an alert was real or false."),
    "note": ("attending", "note", "Write on an alert."),
    "precision": ("attending", "precision", "How often each rule was right."),
    "approve": ("operators", "approve", "Let a waiting request go on."),
    "reject": ("operators", "reject", "Turn a waiting request down."),
    "retrain": ("operators", "retrain", "Command a training manually."),
    "rollback": ("operators", "rollback", "Put a version back."),
    "rebaseline": ("operators", "rebaseline", "Accept a model's present as normal."),
    "reset-circuit": ("operators", "reset_circuit", "Allow trainings again after failures."),
    "dismiss": ("operators", "dismiss", "End a failure that a person has seen."),
    "set": ("operators", "set_", "Change settings while the workers run."),
    "settings": ("settings", "settings", "Show, check and explain the settings."),
    "doctor": ("doctor", "doctor", "Examine this installation, and say what repairs it."),
    "completion": ("completion", "completion", "Complete commands, models and ids in your shell."),
}
_HEADINGS: Final = {
    "Begin": ("try", "demo", "services", "topics", "doctor", "completion"),
    "Run": ("worker", "web", "bridge", "trainer", "predictor"),
    "Bring data in": ("relay", "load", "replay", "backfill"),
    "Look": ("models", "snapshots", "alerts", "precision", "explain", "audit", "dead-letters"),
    "Command": (
        "acknowledge", "unacknowledge", "mute", "unmute", "verdict", "note", "approve", "reject", "retrain",
        "rollback", "rebaseline", "reset-circuit", "dismiss",
    ),
    "Settings": ("settings", "set"),
}  # fmt: skip


@click.group(
    cls=LazyGroup, commands_of=_COMMANDS, headings=_HEADINGS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="plumbline")
def cli() -> None:
    """Plumbline watches deployed classifiers on Kafka: daily quality, exact under crashes, replayable byte for byte.

    Start with `plumbline demo`, or with a file of scored rows: `plumbline try FILE`. Settings come from PLUMBLINE_*
    variables, ./plumbline.toml, or the environment's profile; `plumbline settings show` prints what applies here.
    """


def main(argv: list[str] | None = None) -> Any:
    """Entry point: expected errors are one sentence and exit code 1, never a traceback."""
    if _COMPLETES in os.environ:
        # imported by whoever completes a word, and by nobody else
        from stream_app.cli import completing

        completing.register()
    log_limit.install()
    # aiokafka logs what it also raises; people get the sentence, not both.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return cli.main(args=argv, prog_name="plumbline", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PlumblineError as error:
        click.echo(f"plumbline: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno not in _NO_ROOM:
            raise
        click.echo(f"plumbline: {_of_disk(error)}", err=True)
        sys.exit(1)
    except Exception as error:
        # named by its module: who asks for help does without Kafka's client
        if not type(error).__module__.startswith("aiokafka."):
            raise
        click.echo(f"plumbline: Kafka says {error}. `plumbline topics check` compares topics and settings", err=True)
        sys.exit(1)


def _of_disk(error: OSError) -> str:
    """A file or folder that cannot be used: which one, why, and what says where files go."""
    path = "the disk" if error.filename is None else os.fsdecode(error.filename)
    return (
        f"{path} cannot be used: {error.strerror}. Files go to the folder the command runs in, and where "
        "PLUMBLINE_DATA_DIR and PLUMBLINE_CACHE_DIR say"
    )
