"""``plumbline topics``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import click

from stream_app import settings as settings_module
from stream_app.kafka import admin
from stream_app.kafka.admin import TopicFinding
from stream_app.kafka.topics import Topics, topics_of
from stream_app.settings import Settings


@click.group()
def topics() -> None:
    """Create and check the topics of this prefix."""


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def create(as_json: bool) -> None:
    """Create the topics that are missing; leaves the others as they are."""
    made = asyncio.run(_create(settings_module.load()))
    click.echo(
        json.dumps({"created": made}) if as_json else f"created {len(made)} topics" if made else "all topics exist"
    )


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(as_json: bool) -> None:
    """Compare the topics with what the pipeline needs; changes nothing. Exit code 1 if something is wrong."""
    findings = asyncio.run(_check(settings_module.load()))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{finding.topic} {finding.problem}\n  → {finding.remedy}")
        if not findings:
            click.echo("all topics are as they should be")
    if findings:
        raise SystemExit(1)


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
