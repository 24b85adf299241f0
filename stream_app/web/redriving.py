"""Sending dead-lettered records again from the page of the pipeline: what ``plumbline dead-letters redrive`` does.

It is no command to the stages: what came back is counted like any other record. The records, the note that they were
sent and the audit record are one transaction, so that doing it twice, or dying on the way, sends nothing twice. What
became of it is answered by ``/commands/{id}`` like that of other commands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Request, Response
from pydantic import Field

from schemas import deadletters
from schemas.common import rfc3339, uuid5
from stream_app.commands.send import NewCommand, new_command
from stream_app.core.kit.audit import Auditor, Said
from stream_app.core.kit.effects import Emit
from stream_app.errors import PlumblineError
from stream_app.ingest.redrive import DeadLetteredRecord, Redriven, RedriveOrder, dead_lettered_records, redrive
from stream_app.web.answers import Refused, answer
from stream_app.web.commanding import Because, Key, Operator
from stream_app.web.site import REMEMBERED_S, Site, site_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["ordering"])

#: Reasons named where records stay.
_NAMED: Final = 3


class RedriveCommand(Because):
    """Which dead-lettered records are sent again: those with a reason."""

    dead_letter_reason: str = Field(max_length=64, description="as `/pipeline` names it")


@router.post("/dead-letters/redrive", status_code=202)
async def send_again(request: Request, body: RedriveCommand, user: Operator, key: Key = None) -> Response:
    """Send the dead-lettered records with a reason to the topics they came from, as they are, once each. What was cut
    short, or came from no input of the pipeline, stays."""
    site = site_of(request)
    if body.dead_letter_reason not in deadletters.REASONS:
        raise Refused(422, "invalid", f"dead_letter_reason is one of {', '.join(deadletters.REASONS)}")
    running: dict[str, asyncio.Task[None]] = request.app.state.redrives
    made = new_command("*", "redrive", {"dead_letter_reason": body.dead_letter_reason}, user.name, body.reason)
    if key is not None:
        made = made._replace(id=uuid5("web-command", user.name, key))
    known = await site.written(made.id)
    if known is not None and known.get("arguments") != made.arguments:
        raise Refused(422, "key_used", "this Idempotency-Key was used for another command: take a new one")
    if known is None and made.id not in running:
        if running:
            raise Refused(409, "redrive_runs", "another redrive is under way: wait until it is done")
        written = {
            **made._asdict(), "command_id": made.id, "written_at": rfc3339(time.time_ns() // 1_000_000),
        }  # fmt: skip
        await _tell(site, written)
        task = running[made.id] = asyncio.create_task(_work(site, made, written))
        task.add_done_callback(lambda _: running.pop(made.id, None))
    return answer({"command_id": made.id, "href": f"/api/v1/commands/{made.id}"}, 202)


async def _tell(site: Site, written: dict[str, Any]) -> None:
    await site.redis.set(site.keys.written(written["command_id"]), orjson.dumps(written), ex=REMEMBERED_S)


async def _work(site: Site, made: NewCommand, written: dict[str, Any]) -> None:
    """Do it and say what came of it."""
    try:
        # many records are parsed and sorted: a loop of its own, so that nobody who reads meanwhile waits for that
        found = await asyncio.to_thread(asyncio.run, _redrive(site, made))
        end = _end(found)
    except (PlumblineError, KafkaError, OSError) as error:
        end = {"state": "refused", "refused_because": str(error) or type(error).__name__}
    except Exception as error:
        log.exception("the redrive %s failed", made.id)
        end = {"state": "refused", "refused_because": f"{type(error).__name__}: {error}"}
    await _tell(site, {**written, **end, "at": rfc3339(time.time_ns() // 1_000_000)})


def _end(done: Redriven) -> dict[str, Any]:
    """The outcome: refused where nothing was sent and nothing had been before."""
    many = sorted(done.faults.by_reason.items(), key=lambda item: -item[1])
    stay = "; ".join(f"{count:,} stay: {text}" for text, count in many[:_NAMED])
    if not (done.sent or done.before):
        return {"state": "refused", "refused_because": stay or "there is no dead-lettered record with this reason"}
    before = f", {done.before:,} had been sent before" if done.before else ""
    effect = f"sent {_records(done.sent)}{before}" + (f"; {stay}" if stay else "")
    return {"state": "done", "effects": [{"stage": "redrive", "effect": effect}]}


async def _redrive(site: Site, made: NewCommand) -> Redriven:
    settings, topics = site.settings, site.topics
    bootstrap, options = settings.kafka_bootstrap, settings.kafka_client_options()
    reason = made.arguments["dead_letter_reason"]
    found = await dead_lettered_records(bootstrap, options, topics)
    auditor = Auditor("redrive", 0, f"/plumbline/{settings.app_id}")

    def audited(batch: Sequence[DeadLetteredRecord]) -> Emit:
        """The same records make the same record, whoever sends them when."""
        places = Counter(dead.topic for dead in batch)
        ends: dict[int, int] = {}
        for dead in batch:
            ends[dead.partition] = max(ends.get(dead.partition, 0), dead.offset + 1)
        told = f"sent {_records(len(batch))} again with the reason {reason} ("
        told += ", ".join(f"{count:,} to {topic}" for topic, count in sorted(places.items()))
        first = f"{batch[0].partition}@{batch[0].offset}"
        said = Said("*", made.actor, "redrive", "sent", f"{made.id} {first}", [made.id], f"{told}): {made.reason}")
        ends_by_topic = {topics.dead_letters: ends}
        return auditor.record(said, time.time_ns() // 1_000_000, ends_by_topic, settings.hash_of("*"))

    chosen = [dead for dead in found if dead.reason == reason]
    order = RedriveOrder(found, chosen, audit=audited)
    return await redrive(bootstrap, options, topics, order, settings.replication_factor)


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"
