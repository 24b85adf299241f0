"""Labels: what stands for a class in other people's records, and whether two of them are the same class.

A label is text, a whole number, or true or false; true is 1, whichever way it is written. What says that there is none
(blank, nan, null, None), and what cannot be one beside the label that was asked for, is a fault: taken for "another
class" it would count as a negative.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from stream_app.ingest.relay.words import MISSING, Fault, fractions, shown

Label = int | float | str

_TRUTHS: Final[dict[str, Label]] = {"true": 1, "false": 0}


def label_of(value: Any) -> Label:
    """A label in the one form in which labels are compared: 1, 1.0, '1' and true are one. Raises ``Fault``."""
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, list) and len(value) == 1:
        return label_of(value[0])
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    raise Fault(f"{shown(value)} is no label")


@lru_cache(maxsize=1024)
def _of_text(text: str) -> Label:
    word = text.strip()
    lower = word.lower()
    if lower in MISSING:
        raise Fault(f"{text!r} is no label")
    if lower in _TRUTHS:
        return _TRUTHS[lower]
    if "_" in word:  # Python reads 1_000, nobody writes it
        return word
    try:
        return int(word)
    except ValueError:
        pass
    try:
        number = float(word)
    except ValueError:
        return word
    return label_of(number) if math.isfinite(number) else word


def same(left: Any, right: Any) -> bool:
    """Whether two labels are one, whatever they are."""
    try:
        return label_of(left) == label_of(right)
    except Fault:
        return bool(left == right)


def equals(value: Any, *labels: Any) -> bool:
    """Whether a label is one of these. ``Fault`` for what is no label, or a text where all of them are numbers."""
    for wanted in labels:
        if value == wanted and value.__class__ is wanted.__class__:
            return True
    found = label_of(value)
    wanted_labels = [label_of(wanted) for wanted in labels]
    if found in wanted_labels:
        return True
    if isinstance(found, str):
        comparable = any(isinstance(wanted, str) for wanted in wanted_labels)
    elif isinstance(found, int):
        comparable = not all(isinstance(wanted, str) for wanted in wanted_labels)
    else:
        comparable = any(isinstance(wanted, float) for wanted in wanted_labels)
    if not comparable:
        raise Fault(f"{shown(value)} is no label beside {', '.join(map(shown, labels))}")
    return False


def names_of(classes: Any) -> list[Any]:
    """Names of classes, in the order of their probabilities: a list, or a text with commas between."""
    return list(classes) if isinstance(classes, list) else [name.strip() for name in str(classes).split(",")]


def number_of(wanted: Any, names: list[Any]) -> int:
    """Where a class stands among the names: by its name, else by its number. ``Fault`` if it does not."""
    if wanted in names:
        return names.index(wanted)
    for number, name in enumerate(names):
        if same(name, wanted):
            return number
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    raise Fault(f"class {shown(wanted)} is none of {shown(names)}")


def is_class(value: Any, wanted: Any, classes: Any) -> bool:
    """Whether an answer that is a label names the class that is wanted. ``classes``: names, if they have any."""
    if not classes:
        return equals(value, wanted)
    names = names_of(classes)
    return number_of(label_of(value), names) == number_of(wanted, names)


def is_label(value: Any, answers: Any = "") -> bool:
    """Whether a single answer is a label: text that is no number, whole numbers, true and false.

    A fraction, 1.0 among them, is a probability, unless ``answers`` is "labels".
    """
    if answers:
        return bool(answers == "labels")
    if value.__class__ is float:
        return False
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return True
        return value.strip().lstrip("+-").isdigit()
    return isinstance(value, int)


def _is_single(answer: Any) -> bool:
    return isinstance(answer, list) and len(answer) == 1 and not isinstance(answer[0], list | dict)


def alike(answers: Any) -> Any:
    """A list of answers whose whole numbers are fractions too, if any is one: then 0 and 1 are no labels.

    Answers that stand alone in lists of their own, as lines of CSV do, are told from each other likewise.
    """
    if isinstance(answers, list) and answers and all(map(_is_single, answers)):
        answers = [answer[0] for answer in answers]
    if isinstance(answers, list) and len(answers) > 1 and float in (kinds := set(map(type, answers))) and int in kinds:
        return fractions(answers)
    return answers
