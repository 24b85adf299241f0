"""What is a name at one entrance is a name at all of them; ``.`` and ``..`` are none anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import click
import msgspec
import pydantic
import pytest

from schemas import common
from stream_app.cli import operators
from stream_app.core.labels.config import BadName, LabelsConfig, TypeRules, labels_partition, resolve
from stream_app.core.metrics_stage import border
from stream_app.core.metrics_stage.border import read_command, read_result
from stream_app.settings import Settings
from stream_app.web import commanding
from stream_app.web.reading import ModelFilter, ModelId

GOOD = ("a", "-", "_", "...", ".a", "..a", "a..", "a.b", "0", "x" * 128, "." + "x" * 127, ".." + "x" * 126, "." * 128)
BAD = (
    "", ".", "..", "x" * 129, "." + "x" * 128, ".." + "x" * 127, "a b", "a:b", "a/b", "../a", "a\n", ".\n", "..\n",
    "*", "\u0661", "a\x00", "é", "%2e%2e",
)  # fmt: skip


def _labels(**changed: Any) -> None:
    config = LabelsConfig(0, 1, lambda _: TypeRules("tenant", 3), labels_partition(1), 3, 3)
    named = {"model_type": "churn", "tenant": "acme", "version": "v1", **changed}
    resolve(config, named["model_type"], named["tenant"], named["version"], False)


def _command(model: str, **arguments: Any) -> None:
    row = {"id": "c", "model": model, "command": "rollback", "arguments": arguments, "actor": "o", "reason": "b"}
    found = read_command(json.dumps(row).encode())
    if found.unreadable is not None:
        raise ValueError(found.unreadable)


def _result(model: str = "churn:acme", **rest: Any) -> None:
    row = {"model": model, "command_id": "c", "attempt": 1, "status": "accepted", **rest}
    found = read_result(json.dumps(row).encode())
    if found.unreadable is not None:
        raise ValueError(found.unreadable)


def _web(kind: Any, value: str) -> None:
    pydantic.TypeAdapter(kind).validate_python(value)


ENTRANCES: dict[str, Callable[[str], object]] = {
    "output name": lambda name: msgspec.convert(name, common.Name),
    "output model, type": lambda name: msgspec.convert(f"{name}:acme", common.ModelId),
    "output model, tenant": lambda name: msgspec.convert(f"churn:{name}", common.ModelId),
    "model or all": lambda name: msgspec.convert(f"churn:{name}", common.ModelIdOrAll),
    "prediction's type": lambda name: _labels(model_type=name),
    "prediction's tenant": lambda name: _labels(tenant=name),
    "prediction's version": lambda name: _labels(version=name),
    "command's model, at metrics": lambda name: msgspec.convert(f"churn:{name}", border.ModelId),
    "command's version, at metrics": lambda name: msgspec.convert(name, border.Version),
    "command's model": lambda name: _command(f"{name}:acme"),
    "command's version": lambda name: _command("churn:acme", model_version=name),
    "result's model": lambda name: _result(f"churn:{name}"),
    "result's version": lambda name: _result(candidate_version=name),
    "settings of a type": lambda name: Settings(types={name: {"label_delay_days": 1}}),
    "settings of a model": lambda name: Settings(models={f"churn:{name}": {"drop_points": 9.0}}),
    "a type that retrains": lambda name: Settings(auto_retrain_types={name: True}),
    "address of a model": lambda name: _web(ModelId, f"{name}:acme"),
    "filter by model": lambda name: _web(ModelFilter, f"churn:{name}"),
    "version to put back": lambda name: commanding.ModelCommand(reason="because", command_id=None, model_version=name),
    "model of a setting": lambda name: commanding.SettingCommand.__pydantic_validator__.validate_assignment(
        commanding.SettingCommand.model_construct(), "model", f"churn:{name}"
    ),
}  # fmt: skip

NO = (ValueError, BadName, msgspec.ValidationError, pydantic.ValidationError, click.BadParameter)


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("name", GOOD)
def test_a_name_is_taken_at_every_entrance(entrance: str, name: str) -> None:
    ENTRANCES[entrance](name)


@pytest.mark.parametrize(
    ("entrance", "name"),
    # an asterisk stands for all types there
    [(entrance, name) for entrance in ENTRANCES for name in BAD if (entrance, name) != ("a type that retrains", "*")],
    ids=ascii,
)
def test_what_is_no_name_is_refused_at_every_entrance(entrance: str, name: str) -> None:
    with pytest.raises(NO):
        ENTRANCES[entrance](name)


@pytest.mark.parametrize("model", ["churn:..", ".:acme", "..:..", "churn:.", "churn", "churn:acme\n"])
def test_the_command_line_sends_nothing_about_what_is_no_model(model: str) -> None:
    with pytest.raises(click.BadParameter):
        operators.write(Settings(), model, "reject", {}, "olga", "because")


def test_nobody_has_a_pattern_of_their_own() -> None:
    from pathlib import Path

    root = Path(__file__).parents[2]
    own = re.compile(r"A-Za-z0-9\._-\]\{1,128\}")
    found = [
        str(path.relative_to(root))
        for folder in ("stream_app", "schemas")
        for path in (root / folder).rglob("*.py")
        if own.search(path.read_text())
    ]
    assert found == []
