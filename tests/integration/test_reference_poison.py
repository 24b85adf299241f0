"""The reference trainer and deployer as processes, with odd bytes in front of what they have to do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import orjson

from stream_app.kafka import clients
from tests.support.kafka_io import Prefix, read, until, write
from tests.support.reference import Process, command_of, send_commands
from tests.support.reference_rows import MODEL, START, data, records, registry_with_v1
from tests.support.scenarios import DAY_MS

HEADER = "plumbline.command"
DEEP = b"[" * 100_000 + b"]" * 100_000


def odd(start: bytes) -> list[bytes | None]:
    """Values that begin as good ones do."""
    return [
        start + b',"error":"\xff\xfe"}', start + b',"junk":' + DEEP + b"}", start + b',"attempt":' + b"9" * 400 + b"}",
        start + b',"attempt":null}', start + b',"model":7}', start + b',"model":"\\ud800"}',
        start + b',"command_id":[]}',
        start + b',"reply_partition":"1"}', start + b',"reply_partition":-1}', start + b',"artifact_sha256":7}',
        start, DEEP, b"\xff\xfe", b"null", b"", None,
    ]  # fmt: skip


async def poison(prefix: Prefix, kinds: tuple[str, ...]) -> None:
    """Odd results and commands on every partition of the model's, and odd headers."""
    order = command_of(prefix, MODEL, kinds[0], 99)
    partition, topics = order["reply_partition"], prefix.topics
    result = b'{"model":"' + MODEL.encode() + b'","command_id":"q","status":"accepted"'
    command = orjson.dumps(order)[:-1]
    elsewhere = {"reply_topic": topics.predictions, "reply_partition": 0}
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for value in odd(result):
            await kafka.send_and_wait(topics.training_results, value, key=MODEL.encode(), partition=partition)
        for value in (*odd(command), orjson.dumps(order | elsewhere), orjson.dumps(order | {"reply_partition": 999})):
            for headers in ([], [(HEADER, kinds[0].encode())], [(HEADER, b"\xff\xfe")], [(HEADER, None)]):
                await kafka.send_and_wait(
                    topics.training_commands, value, key=MODEL.encode(), partition=partition, headers=headers
                )


async def with_odd_header(prefix: Prefix, order: dict[str, Any]) -> None:
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        await kafka.send_and_wait(
            prefix.topics.training_commands, orjson.dumps(order), key=MODEL.encode(),
            partition=order["reply_partition"], headers=[(HEADER, b"\xff\xfe")],
        )  # fmt: skip


async def answers(prefix: Prefix) -> dict[int, dict[str, Any]]:
    """Final answers by the number of their command."""
    parts = await read(prefix.bootstrap, prefix.topics.training_results, prefix.topics.model_partitions)
    found = {}
    for record in (record for part in parts.values() for record in part):
        with contextlib.suppress(ValueError, RecursionError, TypeError):
            row = orjson.loads(record.value)
            if row["command_id"] != "q" and row["status"] not in ("accepted", "progress"):
                found[int(row["command_id"][-2:])] = row
    return found


async def answered(prefix: Prefix, process: Process, *numbers: int) -> dict[int, dict[str, Any]]:
    """The answers, once all of the numbers have one."""

    async def there() -> dict[int, dict[str, Any]] | None:
        assert process.exit_code is None, process.tail()
        found = await answers(prefix)
        return found if set(numbers) <= set(found) else None

    found: dict[int, dict[str, Any]] = await until(there, 60, f"answers to {numbers}\n{process.tail()}")
    return found


async def test_a_trainer_serves_the_good_command_behind_odd_bytes_and_answers_only_where_it_should(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    await write(prefix, [(START + DAY_MS, records())])
    registry_with_v1(tmp_path / "registry")
    named = await data(prefix)
    await poison(prefix, ("train", "cancel"))
    foreign = command_of(
        prefix, MODEL, "train", 3, data=named | {"holdout": named["holdout"] | {"offsets": {"x": {"0": [0, 1]}}}}
    )
    beyond = orjson.loads(orjson.dumps(named))
    beyond["train"]["offsets"][prefix.topics.predictions]["0"][1] = 10**12
    await send_commands(prefix, [foreign, command_of(prefix, MODEL, "train", 4, data=beyond)])
    await send_commands(prefix, [command_of(prefix, MODEL, "train", 1, data=named)])
    await with_odd_header(prefix, command_of(prefix, MODEL, "train", 2, data=named))
    trainer = Process(prefix, tmp_path, "trainer", ["trainer", "--registry", str(tmp_path / "registry")]).start()
    made.append(trainer)
    found = await answered(prefix, trainer, 1, 2, 3, 4)
    assert {number: found[number]["status"] for number in (1, 2, 3, 4)} == {
        1: "succeeded", 2: "succeeded", 3: "failed", 4: "failed",
    }  # fmt: skip
    assert "the command names rows of x" in found[3]["error"]
    assert "the command names rows up to 1000000000000" in found[4]["error"]
    assert trainer.stop() == 0, trainer.tail()
    assert "is skipped" in trainer.log.read_text()


async def test_a_deployer_serves_the_good_command_behind_odd_bytes(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    registry = registry_with_v1(tmp_path / "registry")
    model = registry.load(MODEL, "v1", registry.served(MODEL, "v1"))
    assert model is not None
    stored = {version: registry.put(MODEL, version, model, {}).sha256 for version in ("v2", "v3")}
    (tmp_path / "registry" / MODEL.replace(":", "@") / "v3" / "model.joblib").write_bytes(b"\xff")
    await poison(prefix, ("activate", "rollback"))
    await send_commands(prefix, [command_of(prefix, MODEL, "activate", 1, candidate="v3", sha256=stored["v3"])])
    await send_commands(prefix, [command_of(prefix, MODEL, "activate", 2)])
    await send_commands(prefix, [command_of(prefix, MODEL, "activate", 3, candidate="v2", sha256=stored["v2"])])
    await with_odd_header(prefix, command_of(prefix, MODEL, "rollback", 4, candidate="v1", current="v2"))
    deployer = Process(
        prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")]
    ).start()
    made.append(deployer)
    found = await answered(prefix, deployer, 1, 2, 3, 4)
    assert {number: found[number]["status"] for number in (1, 2, 3, 4)} == {
        1: "failed", 2: "failed", 3: "activated", 4: "rolled_back",
    }  # fmt: skip
    assert f"and {stored['v3']} was expected" in found[1]["error"]
    assert registry.active(MODEL) == "v1"
    assert deployer.stop() == 0, deployer.tail()
