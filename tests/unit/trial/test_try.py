"""`plumbline try`: what it finds in a stranger's file, what it leaves behind, and how it says no."""

from __future__ import annotations

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_app.cli import cli
from stream_app.errors import Incompatible
from stream_app.ingest.files import Reading
from stream_app.trial.columns import look_at
from stream_app.trial.findings import DriftRun
from stream_app.trial.guess import guess
from stream_app.trial.shares import percent
from stream_app.trial.words import run_in_words
from tests.support.scored_file import ScoredFile

FILE = ScoredFile(rows=6_000, days=60, change=25, lost=48)


def _try(*arguments: str, say: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, ["try", *arguments], input=say)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The planted file once through all of it."""
    folder = tmp_path_factory.mktemp("try")
    path = FILE.write(folder / "scored.csv")
    done = _try(str(path), "--yes", "--save", str(folder / "map.toml"), "--report", str(folder / "report.html"))
    assert done.exit_code == 0, done.output
    return folder, done


def test_the_guess_is_shown_with_what_it_stands_on(tried: tuple[Path, Result]) -> None:
    text = tried[1].stdout
    for field, column in (
        ("predicted_at", "scored_at"), ("observed_at", "label_at"), ("actual", "label"), ("score", "probability"),
        ("predicted", "decision"), ("prediction_id", "request_id"), ("positive", "good, approve"),
    ):  # fmt: skip
        assert re.search(rf"^{field} +{column}  ", text, re.MULTILINE), field


def test_what_is_said_by_hand_stands_beside_what_is_guessed(tmp_path: Path) -> None:
    path = ScoredFile(400, 9, 9, 9).write(tmp_path / "scored.csv")
    said = ("--map", "score=probability | scale(0, 1)", "--map", "predicted=", "--set", "model_type=credit")
    done = _try(str(path), *said, "--positive", "good", "--yes", "--report", str(tmp_path / "report.html"))
    assert done.exit_code == 0, done.output
    for field, column in (
        ("score", r"probability \| scale\(0, 1\)"), ("predicted", "no column"), ("model_type", "always credit"),
        ("positive", "good"),
    ):  # fmt: skip
        assert re.search(rf"^{field} +{column} +as you say$", done.stdout, re.MULTILINE), (field, done.output)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 9, "0%"), (9, 9, "100%"), (1, 10_000, "under 1%"), (9_999, 10_000, "over 99%"), (1, 3, "33%")],
)
def test_a_share_is_nothing_or_all_only_where_it_is(part: int, whole: int, said: str) -> None:
    assert percent(part, whole) == said


def test_the_planted_day_and_the_change_of_version_are_found(tried: tuple[Path, Result]) -> None:
    text = tried[1].stdout
    taken = re.search(r"Version 2026\.04 took over from 2026\.01 on (\S+)", text)
    assert taken is not None
    assert FILE.date(FILE.change) <= taken[1] <= FILE.date(FILE.change + 2)
    alert = re.search(r"Alert, (?:HIGH|CRITICAL), opened (\S+): (?:accuracy|precision) 0", text)
    assert alert is not None
    assert FILE.date(FILE.lost + 1) <= alert[1] <= FILE.date(FILE.lost + 5)
    assert "with 99 % certainty" in text
    assert "Performance drifted from" in text
    assert "accuracy by week, with its 95 % interval" in text
    assert "outcomes of 95% of them" in text


def _window(metric: str, first: str, recent: float, low: float, rows: int) -> dict[str, object]:
    return {
        "metric": metric, "from": f"{first}T00:00:00.000Z", "baseline": 0.8, "recent": recent, "recent_rows": rows,
        "interval": [low, 0.5],
    }  # fmt: skip


@pytest.mark.parametrize("metric", ["accuracy", "precision"])
@pytest.mark.parametrize("first", ["2026-03-01", "2026-03-07"])
def test_the_worst_check_is_told_by_what_made_it_so_severe(metric: str, first: str) -> None:
    windows = [
        _window(name, day, 0.45 if (name, day) == (metric, first) else 0.65, 0.07, rows)
        for day, rows in (("2026-03-01", 400), ("2026-03-07", 60))
        for name in ("accuracy", "precision")
    ]
    worst = {
        "kind": "performance", "severity": "CRITICAL", "metric": metric, "statistic": 35.0000001, "windows": windows,
    }  # fmt: skip
    said = run_in_words(DriftRun("performance", "2026-03-08", "2026-03-08", 1, worst))
    assert f"at worst CRITICAL: {metric} 0.80 → 0.45 in the days from {first}, a drop of 7.0 to 50.0" in said


class _Asks(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.asks: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.asks += [f"{tag} {value}" for name, value in attrs if name in ("src", "href", "action")]


def test_the_report_has_charts_and_needs_nothing_else(tried: tuple[Path, Result]) -> None:
    text = (tried[0] / "report.html").read_text(encoding="utf-8")
    page = _Asks()
    page.feed(text)
    assert page.asks == []
    assert {"svg", "polyline", "rect", "table"} <= page.tags
    assert "script" not in page.tags
    assert "url(" not in text
    assert "2026.04" in text
    assert {path.name for path in tried[0].iterdir()} == {"scored.csv", "map.toml", "report.html"}


def test_the_saved_mapping_is_one_that_other_commands_take(tried: tuple[Path, Result]) -> None:
    folder = tried[0]
    saved = tomllib.loads((folder / "map.toml").read_text(encoding="utf-8"))
    assert saved["positive"] == ["good", "approve"]
    assert saved["map"]["score"] == "probability"
    path, target = str(folder / "scored.csv"), str(folder / "map.toml")
    done = CliRunner().invoke(cli, ["replay", path, "--mapping", target, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "6,000 predictions and" in done.output


def test_it_asks_and_a_no_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ScoredFile(40, 4, 9, 9).write(tmp_path / "scored.csv")
    done = _try("scored.csv", say="n\n")
    assert isinstance(done.exception, Incompatible)
    assert "--map FIELD=COLUMN" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["scored.csv"]
    assert _try("scored.csv", say="y\n").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.csv", "a,b\n1,2\n", "no column looks like the time of a prediction"),
        ("price.csv", "date,price\n2026-03-02,812.5\n", "no column looks like a score"),
        ("head.csv", "time,score,label\n", "it has a header and no row"),
        ("empty.csv", "", "is empty"),
        ("ragged.csv", "569,30,malignant\n1,2,3,4\n1,2,3,4\n", "none of its first rows can be read: row 1"),
        ("twice.csv", "time,time,score\n2026-03-02,2026-03-02,1\n", "stands twice"),
        ("many.csv", "time,score,label\n2026-03-02T00:00Z,.1,a\n2026-03-02T00:00Z,.2,b\n2026-03-02T00:00Z,.2,c\n",
         "label has 3 classes"),
        ("notes.docx", "words", "cannot tell the format"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried_is_said_in_a_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    done = _try(str(path), "--yes", "--report", str(tmp_path / "r.html"))
    assert isinstance(done.exception, Incompatible), done.output
    assert said in str(done.exception)
    assert "--map" in str(done.exception) or name != "none.csv"
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("head", "row", "expected"),
    [
        ("timestamp,y_pred_proba,y_true", "1772445600,0.{0},{1}", {"time_format": "s", "ids": "content"}),
        ("id,TX_DATETIME,score,TX_FRAUD", "t{0},2026-03-02 10:{0}:00,0.{0},{1}", {"assume_utc": True}),
        ("id,time,percent,left", "t{0},02.03.2026 10:{0},{0},{1}", {"time_format": "%d.%m.%Y %H:%M"}),
        ("id,time,percent,left", "t{0},2026-03-02T10:{0}:00Z,{0}%,{1}", {}),
        ("id,time,percent,left", "t{0},2026-03-02T10:{0}:00Z,0.{0} %,{1}", {}),
        ("id,year,predicted_probability,prediction,employed", "t{0},2015,0.{0},{1},{1}", {"spread": "year"}),
    ],
)  # fmt: skip
def test_times_and_scores_are_recognised_however_they_are_written(
    tmp_path: Path, head: str, row: str, expected: dict[str, object]
) -> None:
    path, saved = tmp_path / "strange.csv", tmp_path / "map.toml"
    rows = [row.format(number, number % 2) for number in range(10, 60)]
    path.write_text("\n".join([head, *rows]) + "\n")
    done = _try(str(path), "--yes", "--save", str(saved), "--report", str(tmp_path / "r.html"))
    assert done.exit_code == 0, done.output
    content = tomllib.loads(saved.read_text())
    assert expected.items() <= content.items()
    assert "50 predictions, outcomes of 100% of them" in done.stdout
    if "percent" in head:
        sign = " | split('%') | at(0)" if "%" in row else ""
        assert content["map"]["score"] == f"percent{sign} | scale(0, 100)"


def test_what_is_said_goes_over_what_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "scored.csv"
    path.write_text("id,time,score,second,label\na,2026-03-02T10:00Z,0.9,0.1,yes\nb,2026-03-02T11:00Z,0.2,0.8,no\n")
    done = _try(
        str(path), "--yes", "--map", "score=second", "--set", "model_type=fraud", "--set", "tenant_id=acme",
        "--positive", "no", "--report", str(tmp_path / "r.html"), "--save", str(tmp_path / "map.toml"),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "fraud:acme: 2 predictions" in done.stdout
    assert "precision by week" in done.stdout
    content = tomllib.loads((tmp_path / "map.toml").read_text())
    assert (content["map"]["score"], content["positive"]) == ("second", ["no"])


@pytest.mark.parametrize(
    ("header", "values", "version", "model_type"),
    [
        ("model", ("v1", "v2"), "model", "scored"),
        ("model", ("2024.03", "2024.04"), "model", "scored"),
        ("model", ("churn", "fraud"), "v1", "model"),
        ("model", ("churn-v1", "churn-v2"), "v1", "model"),
        ("model_version", ("v1", "v2"), "model_version", "scored"),
        ("use_case", ("lending", "cards"), "v1", "use_case"),
    ],
)
def test_a_column_called_model_is_read_as_what_stands_in_it(
    tmp_path: Path, header: str, values: tuple[str, str], version: str, model_type: str
) -> None:
    path = tmp_path / "scored.csv"
    rows = [f"i{n},2026-03-02T{n % 24:02}:00:00Z,{n % 10 / 10},{n % 2},{values[n % 2]}" for n in range(40)]
    path.write_text("\n".join([f"id,time,score,actual,{header}", *rows]) + "\n")
    said = guess(look_at((path,), Reading()), (path,), {})
    of = {**said.content.get("map", {}), **said.content.get("set", {})}
    read = {field: column for field, column, _ in said.lines}
    assert (of.get("model_version", read["model_version"]), of.get("model_type", read["model_type"])) == (
        version, model_type,
    )  # fmt: skip
