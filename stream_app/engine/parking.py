"""What parks a lane, and what to do about a lane that is parked.

A parked lane stays assigned, is closed, reads and writes nothing, and is not tried again until a new assignment or a
new process. The other lanes go on as far as the log allows. What concerns the whole installation (another cluster,
other static settings) does not park: it ends the worker.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from stream_app.core.kit.codec import UNREADABLE
from stream_app.errors import Broken, Parked, UnknownFormat

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)

#: What a stage raises by a fault of its own or of its state. It would come again at the same record, for ever. Kafka,
#: disk and memory raise other things, and those may pass.
_FAULTS: Final = (*UNREADABLE, ArithmeticError, AssertionError, AttributeError, NameError)

_AGAIN: Final = "then restart this worker, which tries the lane again"

#: reason → what to do; each is a whole sentence
WAYS_OUT: Final[dict[str, str]] = {
    "broken_invariant": "This is a fault of Plumbline: report the sentence above. Nothing of the lane is lost; restart "
    "this worker to try it once more.",
    "not_owner": "Stop this worker, or take the prefix back: `plumbline worker --take-over`.",
    "partitions_changed": "Partition counts are fixed for the life of an input prefix: make a new prefix with that "
    "many, bring the records over with `plumbline relay --map re-key`, and start there with a new PLUMBLINE_APP_ID.",
    "size_refused": f"Raise max.message.bytes of the lane's topics above what the sentence names, {_AGAIN}.",
    "topic_changed": "What was counted before stays. Start afresh with a new PLUMBLINE_APP_ID and "
    "PLUMBLINE_OUTPUT_PREFIX, which counts the topics as they are now.",
    "unknown_format": "Run the release that wrote it, or start afresh with a new PLUMBLINE_APP_ID and "
    "PLUMBLINE_OUTPUT_PREFIX.",
    "unreadable_log": "Restore the topic that the sentence names, or start afresh with a new PLUMBLINE_APP_ID and "
    "PLUMBLINE_OUTPUT_PREFIX, which rebuilds everything from the input topics.",
}


def way_out(reason: str) -> str:
    """What to do about a lane that is parked for ``reason``."""
    return WAYS_OUT.get(reason, f"Remove the cause that the sentence names, {_AGAIN}.")


def parked_by(error: BaseException, stage: str, partition: int) -> Parked | None:
    """Why a lane cannot go on after ``error``; ``None`` if it may be tried again, or if the worker must end.

    The one place where a refusal for size becomes what it is: the same bytes would be refused again for ever.
    """
    if isinstance(error, Parked):
        return error
    if isinstance(error, UnknownFormat):
        return Parked("unknown_format", str(error))
    if isinstance(error, _TOO_LARGE):
        what = str(error) or type(error).__name__
        return Parked("size_refused", f"{stage}[{partition}]: what it has to write is refused for its size: {what}")
    return None


@contextmanager
def pure(stage: str, partition: int) -> Iterator[None]:
    """Around calls of a stage, which neither waits nor reads a clock: what it raises is a broken invariant."""
    try:
        yield
    except _FAULTS as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.name}, line {frame.lineno} of {frame.filename.rpartition('/')[2]}"
        raise Broken(f"{stage}[{partition}]: {type(error).__name__} in {where}: {error}") from error
