"""What a command imports: people wait for it. And what a worker imports: a close must not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from stream_app.cli import _COMMANDS

ROOT = Path(__file__).parents[2]

#: Commands of people who look and order: they read topics and Redis, and write a record.
_ASKED = ("models", "alerts", "snapshots", "audit")
#: Libraries of workers and trainers.
_HEAVY = {"faust", "mode", "rocksdict", "scipy", "sklearn", "numpy", "pyarrow", "fastapi"}

# Runs in a process of its own: imports a command, says what that cost, and then all that its functions import later.
_IMPORT_COMMAND = """
import ast, importlib, json, sys, time
module = importlib.import_module("stream_app.cli." + sys.argv[1])
import stream_app.cli
cpu, before, known = time.process_time(), set(sys.modules), set()

def ours():
    return {name for name in sys.modules if name.split(".")[0] in ("stream_app", "schemas")} - {"stream_app.__main__"}

while ours() != known:
    for name in ours() - known:
        known.add(name)
        for function in ast.walk(ast.parse(open(sys.modules[name].__file__).read())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import):
                        [importlib.import_module(alias.name) for alias in node.names]
                    elif isinstance(node, ast.ImportFrom):
                        importlib.import_module(node.module)
                        for alias in node.names:
                            try:
                                importlib.import_module(f"{node.module}.{alias.name}")
                            except ImportError:
                                pass  # no module but a name in one
print(json.dumps({"cpu": cpu, "first": sorted(before), "later": sorted(set(sys.modules) - before)}))
"""

# Runs in a process of its own: what the module of a command imports by itself.
_IMPORT_ALONE = """
import importlib, json, sys
importlib.import_module("stream_app.cli." + sys.argv[1])
print(json.dumps({"first": sorted(sys.modules)}))
"""

#: What a list imports before it reads its topics.
_LISTS: dict[str, tuple[str, ...]] = {
    "models": ("stream_app.projection.from_topics",),
    "snapshots": ("stream_app.projection.from_topics",),
    "alerts": ("stream_app.kafka.reading",),
    "audit": ("stream_app.kafka.reading",),
    "dead_letters": ("stream_app.ingest.redrive",),
}
#: Of the CPU that these libraries alone cost: on an idle machine half a second of 0.34.
_SHARE = 1.5
_LIBRARIES = """
import json, time
import aiokafka, pydantic_settings, rich.console
print(json.dumps({"cpu": time.process_time()}))
"""

_START = """
import importlib, json, sys, time
import stream_app.cli
importlib.import_module("stream_app.cli." + sys.argv[1])
from stream_app.settings import place
place.find().kafka_client_options()
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps({"cpu": time.process_time(), "modules": sorted(sys.modules)}))
"""

# Loads what a worker loads, and then compares two weeks of scores in every way that a close does.
_COMPARE = """
import json, sys
import stream_app.app
import numpy as np
before = set(sys.modules)
from stream_app.core.comparisons.kolmogorov import survival
for n in (10, 100, 1_000, 100_000, 2_000_000):
    for d in (0.001, 0.01, 0.1, 0.3, 0.6, 0.9):
        survival(d, n)
print(json.dumps({"first": sorted(before), "later": sorted(set(sys.modules) - before)}))
"""


def _modules() -> dict[str, list[str]]:
    """Modules below stream_app.cli, and the commands in each."""
    found: dict[str, list[str]] = defaultdict(list)
    for command, (module, _, _) in _COMMANDS.items():
        if command in _ASKED or module in ("operators", "attending"):
            found[module].append(command)
    return found


def _run(program: str, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _heavy(names: object) -> set[str]:
    assert isinstance(names, list)
    return {name.partition(".")[0] for name in names} & _HEAVY


def test_commands_and_questions_are_all_looked_at() -> None:
    assert set(_modules()) == {*_ASKED, "operators", "attending"}
    assert {"retrain", "approve", "reject", "acknowledge", "rollback", "set", "dismiss"} <= set(_modules()["operators"])


@pytest.mark.parametrize("module", sorted(_modules()))
def test_a_command_imports_no_library_of_workers_and_trainers_now_or_later(module: str) -> None:
    found = _run(_IMPORT_COMMAND, module)
    print(f"{', '.join(_modules()[module])}: {found['cpu']:.2f} s CPU to start")
    assert _heavy(found["first"]) == set()
    assert _heavy(found["later"]) == set()


@pytest.mark.parametrize("module", sorted({module for module, _, _ in _COMMANDS.values()}))
def test_no_command_imports_a_library_of_workers_and_trainers_before_it_is_called(module: str) -> None:
    """Who asks for help, misspells an option or has it completed does without them."""
    assert _heavy(_run(_IMPORT_ALONE, module)["first"]) == set()


@pytest.mark.parametrize("module", _LISTS)
def test_a_list_begins_to_read_soon(module: str) -> None:
    """Beside libraries of which it needs one, in turns, the least of five each: the machine may have other work."""
    found, peers = [], []
    for _ in range(5):
        found.append(_run(_START, module, *_LISTS[module]))
        peers.append(_run(_LIBRARIES))
    modules = found[0]["modules"]
    assert isinstance(modules, list)
    assert {name.partition(".")[0] for name in modules} & {"pydantic", "pydantic_settings", "rich", "redis"} == set()
    seconds, peer = (min(float(str(one["cpu"])) for one in many) for many in (found, peers))
    print(f"{module}: {seconds:.2f} s CPU, {seconds / peer:.2f} of {peer:.2f}")
    assert seconds <= _SHARE * peer


@pytest.mark.parametrize("module", ["models", "snapshots", "alerts"])
def test_the_sentence_that_ends_a_list_needs_redis_and_no_other_library(module: str) -> None:
    modules = _run(_START, module, *_LISTS[module], "stream_app.projection.asked")["modules"]
    assert isinstance(modules, list)
    assert "redis" in modules
    assert {name.partition(".")[0] for name in modules} & {*_HEAVY, "pydantic", "pydantic_settings", "rich"} == set()


def test_a_worker_imports_all_of_scipy_that_it_needs_when_it_starts() -> None:
    found = _run(_COMPARE)
    assert "scipy" in _heavy(found["first"])
    assert not any(str(name).startswith(("scipy", "numpy")) for name in found["later"])  # type: ignore[attr-defined]
