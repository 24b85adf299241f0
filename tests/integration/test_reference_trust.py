"""What the deployer lets serve: artefacts whose digest came through the log, or that served before."""

from __future__ import annotations

from pathlib import Path

from stream_app.reference.registry import ARTEFACT
from tests.support.kafka_io import Prefix
from tests.support.reference import Process, command_of, send_commands
from tests.support.reference_rows import MODEL, registry_with_v1, results, said


async def test_a_deployer_serves_no_artefact_but_the_one_of_the_log_and_survives_a_damaged_registry(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    registry = registry_with_v1(tmp_path / "registry")
    known = registry.load(MODEL, "v1", registry.served(MODEL, "v1"))
    assert known is not None
    stored = {name: registry.put(MODEL, name, known, {}) for name in ("v2", "v3", "v4")}
    deployer = Process(prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")])
    made.append(deployer)
    first = command_of(prefix, MODEL, "activate", 1, candidate="v2", sha256=stored["v2"].sha256)
    await send_commands(prefix, [first])
    deployer.start()
    await said(prefix, deployer, 1, "activated")
    # other bytes than the log names; a version of which the log names none; one without a name
    path = tmp_path / "registry" / "churn@acme" / "v3" / ARTEFACT
    path.write_bytes(path.read_bytes() + b"x")
    nameless = command_of(prefix, MODEL, "rollback", 4, current="v2")
    await send_commands(
        prefix,
        [
            command_of(prefix, MODEL, "activate", 2, candidate="v3", current="v2", sha256=stored["v3"].sha256),
            command_of(prefix, MODEL, "activate", 3, candidate="v4", current="v2"),
            nameless,
            command_of(prefix, MODEL, "rollback", 5, candidate="v1", current="v2"),
        ],
    )
    await said(prefix, deployer, 5, "rolled_back")
    finals = {row["command_id"][-1]: row for row in await results(prefix) if row["status"] not in ("accepted",)}
    assert f"and {stored['v3'].sha256} was expected" in finals["2"]["error"]
    assert "registered by somebody else" in finals["3"]["error"]
    assert "the command names no version" in finals["4"]["error"]
    assert registry.active(MODEL) == "v1"
    # what stands in the registry itself may be damaged: it is answered, and the deployer goes on
    pointer = tmp_path / "registry" / "churn@acme" / "active.json"
    good = pointer.read_bytes()
    pointer.write_bytes(b"\xff")
    await send_commands(prefix, [command_of(prefix, MODEL, "rollback", 6, candidate="v2", current="v1")])
    (answer,) = await said(prefix, deployer, 6, "failed")
    assert "active.json of churn:acme names no active version" in answer["error"]
    pointer.write_bytes(good)
    await send_commands(prefix, [command_of(prefix, MODEL, "rollback", 7, candidate="v2", current="v1")])
    await said(prefix, deployer, 7, "rolled_back")
    assert deployer.stop() == 0, deployer.tail()


async def test_models_that_others_registered_serve_where_the_registry_is_trusted(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    registry = registry_with_v1(tmp_path / "registry")
    known = registry.load(MODEL, "v1", registry.served(MODEL, "v1"))
    assert known is not None
    registry.put(MODEL, "v2", known, {})
    deployer = Process(
        prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")],
        env={"PLUMBLINE_REGISTRY_TRUST": "true"},
    ).start()  # fmt: skip
    made.append(deployer)
    await send_commands(prefix, [command_of(prefix, MODEL, "activate", 1, candidate="v2")])
    await said(prefix, deployer, 1, "activated")
    assert deployer.stop() == 0, deployer.tail()
