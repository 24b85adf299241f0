"""``plumbline topics``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Final

import click

from stream_app import settings as settings_module
from stream_app.cli import listing
from stream_app.cli.listing import ListColumn
from stream_app.cli.waiting import run
from stream_app.errors import Incompatible
from stream_app.kafka import admin
from stream_app.kafka.admin import TopicFinding
from stream_app.kafka.reach import refuse_unanswered
from stream_app.kafka.removal import Standing, remove, standing
from stream_app.kafka.topics import Topics, topics_of
from stream_app.settings import Settings


@click.group()
def topics() -> None:
    """Create and check the topics of this prefix; delete those of any."""


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def create(as_json: bool) -> None:
    """Create the topics that are missing; leaves the others as they are."""
    made = asyncio.run(_create(settings_module.load()))
    click.echo(
        json.dumps({"created": made}) if as_json else f"created {len(made)} topics" if made else "all topics exist"
    )


_COLUMNS: Final = (
    ListColumn("is", lambda row: "broken" if row["fatal"] else "look"),
    ListColumn("topic", lambda row: row["topic"]),
    ListColumn("found", lambda row: f"{row['problem']} → {row['remedy']}", sentence=True),
)


@topics.command()
@listing.output_option
def check(output: str) -> None:
    """Compare the topics with what the pipeline needs; changes nothing. Exit code 1 if something is wrong.

    \b
    Example: plumbline topics check -o csv
    """
    findings = run(_check(settings_module.load()), "comparing the topics")
    listing.show([asdict(one) for one in findings], _COLUMNS, output, empty="all topics are as they should be")
    if findings:
        raise SystemExit(1)


@topics.command(short_help="Delete all that stands under a prefix in Kafka.")
@click.option("--prefix", required=True, help="The prefix whose topics go: inputs and outputs alike.")
@click.option("--app-id", "apps", multiple=True, help="An application whose logs, changelogs and groups go too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(prefix: str, apps: tuple[str, ...], yes: bool) -> None:
    """Delete what stands under a prefix in Kafka: its topics, and the logs, changelogs and groups of its application.

    The application is the one that owns the prefix, or this shell's if its settings name the prefix. Everything is
    listed before it is asked for; topics of other names that begin with the prefix stay. No worker may be running.

    \b
    Example: plumbline topics delete --prefix trial.
    """
    settings = settings_module.load()
    if prefix in (settings.input_prefix, settings.output_prefix):
        apps = (*apps, settings.app_id)
    found = asyncio.run(_standing(settings, prefix, apps))
    for text in found.shared:
        click.echo(text, err=True)
    if found.active:
        raise Incompatible(f"nothing was deleted: stop what is in the groups {', '.join(found.active)} first")
    if not found.topics and not found.groups:
        raise Incompatible(f"nothing stands under the prefix {prefix}")
    for kind, names in (("topic", found.topics), ("group", found.groups)):
        for name in names:
            click.echo(f"{kind}  {name}")
    count = f"{len(found.topics)} topics and {len(found.groups)} groups"
    if not yes and click.prompt(f"These {count} go for good. Write the prefix to delete them") != prefix:
        raise Incompatible("that is not the prefix: nothing was deleted")
    asyncio.run(_delete(settings, found))
    click.echo(f"deleted {count}; the state of workers in PLUMBLINE_DATA_DIR and what Redis holds is no longer of use")


async def _standing(settings: Settings, prefix: str, apps: tuple[str, ...]) -> Standing:
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    await refuse_unanswered(bootstrap, options)
    async with admin.admin(bootstrap, options) as client:
        return await standing(client, bootstrap, options, prefix, apps)


async def _delete(settings: Settings, found: Standing) -> None:
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        await remove(client, found)


def _topics(settings: Settings) -> Topics:
    return topics_of(settings)


async def _create(settings: Settings) -> list[str]:
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        names = _topics(settings)
        return await admin.create(client, [*names.specs(), *names.tools()], settings.replication_factor)


async def _check(settings: Settings) -> list[TopicFinding]:
    names = _topics(settings)
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        return await admin.check(client, names, names.specs())
