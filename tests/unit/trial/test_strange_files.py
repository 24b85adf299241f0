"""Files of installed packages, which nobody prepared for this: each ends in findings or in a sentence."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.errors import PlumblineError

#: Folders of packages that bring data, and how the names of such files end.
FOLDERS: Final = (("sklearn", "datasets/data"), ("river", "datasets"))
ENDS: Final = (".csv", ".csv.gz", ".zip", ".arff", ".json")


def _files() -> list[Path]:
    found = []
    for package, folder in FOLDERS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            here = Path(spec.origin).parent / folder
            found += [path for path in sorted(here.iterdir()) if path.name.endswith(ENDS)]
    return found


def test_there_are_enough_files() -> None:
    assert len(_files()) >= 15


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.name)
def test_a_file_that_nobody_prepared_ends_in_findings_or_in_a_sentence(path: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["try", str(path), "--yes", "--report", str(tmp_path / "report.html")])
    if done.exit_code == 0:
        assert "by week, with its 95 % interval" in done.output
        return
    assert isinstance(done.exception, PlumblineError), done.output
    said = str(done.exception)
    # what to say, or what is wrong with the file
    assert any(way in said for way in ("--map ", "--positive", path.name))
    assert said.count("\n") == 0
    assert not (tmp_path / "report.html").exists()
