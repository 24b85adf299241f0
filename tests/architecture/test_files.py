"""Sizes, paths and names in the project's files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.cli import cli

ROOT = Path(__file__).parents[2]
PACKAGES = ("stream_app", "agents", "schemas", "tests", "benchmarks")
LONGEST_FILE = 400
LONGEST_AGENT = 40

#: A file or folder of the project as prose writes it: `stream_app/core/`, docs/architecture.md
_PATH = re.compile(r"(?<![\w./-])((?:stream_app|agents|schemas|tests|benchmarks|docs|scripts|\.ci)/[\w./-]*\w)")
#: Folders of one machine, written so that this line does not match itself.
_MACHINE = re.compile(r"(?<![\w.~}$-])/(?:tmp|work|root|farm|home)" + r"/\w")


def _python() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def _lines(path: Path) -> int:
    return path.read_text().count("\n")


def _written() -> list[Path]:
    """Everything people wrote: sources, documents, scripts and settings, but no data and nothing generated."""
    suffixes = {".py", ".md", ".toml", ".yml", ".yaml", ".lock", ".html", ".css", ".js", ".sh", ""}
    top = [path for path in ROOT.iterdir() if path.is_file()]
    folders = [*PACKAGES, "docs", "scripts", ".ci"]
    below = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    return sorted(path for path in top + below if path.suffix in suffixes and "__pycache__" not in path.parts)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    static = [path for path in (ROOT / "stream_app" / "web" / "static").rglob("*") if path.suffix in {".js", ".css"}]
    assert static
    long = {str(path.relative_to(ROOT)): _lines(path) for path in _python() + static if _lines(path) > LONGEST_FILE}
    assert long == {}


def test_agents_only_say_which_topics_which_stage_and_which_table() -> None:
    agents = sorted((ROOT / "agents").glob("*.py"))
    assert {path.stem for path in agents} >= {"labels", "metrics", "clock"}
    assert {path.name: _lines(path) for path in agents if _lines(path) > LONGEST_AGENT} == {}


def test_paths_named_in_documents_and_comments_exist() -> None:
    seen = set()
    missing = []
    for path in _written():
        if path.suffix in {".lock"}:
            continue
        for name in _PATH.findall(path.read_text(errors="replace")):
            seen.add(name)
            if not (ROOT / name).exists():
                missing.append(f"{path.relative_to(ROOT)} names {name}")
    assert len(seen) > 5
    assert missing == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in _written()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if _MACHINE.search(line)
    ]
    assert found == []


def test_locks_hold_exact_versions_and_neither_an_index_nor_a_path() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        # Options begin a line; the hashes of a version are indented below it.
        assert not re.search(r"://|^-|@ ", text, re.MULTILINE), name
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert len(pins) > 30
        assert all(re.match(r"[\w.-]+==[\w.]+ ", pin) for pin in pins), name


def test_the_compose_file_is_valid_and_starts_only_processes_of_the_procfile() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose, which reads the file, is not installed; nothing else here needs it")
    command = [program, "-f", str(ROOT / "docker-compose.yml"), "config", "--services"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    assert set(done.stdout.split()) - {"bridge"} == {"kafka", "redis", "topics"} | processes


@pytest.mark.parametrize("name", cli.list_commands(None))  # type: ignore[arg-type]
def test_every_listed_command_explains_itself(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Usage:" in done.output
