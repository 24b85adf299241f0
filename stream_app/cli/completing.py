"""What a shell completes beside commands and options: models, and ids of alerts, drift events and audit records.

They are asked of the read model, within :data:`PATIENCE_S`; where it cannot be asked so soon nothing is completed, and
nothing is said. Whoever presses a key waits for all of it, so no settings are checked and no client is imported: the
client of Redis alone takes 0.2 s of CPU. Two values are read as they stand, and that client's parser does the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from stream_app.settings.names import PREFIX
from stream_app.settings.place import PlainWhereabouts

if TYPE_CHECKING:
    from hiredis import Reader

#: Seconds for all that Redis is asked, from the look-up of its name to the last byte.
PATIENCE_S: Final = 0.1
#: Newest ids that are looked at, and words that are offered: more than this nobody reads.
NEWEST: Final = 200
MOST: Final = 200

#: One command of Redis, and its answer.
Ask = Callable[..., Any]
#: Words with what is said beside each.
Words = Iterable[tuple[str, str | None]]


def models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models that begin so."""
    return _offered(incomplete, lambda ask, keys: ((model, None) for model in _models(ask, keys)))


def models_and_types(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models and model types that begin so."""

    def both(ask: Ask, keys: Any) -> Words:
        known = _models(ask, keys)
        return ((name, None) for name in sorted({*known, *(model.partition(":")[0] for model in known)}))

    return _offered(incomplete, both)


def alerts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Alerts whose id begins so, the newest first, each with its severity, model and status."""
    return _offered(incomplete, lambda ask, keys: map(_alert, _newest(ask, keys.alerts, keys.alert, incomplete)))


def open_alerts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same of those that are not resolved."""

    def still_open(ask: Ask, keys: Any) -> Words:
        found = _newest(ask, keys.alerts, keys.alert, incomplete)
        return (_alert(row) for row in found if row["status"] != "resolved")

    return _offered(incomplete, still_open)


def alerts_and_events(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Alerts, and after them drift events, whose id begins so, the newest first."""

    def both(ask: Ask, keys: Any) -> Words:
        events = _newest(ask, keys.events, keys.event, incomplete)
        return [
            *map(_alert, _newest(ask, keys.alerts, keys.alert, incomplete)),
            *((row["id"], f"{row['kind']} drift of {row['model']}, {row['as_of'][:10]}") for row in events),
        ]

    return _offered(incomplete, both)


def decisions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Audit records whose id begins so, the newest first, with what was decided."""

    def newest(ask: Ask, keys: Any) -> Words:
        rows = map(json.loads, ask("ZREVRANGE", keys.audit, "0", str(NEWEST - 1)))
        return ((row["id"], f"{row['action']} of {row['model']}: {row['decision']}") for row in rows)

    return _offered(incomplete, newest)


def _models(ask: Ask, keys: Any) -> list[str]:
    return sorted(name.decode() for name in ask("HKEYS", keys.fleet))


def _alert(row: dict[str, Any]) -> tuple[str, str]:
    return row["id"], f"{row['severity']} {row['model']}, {row['status']}"


def _newest(ask: Ask, index: str, table: str, beginning: str) -> list[dict[str, Any]]:
    """Newest records of ``table`` whose id begins so; ``index`` holds the ids in order of time."""
    ids = ask("ZREVRANGE", index, "0", str(NEWEST - 1))
    wanted = [id for id in ids if id.startswith(beginning.encode())]
    return [json.loads(row) for row in ask("HMGET", table, *wanted) if row is not None] if wanted else []


def _offered(incomplete: str, question: Callable[[Ask, Any], Words]) -> list[CompletionItem]:
    """Words that the read model answers within the patience; nothing else is worth waiting for."""
    # before the clock runs: the patience is for Redis alone
    from hiredis import Reader, pack_command

    from stream_app.projection.keys import Keys

    found: list[list[tuple[str, str | None]]] = []

    def talk() -> None:
        # a shell in the middle of a line is no place for a complaint, whatever stands there
        with contextlib.suppress(Exception):
            address, prefix = _where()
            with _asking(address, Reader(), pack_command) as ask:
                found.append(list(question(ask, Keys(prefix))))

    # the look-up of a name has no time limit of its own, so the thread that does it is left behind
    talking = threading.Thread(target=talk, daemon=True)
    talking.start()
    talking.join(PATIENCE_S)
    words = found[0] if found else []
    return [CompletionItem(word, help=text) for word, text in words if word.startswith(incomplete)][:MOST]


@contextlib.contextmanager
def _asking(address: str, reader: Reader, pack: Callable[[tuple[Any, ...]], bytes]) -> Iterator[Ask]:
    """A connection to Redis, plain and with a password if one is said; for as long as the context lasts."""
    url = urlsplit(address)
    if url.scheme != "redis" or url.hostname is None:
        raise ValueError
    with socket.create_connection((url.hostname, url.port or 6379), timeout=PATIENCE_S) as peer:

        def ask(*words: str | bytes) -> Any:
            peer.sendall(pack(words))
            while (answer := reader.gets()) is False:
                read = peer.recv(1 << 16)
                if not read:
                    raise ConnectionError
                reader.feed(read)
            if isinstance(answer, Exception):
                raise answer
            return answer

        password = unquote(url.password or "") or os.environ.get(f"{PREFIX}REDIS_PASSWORD", "")
        if password:
            ask("AUTH", *([unquote(url.username)] if url.username else []), password)
        if url.path.strip("/"):
            ask("SELECT", url.path.strip("/"))
        yield ask


def _where() -> tuple[str, str]:
    """Redis' address and the output prefix: of the environment, else of the settings file, else the defaults."""
    from stream_app.settings.toml_text import parsed

    file = Path(os.environ.get(f"{PREFIX}CONFIG", "plumbline.toml"))
    said = parsed(file.read_text(encoding="utf-8")) if file.exists() else {}
    plain = PlainWhereabouts()
    return (
        os.environ.get(f"{PREFIX}REDIS_URL", said.get("redis_url", plain.redis_url)),
        os.environ.get(f"{PREFIX}OUTPUT_PREFIX", said.get("output_prefix", plain.output_prefix)),
    )


class WordsWithColons(BashComplete):
    """Bash breaks words at colons, and a model's name has one: the pieces are put together again, and of the answer
    only what follows the last colon is given, which is what bash replaces."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words before the one that is completed, and that one."""
        words, cursor = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        whole = [""]
        for word, before in zip([*words[1 : cursor + 1], *([""] if len(words) <= cursor else [])], words, strict=False):
            if ":" in (word, before) and whole[-1]:
                whole[-1] += word
                self._given = whole[-1][: whole[-1].rindex(":") + 1]
            else:
                whole.append(word)
                self._given = ""
        return whole[1:-1], whole[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """As bash's function reads it."""
        return f"{item.type},{item.value.removeprefix(self._given)}"


def register() -> None:
    """Have click complete in bash with it."""
    add_completion_class(WordsWithColons)
