"""Rooms and names: no circle of imports, and one public class of each name."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from tests.architecture.test_files import ROOT

PACKAGES = ("stream_app", "agents", "schemas", "benchmarks")


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES)
    arrows = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    list(TopologicalSorter(arrows).static_order())


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_no_room_is_imported_by_a_room_that_it_imports() -> None:
    graph = grimp.build_graph("stream_app")
    rooms: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            if _room(module) != _room(other):
                rooms[_room(module)].add(_room(other))
    list(TopologicalSorter(rooms).static_order())


def test_no_two_public_classes_share_a_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("stream_app", "agents", "schemas"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path.relative_to(ROOT)))
    assert len(found) > 300
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])
