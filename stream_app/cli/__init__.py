"""Command line of Plumbline. Commands are imported when they are called, so ``--help`` is instant."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import click

from stream_app.cli import log_limit
from stream_app.errors import PlumblineError

#: command → (module below stream_app.cli, attribute, one line for the list)
_COMMANDS = {
    "demo": ("demo", "demo", "From nothing to a closed loop in minutes, on data from the package registries."),
    "services": ("services", "services", "Kafka and Redis on this machine: up, down, status."),
    "topics": ("topics", "topics", "Create, check and delete topics."),
    "worker": ("worker", "worker", "Run a worker: joins, counts, drift, alerts, retraining."),
    "web": ("web", "web", "Serve the dashboard, its API and the live feed."),
    "replay": ("replay", "replay", "Send recorded predictions and outcomes as if time passed."),
    "relay": ("relay", "relay", "Turn records of other topics into predictions and outcomes, by a map."),
    "load": ("load", "load", "Bring files of outcomes or predictions into a running system."),
    "backfill": ("backfill", "backfill", "Write ticks for topics that hold records but no time."),
    "models": ("models", "models", "Models and their active versions; register a version."),
    "snapshots": ("snapshots", "snapshots", "Daily snapshots of a model."),
    "alerts": ("alerts", "alerts", "Alerts: list and show."),
    "explain": ("explain", "explain", "What stands behind an event or alert, recomputed from the topics."),
    "acknowledge": ("operators", "acknowledge", "Take an open alert: no more reminders."),
    "rebaseline": ("operators", "rebaseline", "Accept a model's present as normal."),
    "approve": ("operators", "approve", "Let a waiting request go on."),
    "reject": ("operators", "reject", "Turn a waiting request down."),
    "retrain": ("operators", "retrain", "Command a training manually."),
    "rollback": ("operators", "rollback", "Put a version back."),
    "reset-circuit": ("operators", "reset_circuit", "Allow trainings again after failures."),
    "dismiss": ("operators", "dismiss", "End a failure that a person has seen."),
    "set": ("operators", "set_", "Change settings while the workers run."),
    "audit": ("audit", "audit", "Every decision, with what it was based on."),
    "trainer": ("reference", "trainer", "Train what is commanded: the reference trainer."),
    "predictor": ("reference", "predictor", "Serve a stream and deploy what is commanded: the reference predictor."),
    "bridge": ("bridge", "bridge", "Deliver alerts to Alertmanager or a webhook."),
    "dead-letters": ("dead_letters", "dead_letters", "Records that could not be used: list, redrive."),
    "doctor": ("doctor", "doctor", "Examine this installation, and say what repairs it."),
    "settings": ("settings", "settings", "Show, check and explain the settings."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(f"stream_app.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plumbline")
def cli() -> None:
    """Plumbline watches deployed classifiers on Kafka: daily quality, exact under crashes, replayable byte for byte.

    Start with `plumbline demo`. Settings come from PLUMBLINE_* variables, ./plumbline.toml, or the environment's
    profile; `plumbline settings show` prints what applies here.
    """


def main(argv: list[str] | None = None) -> Any:
    """Entry point: expected errors are one sentence and exit code 1, never a traceback."""
    log_limit.install()
    # aiokafka logs what it also raises; people get the sentence, not both.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return cli.main(args=argv, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PlumblineError as error:
        click.echo(f"plumbline: {error}", err=True)
        sys.exit(1)
