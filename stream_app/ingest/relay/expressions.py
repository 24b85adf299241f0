"""The expressions of a map, compiled once to closures.

    header.ce_id                        a path: a root, then .name, [0] or ["any name"]
    data.a ?? data.b ?? 'none'          the first that is there
    item.p | number | threshold(0.5)    functions, from left to right, before + - * /
    data.a + 2 * data.b   data.p / 100  arithmetic with numbers or their text, before ??; a minus stands between blanks
    (item.score ?? item) | number       parentheses
    {ce.id}-{index}                     a template: text around expressions in braces
    'fraud'   0.5   true   $name        constants; $name is a parameter of the map

What is not there is ``None``, and functions hand ``None`` on: whether that is a fault is for the field to say.
"""

from __future__ import annotations

import csv
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stream_app.ingest.relay.functions import FUNCTIONS, number, whole
from stream_app.ingest.relay.source import UNSET, Source, Unmappable
from stream_app.ingest.relay.words import Fault, identifier, shown

Evaluate = Callable[[Source], Any]


class Expression(NamedTuple):
    """A compiled expression and how it was written."""

    text: str
    evaluate: Evaluate
    constant: bool = False


class BadExpression(ValueError):
    """An expression that cannot be compiled; the message says what is wrong where."""


def _key(source: Source) -> Any:
    raw = source.record.key
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError as error:
        raise Unmappable("key: it is no text in UTF-8") from error


#: What a path can begin with, beside the map's own ``[let]`` names.
ROOTS: Final[dict[str, Evaluate]] = {
    "value": lambda source: source.value,
    "data": lambda source: source.data,
    "ce": lambda source: source.attributes,
    "header": lambda source: source.headers,
    "key": _key,
    "timestamp": lambda source: source.record.timestamp,
    "topic": lambda source: source.record.topic,
    "item": lambda source: source.item,
    "index": lambda source: source.index,
    "part": lambda source: source.part,
    "joined": lambda source: source.find_joined(source),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What expressions may refer to: parameters by value, let names by number; ``columns``: any other name is a column
    of the row, and the roots of records are not there."""

    parameters: Mapping[str, Any]
    lets: dict[str, tuple[int, Evaluate]] = field(default_factory=dict)
    columns: bool = False
    #: columns that were named
    seen: set[str] = field(default_factory=set)


_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE]-?\d+)?)|(?P<text>'[^']*')|(?P<parameter>\$[A-Za-z_]\w*)
    |(?P<path>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[(?:-?\d+|"[^"]*")\])*)|(?P<sign>\?\?|[|(),+*/]|-(?=\s)))""",
    re.VERBOSE,
)
_STEP: Final = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(-?\d+)\]|\["([^"]*)"\]""")
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_WORDS: Final = {"true": True, "false": False, "none": None}


def compile_expression(written: Any, names: Names, of_id: bool = False) -> Expression:
    """Compile what stands in the file: text is an expression, everything else a constant. BadExpression.

    ``of_id``: it makes an id. Then only text and whole numbers are something, blank text and a null in words nothing.
    """
    if not isinstance(written, str):
        return Expression(repr(written), lambda source: written, True)
    if _HOLE.search(re.sub(r"'[^']*'", "", written)):
        return _template(written, names, of_id)
    return _Parser(written, names, of_id).whole()


def _template(written: str, names: Names, of_id: bool) -> Expression:
    literals = _HOLE.split(written)
    compiled = [_Parser(text, names, of_id).whole() for text in literals[1::2]]
    # the part is blank where there is one item only
    holes = [(_id_of(item) if of_id and item.text != "part" else item).evaluate for item in compiled]
    if any(sign in text for text in literals[::2] for sign in "{}"):
        raise BadExpression(f"{written!r}: a brace stands alone")
    pattern = "%s".join(text.replace("%", "%%") for text in literals[::2])

    def evaluate(source: Source) -> Any:
        parts = tuple([hole(source) for hole in holes])
        return None if None in parts else pattern % parts

    return Expression(written, evaluate)


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str, names: Names, of_id: bool) -> None:
        self._text, self._names, self._of_id = text, names, of_id
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise BadExpression(f"{text!r}: cannot be read from {text[at:].strip()[:20]!r}")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        self._tokens.reverse()

    def whole(self) -> Expression:
        if not self._tokens:
            raise BadExpression(f"{self._text!r}: there is no expression; an empty text is written ''")
        found = self._alternatives()
        if self._tokens:
            raise BadExpression(f"{self._text!r}: {self._tokens[-1][1]!r} was not expected")
        return found

    def _sign(self, sign: str) -> bool:
        if self._tokens and self._tokens[-1] == ("sign", sign):
            self._tokens.pop()
            return True
        return False

    def _alternatives(self) -> Expression:
        found = [self._sum()]
        while self._sign("??"):
            found.append(self._sum())
        if len(found) == 1:
            return found[0]  # of an id: the mapper refuses what is none
        if self._of_id:
            found = [_id_of(item) for item in found]
        text = " ?? ".join(item.text for item in found)
        *firsts, last = [item.evaluate for item in found]

        def evaluate(source: Source) -> Any:
            for first in firsts:
                value = first(source)
                if value is not None:
                    return value
            return last(source)

        return Expression(text, evaluate)

    def _sum(self) -> Expression:
        found = self._product()
        while (sign := self._one_of("+", "-")) is not None:
            found = _arithmetic(found, sign, self._product())
        return found

    def _product(self) -> Expression:
        found = self._piped()
        while (sign := self._one_of("*", "/")) is not None:
            found = _arithmetic(found, sign, self._piped())
        return found

    def _one_of(self, *signs: str) -> str | None:
        return next((sign for sign in signs if self._sign(sign)), None)

    def _piped(self) -> Expression:
        found = self._primary()
        while self._sign("|"):
            found = self._call(found)
        return found

    def _primary(self) -> Expression:
        kind, text = self._tokens.pop() if self._tokens else ("end", "its end")
        if (kind, text) == ("sign", "("):
            inner = self._alternatives()
            if not self._sign(")"):
                raise BadExpression(f"{self._text!r}: a closing parenthesis is missing")
            return inner._replace(text=f"({inner.text})")
        if kind == "number":
            number = float(text) if re.search(r"[.eE]", text) else int(text)
            return _constant(text, number)
        if kind == "text":
            return _constant(text, text[1:-1])
        if kind == "parameter":
            if text[1:] not in self._names.parameters:
                raise BadExpression(f"{self._text!r}: {text} is no parameter of this map")
            return _constant(text, self._names.parameters[text[1:]])
        if kind == "path":
            return _constant(text, _WORDS[text]) if text in _WORDS else self._path(text)
        raise BadExpression(f"{self._text!r}: {text!r} where a path or a value should be")

    def _path(self, text: str) -> Expression:
        root = re.split(r"[.\[]", text, maxsplit=1)[0]
        if root in self._names.lets:
            begin = _let(*self._names.lets[root])
        elif self._names.columns and root != "value":
            self._names.seen.add(root)
            return Expression(text, _walk(ROOTS["value"], _steps(f".{text}")))
        elif root in ROOTS:
            begin = ROOTS[root]
        else:
            known = ", ".join([*ROOTS, *self._names.lets])
            raise BadExpression(f"{text}: a path begins with one of {known}")
        steps = _steps(text[len(root) :])
        if self._names.columns and steps:
            self._names.seen.add(str(steps[0]))
        if root == "header":
            steps = [step.lower() if isinstance(step, str) else step for step in steps]
        return Expression(text, _walk(begin, steps))

    def _call(self, given: Expression) -> Expression:
        kind, name = self._tokens.pop() if self._tokens else ("end", "its end")
        if kind != "path" or name not in FUNCTIONS:
            raise BadExpression(f"{self._text!r}: {name!r} is no function; there are {', '.join(sorted(FUNCTIONS))}")
        function = FUNCTIONS[name]
        if self._of_id and name == "text":
            given = _id_of(given)
        arguments: list[Expression] = []
        if self._sign("(") and not self._sign(")"):
            arguments.append(self._primary())
            while self._sign(","):
                arguments.append(self._primary())
            if not self._sign(")"):
                raise BadExpression(f"{self._text!r}: a closing parenthesis is missing after {name}(")
        if not function.least <= len(arguments) <= function.most:
            raise BadExpression(f"{self._text!r}: {name} is written {function.usage}")
        text, evaluate = f"{given.text} | {name}", _apply(given, name, arguments)
        if given.constant and all(argument.constant for argument in arguments):
            try:
                return _constant(text, evaluate(UNSET))
            except Unmappable as error:
                raise BadExpression(str(error)) from error
        return Expression(text, evaluate)


def _id_of(given: Expression) -> Expression:
    """What may stand in an id, of anything but a constant."""
    if given.constant:
        return given
    inner = given.evaluate

    def evaluate(source: Source) -> Any:
        try:
            return identifier(inner(source))
        except Fault as error:
            raise Unmappable(f"{given.text}: {error}") from error

    return Expression(given.text, evaluate)


def _steps(text: str) -> list[str | int]:
    return [int(place) if place else name or quoted for name, place, quoted in _STEP.findall(text)]


#: What functions raise for values that nobody thought of. One such record would stop a relay for good.
_UNFORESEEN: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, csv.Error)

_SIGNS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


#: Bits of a whole number that can still be written in digits.
_LONGEST: Final = 14_000


def _arithmetic(left: Expression, sign: str, right: Expression) -> Expression:
    text, apply = f"{left.text} {sign} {right.text}", _SIGNS[sign]
    first, second = left.evaluate, right.evaluate

    def evaluate(source: Source) -> Any:
        a, b = first(source), second(source)
        if a is None or b is None:
            return None
        try:
            found = apply(_operand(a), _operand(b))
            if found.__class__ is int and int(found).bit_length() > _LONGEST:
                raise OverflowError("the result has thousands of digits")
            return found
        except (Fault, ZeroDivisionError, OverflowError) as error:
            raise Unmappable(f"{text}: {error}") from error

    if left.constant and right.constant:
        try:
            return _constant(text, evaluate(UNSET))
        except Unmappable as error:
            raise BadExpression(str(error)) from error
    return Expression(text, evaluate)


def _operand(value: Any) -> float:
    # whole numbers stay whole, in text too: times and ids are larger than floats are exact
    exact = whole(value)
    return number(value) if exact is None else exact


def _constant(text: str, value: Any) -> Expression:
    return Expression(text, lambda source: value, True)


def _let(number: int, work_out: Evaluate) -> Evaluate:
    def evaluate(source: Source) -> Any:
        value = source.lets[number]
        if value is UNSET:
            value = source.lets[number] = work_out(source)
        return value

    return evaluate


def _walk(begin: Evaluate, steps: list[str | int]) -> Evaluate:
    if not steps:
        return begin
    if len(steps) == 1:
        (only,) = steps

        def one(source: Source) -> Any:
            try:
                return begin(source)[only]
            except (LookupError, TypeError):
                return None

        return one

    def many(source: Source) -> Any:
        value = begin(source)
        try:
            for step in steps:
                value = value[step]
        except (LookupError, TypeError):
            return None
        return value

    return many


def _apply(given: Expression, name: str, arguments: list[Expression]) -> Evaluate:
    inner, text, function = given.evaluate, given.text, FUNCTIONS[name].apply
    constants = [argument.evaluate(UNSET) for argument in arguments if argument.constant]
    changing = [argument.evaluate for argument in arguments] if len(constants) < len(arguments) else None

    def evaluate(source: Source) -> Any:
        value = inner(source)
        if value is None:
            return None
        given = constants if changing is None else [argument(source) for argument in changing]
        try:
            return function(value, *given)
        except Fault as error:
            raise Unmappable(f"{text}: {error}") from error
        except _UNFORESEEN as error:
            if any(argument is None for argument in given):
                raise Unmappable(f"{text}: one of its arguments is missing") from error
            raise Unmappable(f"{text}: cannot use {shown(value)}: {error}") from error

    return evaluate
