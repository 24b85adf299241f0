"""Which artefacts are loaded: those whose bytes this pipeline knows of, inside the registry, under proper names."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.common import NAME
from stream_app.errors import Incompatible
from stream_app.reference import artefacts
from stream_app.reference.learners import Fitted, logistic
from stream_app.reference.predictor import Predictor, seed
from stream_app.reference.registry import ACTIVE, ARTEFACT, CARD, FolderRegistry
from stream_app.reference.trainer import Trainer
from stream_app.settings import Settings
from tests.support.reference import Runs

MODEL = "churn:acme"
ROWS: list[dict[str, Any]] = [{"x": float(n)} for n in range(40)]
ACTUAL = np.array([0, 1] * 20)


def fitted(sign: int = 1) -> Fitted:
    return Fitted(logistic(sign * np.array([[row["x"]] for row in ROWS]), ACTUAL), ["x"])


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    made = FolderRegistry(tmp_path / "registry")
    seed(made, MODEL, "v1", logistic, ROWS, ACTUAL)
    return made


def test_bytes_that_are_not_those_of_the_log_are_never_run(registry: FolderRegistry, tmp_path: Path) -> None:
    stored, trace = registry.put(MODEL, "v2", fitted(), {}), tmp_path / "trace"
    (tmp_path / "registry" / "churn@acme" / "v2" / ARTEFACT).write_bytes(pickle.dumps(Runs(trace)))
    for call in (
        lambda: registry.load(MODEL, "v2", stored.sha256),
        lambda: registry.activate(MODEL, "v2", "o", stored.sha256),
    ):
        with pytest.raises(Incompatible, match=f"and {stored.sha256} was expected"):
            call()
    assert registry.active(MODEL) == "v1"
    assert not trace.exists()


def test_a_predictor_loads_what_was_made_to_serve_and_nothing_that_took_its_place(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    path, trace = tmp_path / "registry" / "churn@acme" / "v1" / ARTEFACT, tmp_path / "trace"
    path.write_bytes(pickle.dumps(Runs(trace)))
    with pytest.raises(Incompatible, match="was expected"):
        Predictor(registry).predict(MODEL, ROWS[:1])
    # a pointer without digests is one that nobody here wrote
    (path.parent.parent / ACTIVE).write_bytes(b'{"version":"v1","previous":null,"by":"eve"}')
    with pytest.raises(Incompatible, match="registered by somebody else"):
        Predictor(registry).predict(MODEL, ROWS[:1])
    assert not trace.exists()
    path.write_bytes(artefacts.dump(fitted()))
    assert Predictor(registry, trust=True).predict(MODEL, ROWS[:1])[0].version == "v1"


async def test_a_trainer_judges_against_what_is_known_to_serve_and_else_against_what_was_recorded(
    registry: FolderRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named: dict[str, str] = {}

    async def made(model: str, version: str) -> str | None:
        return named.get(version)

    def trainer(trust: bool) -> Trainer:
        found = Trainer(Settings(registry_trust=trust), registry, "logistic")
        monkeypatch.setattr(found._commands, "made", made)
        return found

    trace, folder = tmp_path / "trace", tmp_path / "registry" / "churn@acme"
    assert await trainer(trust=False)._champion(MODEL, "v1") is not None
    # one that was deployed elsewhere: its trainer's word is in the log, or nobody's is
    named["v2"] = registry.put(MODEL, "v2", fitted(), {}).sha256
    registry.put(MODEL, "v3", fitted(), {})
    assert await trainer(trust=False)._champion(MODEL, "v2") is not None
    assert await trainer(trust=False)._champion(MODEL, "v3") is None
    assert await trainer(trust=True)._champion(MODEL, "v3") is not None
    assert "version v3 of churn:acme was registered by somebody else" in caplog.text
    # other bytes under a name that is known, trusted or not
    (folder / "v2" / ARTEFACT).write_bytes(pickle.dumps(Runs(trace)))
    for trust in (False, True):
        caplog.clear()
        assert await trainer(trust)._champion(MODEL, "v2") is None
        assert f"and {named['v2']} was expected" in caplog.text
    assert not trace.exists()


def test_one_can_go_back_to_the_bytes_that_served_and_to_no_others(registry: FolderRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "registry" / "churn@acme"
    was = registry.digest(MODEL, "v1")
    # whoever made it serve: here nobody whom the registry remembers
    (folder / ACTIVE).write_bytes(b'{"version":"v1"}')
    assert registry.served(MODEL, "v1") is None
    registry.activate(MODEL, "v2", "o", registry.put(MODEL, "v2", fitted(-1), {}).sha256)
    assert registry.served(MODEL, "v1") == was
    registry.activate(MODEL, "v1", "back", was)
    assert registry.active(MODEL) == "v1"
    assert registry.served(MODEL, "v9") is None


def test_digests_of_the_newest_versions_are_remembered(registry: FolderRegistry) -> None:
    stored = [registry.put(MODEL, f"n{n}", fitted(), {}).sha256 for n in range(60)]
    for n, digest in enumerate(stored):
        registry.activate(MODEL, f"n{n}", "o", digest)
    known = [n for n in range(60) if registry.served(MODEL, f"n{n}")]
    assert known == list(range(10, 60))


def test_what_was_put_there_before_the_trainer_is_replaced_and_never_named(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    folder, trace = tmp_path / "registry" / "churn@acme" / "v2", tmp_path / "trace"
    folder.mkdir()
    (folder / ARTEFACT).write_bytes(pickle.dumps(Runs(trace)))
    stored = registry.put(MODEL, "v2", fitted(), {"attempt": 1})
    assert registry.digest(MODEL, "v2") == stored.sha256 == (registry.card(MODEL, "v2") or {})["sha256"]
    assert registry.load(MODEL, "v2", stored.sha256) is not None
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["..", ".", "", "/etc", "../v1", "a/b", "a\\b", "a:b", "%2e%2e", "a\0", "a\n", "x" * 129, ACTIVE]
)
def test_no_name_leads_out_of_the_registry(registry: FolderRegistry, name: str) -> None:
    models = (MODEL, name) if name != ACTIVE else (MODEL,)
    for model in models:
        for call in (
            lambda model=model: registry.put(model, name, fitted(), {}),
            lambda model=model: registry.load(model, name, None),
            lambda model=model: registry.digest(model, name),
            lambda model=model: registry.card(model, name),
            lambda model=model: registry.activate(model, name, "o"),
        ):
            with pytest.raises(Incompatible):
                call()
    if name != ACTIVE:
        for model in (f"{name}:acme", f"churn:{name}"):
            with pytest.raises(Incompatible):
                registry.active(model)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=8), st.text("./\\:@~-", max_size=6))
def test_any_text_is_a_name_or_refused(registry: FolderRegistry, text: str, dots: str) -> None:
    for name in (text, dots, text + dots):
        if re.fullmatch(NAME, name) and name != ACTIVE:
            assert registry.load(MODEL, name, None) is None or name == "v1"
        else:
            with pytest.raises(Incompatible):
                registry.load(MODEL, name, None)


@pytest.mark.parametrize("link", ["version", "artefact", "card", "model", "pointer", "circle"])
def test_no_link_leads_out_of_the_registry(registry: FolderRegistry, tmp_path: Path, link: str) -> None:
    root, outside = tmp_path / "registry", tmp_path / "outside"
    other = FolderRegistry(outside)
    other.activate(MODEL, "v2", "eve", other.put(MODEL, "v2", fitted(), {}).sha256)
    there, here = outside / "churn@acme", root / "churn@acme"
    if link == "version":
        (here / "v2").symlink_to(there / "v2")
    elif link in ("artefact", "card"):
        (here / "v2").mkdir()
        name = ARTEFACT if link == "artefact" else CARD
        (here / "v2" / name).symlink_to(there / "v2" / name)
    elif link == "model":
        (root / "churn@other").symlink_to(there)
    elif link == "pointer":
        (here / ACTIVE).unlink()
        (here / ACTIVE).symlink_to(there / ACTIVE)
    else:
        (here / "v2").symlink_to(here / "v2")
    calls: dict[str, Callable[[], object]] = {
        "card": lambda: registry.card(MODEL, "v2"),
        "pointer": lambda: registry.active(MODEL),
        "model": lambda: registry.load("churn:other", "v2", None),
    }
    with pytest.raises(Incompatible):
        calls.get(link, lambda: registry.load(MODEL, "v2", None))()


def test_links_inside_the_registry_and_a_registry_behind_a_link_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    registry = FolderRegistry(tmp_path / "link")
    stored = registry.put(MODEL, "v1", fitted(), {})
    (tmp_path / "real" / "churn@acme" / "v2").symlink_to("v1")
    assert registry.digest(MODEL, "v2") == stored.sha256


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"version":7}', b'{"version":".."}']
)
def test_a_pointer_or_a_card_of_any_bytes_is_named(registry: FolderRegistry, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "registry" / "churn@acme"
    (folder / "v1" / CARD).write_bytes(content)
    (folder / ACTIVE).write_bytes(content)
    if not content.startswith(b'{"version"'):
        with pytest.raises(Incompatible, match="restore it or take it away"):
            registry.card(MODEL, "v1")
    with pytest.raises(Incompatible):
        registry.active(MODEL)
    if content != b'{"version":".."}':
        with pytest.raises(Incompatible):
            registry.served(MODEL, "v1")


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"not a pickle", pickle.dumps(7), pickle.dumps({"a": 1}), bytes(range(128, 192))]
)
def test_an_artefact_that_is_no_model_is_named_even_where_it_is_trusted(
    registry: FolderRegistry, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "registry" / "churn@acme" / "v1" / ARTEFACT).write_bytes(content)
    with pytest.raises(Incompatible, match="artefact of v1 of churn:acme"):
        registry.load(MODEL, "v1", None)
