"""Guessing which column is what, by its name and by what stands in it; where nothing fits, a sentence says what lacks.

A guess is a mapping as people write one, so it can be shown, corrected and saved.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.common import NAME, flag
from stream_app.errors import Incompatible
from stream_app.ingest.inputs import outcomes_alone
from stream_app.trial.columns import FileColumn
from stream_app.trial.shares import percent

#: Names of columns by the field they are mostly meant for, in the order of preference.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "prediction_id": (
        "prediction_id", "request_id", "transaction_id", "event_id", "inference_id", "case_id", "record_id", "row_id",
        "id", "uuid", "identifier", "key", "index",
    ),
    "predicted_at": (
        "predicted_at", "prediction_time", "prediction_timestamp", "scored_at", "score_time", "timestamp", "event_time",
        "event_timestamp", "datetime", "tx_datetime", "created_at", "request_time", "time", "ts", "date", "day", "at",
        "year",
    ),
    "observed_at": (
        "observed_at", "label_at", "label_time", "label_timestamp", "labelled_at", "labeled_at", "outcome_at",
        "outcome_time", "outcome_date", "label_date", "resolved_at", "seen",
    ),
    "score": (
        "score", "predicted_probability", "probability", "predicted_proba", "y_pred_proba", "y_proba", "y_score",
        "pred_proba", "prob", "proba", "p", "risk_score", "fraud_score", "confidence", "scores", "prediction_score",
        "model_score", "score1", "pct", "percent", "prediction",
    ),
    "actual": (
        "actual", "label", "target", "y_true", "outcome", "ground_truth", "truth", "true_label", "class", "y",
        "repaid", "employed", "is_fraud", "tx_fraud", "fraud", "churn", "churned", "default", "defaulted", "left",
        "converted", "clicked", "survived", "response", "result", "status",
    ),
    "predicted": (
        "predicted", "prediction", "predicted_label", "predicted_class", "y_pred", "y_hat", "decision", "pred",
        "verdict",
    ),
    "model_version": ("model_version", "version", "model_ver", "release", "build"),
    "model_type": ("model_type", "model_name", "model", "use_case"),
    "tenant_id": ("tenant_id", "tenant"),
    "threshold": ("threshold", "cutoff"),
}  # fmt: skip
_FIELD_NAME: Final = re.compile(NAME)
#: v1, V2.1, 2024.03: what a version is called, and a type of model is not.
_VERSION: Final = re.compile(r"[vV]\.?\d+([._-]\d+)*|\d+(\.\d+)+")
#: Classes of one label beyond which it is no label but a number.
_CLASSES: Final = 50
_POSITIVE: Final = {
    "fraud", "positive", "pos", "churn", "churned", "default", "defaulted", "up", "spam", "bad", "left", "converted",
}  # fmt: skip


@dataclass(slots=True)
class Guess:
    """``content``: what a mapping file would hold. ``lines``: (field, what it is read from, why), for people."""

    content: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def column(self, name: str, column: str, why: str) -> None:
        """A field is read from a column, or from an expression."""
        if column != name:
            self.content.setdefault("map", {})[name] = column
        self.lines.append((name, column, why))

    def constant(self, name: str, value: str, why: str) -> None:
        """A field has one value."""
        self.content.setdefault("set", {})[name] = value
        self.lines.append((name, f"always {value}", why))


class _Hand:
    """Columns that nobody has taken yet."""

    def __init__(self, columns: Sequence[FileColumn], files: Collection[Path], given: Mapping[str, Any]) -> None:
        self.given = given
        self._all, self._files = columns, files
        self._columns = {column.name: column for column in columns}
        self._order = list(self._columns)
        for name in given.get("map", {}).values():
            self._columns.pop(name, None)

    def take(self, name: str, fits: Callable[[FileColumn], bool], *, by_form: bool = False) -> FileColumn | None:
        """The column that is meant by its name and fits; with ``by_form`` any that fits."""
        spelt = {_plain(column): column for column in reversed(list(self._columns))}
        wanted = _NAMES.get(name, ())
        found = [spelt[option] for option in wanted if option in spelt]
        found += [
            spelt[known]
            for option in wanted[:6]
            for known in spelt
            if len(option) > 3 and option in known and spelt[known] not in found
        ]
        if by_form:
            found += [column for column in self._columns if column not in found]
        for column in found:
            if fits(self._columns[column]):
                return self._columns.pop(column)
        return None

    def names(self) -> str:
        """All columns, for people."""
        return ", ".join(repr(name) for name in self._order[:30]) + (", …" if len(self._order) > 30 else "")

    def hint(self) -> str:
        """What to do if the files hold outcomes alone, where they may: something is a label, nothing a score."""
        labels = [one for one in self._all if _is_label(one) and one.time() is None and not _fractions(one)]
        scored = any(_share(one) or _percent(one) for one in self._all if one not in labels)
        return "" if scored or not labels else f". {outcomes_alone(self._files)}"


def _plain(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def guess(columns: list[FileColumn], files: Collection[Path], given: Mapping[str, Any]) -> Guess:
    """What the columns are. ``given``: what the user says already, as a mapping file holds it; it is not guessed at.

    ``Incompatible`` if there is no time, no score or no sense in it.
    """
    found, hand = Guess(), _Hand(columns, files, given)
    said = {*given.get("map", {}), *given.get("set", {})}
    if "predicted_at" not in said:
        _times(found, hand)
    if "actual" in said:
        actual = next((column for column in columns if column.name == given.get("map", {}).get("actual")), None)
    else:
        actual = hand.take("actual", lambda column: _is_label(column))
        if actual is not None:
            found.column("actual", actual.name, _classes(actual))
        else:
            found.notes.append("No column looks like what really happened: only scores can be compared.")
    score = None if "score" in said else _score(found, hand)
    if "predicted" not in said:
        _decision(found, hand, actual)
    if actual is not None and not given.get("positive"):
        _positive(found, columns, actual, score)
    if "prediction_id" not in said and not given.get("ids"):
        ids = hand.take("prediction_id", lambda column: column.distinct())
        if ids is not None:
            found.column("prediction_id", ids.name, f"one for each row, such as {ids.first}")
        else:
            found.content["ids"] = "content"
            found.lines.append(("prediction_id", "made of the file's content", "no column has one for each row"))
    _names(found, hand, said, files)
    found.lines += _as_said(given)
    return found


def _as_said(given: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What is not guessed stands beside what is: all of it is how the file is read."""
    why = "as you say"
    yield from ((name, str(column) or "no column", why) for name, column in given.get("map", {}).items())
    yield from ((name, f"always {value}", why) for name, value in given.get("set", {}).items())
    for name in ("positive", "negative"):
        labels = given.get(name, ())
        if labels:
            yield name, labels if isinstance(labels, str) else ", ".join(map(str, labels)), why


def _times(found: Guess, hand: _Hand) -> None:
    column = hand.take("predicted_at", lambda one: one.time() is not None, by_form=True)
    if column is None:
        column = hand.take("predicted_at", lambda one: one.years())
        if column is None:
            raise Incompatible(
                f"no column looks like the time of a prediction: say which with --map predicted_at=COLUMN, and how it "
                f"is written with --time-format. The columns are {hand.names()}{hand.hint()}"
            )
        found.column("predicted_at", column.name, "a year alone: rows are spread over it")
        found.content["spread"] = "year"
        return
    form, naive = column.time() or ("", False)
    written = {"": "", "s": "seconds since 1970", "ms": "milliseconds since 1970"}.get(form, f"written as {form}")
    if form:
        found.content["time_format"] = form
    if naive and not (hand.given.get("timezone") or hand.given.get("assume_utc")):
        found.content["assume_utc"] = True
        found.notes.append("Times have no offset and are taken as UTC; --timezone says otherwise.")
    found.column("predicted_at", column.name, ", ".join(filter(None, (written, f"such as {column.first}"))))
    late = hand.take("observed_at", lambda one: (one.time() or ("-", False))[0] == form)
    if late is not None:
        found.column("observed_at", late.name, f"when the outcome was known, such as {late.first}")
    elif not hand.given.get("label_delay"):
        found.notes.append("No column says when outcomes were known: each counts as known when it was predicted.")


def _is_label(column: FileColumn) -> bool:
    kinds = column.kinds()
    return kinds is not None and 1 <= len(kinds) <= _CLASSES


def _classes(column: FileColumn) -> str:
    kinds = column.kinds() or Counter()
    return ", ".join(f"{value} {percent(count, kinds.total())}" for value, count in kinds.most_common(4))


def _fractions(column: FileColumn) -> bool:
    return any(number % 1 for _, number in column.numbers() or ())


def _share(column: FileColumn) -> bool:
    numbers = column.numbers()
    return numbers is not None and not column.percents() and all(0 <= number <= 1 for _, number in numbers)


def _percent(column: FileColumn) -> bool:
    numbers = column.numbers()
    # only a plain name can stand in an expression
    plain = re.fullmatch(r"[A-Za-z_][\w-]*", column.name) is not None
    return plain and numbers is not None and all(0 <= number <= 100 for _, number in numbers)


def _score(found: Guess, hand: _Hand) -> FileColumn:
    column = hand.take("score", _share)
    if column is not None:
        found.column("score", column.name, f"from 0 to 1, such as {column.first}")
        return column
    column = hand.take("score", _percent)
    if column is not None:
        unsigned = " | split('%') | at(0)" if column.percents() else ""
        found.column("score", f"{column.name}{unsigned} | scale(0, 100)", f"in percent, such as {column.first}")
        return column
    raise Incompatible(
        "no column looks like a score: a number from 0 to 1, or in percent, that says how sure the model was of the "
        "positive class. Plumbline watches classifiers; say which column it is with --map score=COLUMN (an expression "
        f"such as 'logit | sigmoid' or 'points | scale(300, 850)' will do). The columns are {hand.names()}{hand.hint()}"
    )


def _decision(found: Guess, hand: _Hand, actual: FileColumn | None) -> None:
    column = hand.take("predicted", lambda one: 1 <= len(one.kinds() or ()) <= 2)
    if column is not None and (actual is not None or column.flags()):
        found.column("predicted", column.name, _classes(column))
    else:
        found.lines.append(("predicted", "score of 0.5 or more", "no column holds the decision"))


def _positive(found: Guess, columns: list[FileColumn], actual: FileColumn, score: FileColumn | None) -> None:
    """Which class counts: the one with the higher scores; of more than two somebody has to say which."""
    decided = next((column for column in columns if column.name == _read_from(found, "predicted")), None)
    labels = [column for column in (actual, decided) if column is not None]
    kinds = actual.kinds() or Counter()
    if len(kinds) > 2:
        raise Incompatible(
            f"{actual.name} has {len(kinds)} classes ({_classes(actual)}, …): say with --positive which of them the "
            "score is about; all others count as negative"
        )
    means = [_mean_scores(column, score) for column in labels]
    if all(column.flags() for column in labels):
        upside_down = [m for m in means if len(m) == 2 and _true(m, True) < _true(m, False)]
        if upside_down:
            found.notes.append(
                f"Scores are lower where {actual.name} is true: is the score that of the other class? "
                f"--map 'score=(1 - {score.name if score is not None else 'score'})' turns it round."
            )
        return
    positive = []
    for column, mean in zip(labels, means, strict=True):
        known = column.kinds() or Counter()
        words = [value for value in known if value.lower() in _POSITIVE or flag(value) is True]
        best = max(mean, key=lambda value: mean[value]) if len(mean) == 2 else (words or list(known))[0]
        if best not in positive:
            positive.append(best)
    found.content["positive"] = positive
    found.lines.append(("positive", ", ".join(positive), "has the higher scores" if score is not None else ""))


def _read_from(found: Guess, name: str) -> str:
    return next((column for field_name, column, _ in found.lines if field_name == name), "")


def _true(means: Mapping[str, float], wanted: bool) -> float:
    return next((mean for value, mean in means.items() if flag(value) is wanted), 0.0)


def _mean_scores(column: FileColumn, score: FileColumn | None) -> dict[str, float]:
    scores = dict(score.numbers() or ()) if score is not None else {}
    sums: dict[str, list[float]] = {}
    for row, value in column.values:
        if row in scores:
            sums.setdefault(str(value).strip(), []).append(scores[row])
    return {value: sum(found) / len(found) for value, found in sums.items()}


def _names(found: Guess, hand: _Hand, said: Collection[str], files: Collection[Path]) -> None:
    def named(most: int) -> Callable[[FileColumn], bool]:
        def fits(column: FileColumn) -> bool:
            kinds = column.kinds()
            whole = len(column.values) == column.rows
            return kinds is not None and whole and len(kinds) <= most and all(map(_FIELD_NAME.fullmatch, kinds))

        return fits

    def versions(column: FileColumn) -> bool:
        """A column called `model` that holds v1 and v2: which version it was, not two models."""
        return named(50)(column) and all(map(_VERSION.fullmatch, column.kinds() or ()))

    for name, most, otherwise in (("model_version", 50, "v1"), ("model_type", 50, _of_file(files))):
        if name in said:
            continue
        column = hand.take(name, named(most))
        if column is None and name == "model_version":
            column = hand.take("model_type", versions)
        if column is not None:
            found.column(name, column.name, _classes(column))
        else:
            found.constant(name, otherwise, "no column says otherwise")
    for name in ("tenant_id", "threshold"):
        column = None if name in said else hand.take(name, named(200))
        if column is not None:
            found.column(name, column.name, f"such as {column.first}")


def _of_file(files: Collection[Path]) -> str:
    """A model's type, after its file."""
    stem = next(iter(files)).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60] or "model"
