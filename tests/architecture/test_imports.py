"""Which module may know which, and what an import may do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in a process of its own: imports everything and reports whatever an import did to the world.
_IMPORT_EVERYTHING = """
import importlib, os, pkgutil, sys, threading
import croniter  # Faust's: runs `file` to learn how many bits the interpreter has

done = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "os.remove"):
        done.append((event, arguments))
    elif event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        done.append((event, arguments[0]))

sys.dont_write_bytecode = True
threads = threading.active_count()
sys.addaudithook(watch)
names = []
for package in ("stream_app", "agents", "schemas"):
    path = importlib.import_module(package).__path__
    names += [package, *(module.name for module in pkgutil.walk_packages(path, package + "."))]
for name in names:
    before = len(done)
    importlib.import_module(name)
    for item in done[before:]:
        print(name, "does", item)
if threading.active_count() != threads:
    print("threads were started:", threading.enumerate())
print(len(names), "modules", file=sys.stderr)
"""


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_importing_any_module_opens_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-2]) > 50, "the packages were not found"
    assert done.stdout == ""
