"""Keys of the metrics table. Cells are day-major, so that a close scans its day and retention the oldest ones.

==================================================  ================================================================
key                                                 value and growth
==================================================  ================================================================
``C`` + day (u4, big-endian) + model, 0, version     cell (:mod:`.counts.cells_codec`); versions × days kept
``L`` + model                                        active version; one a model, about 100 bytes
``N`` + model, 0, version                            labelled predictions ever: format byte, i8; one a version
``D`` + source (u2) + offset (u8), big-endian       delta record not folded everywhere yet; an hour and what queues
``F`` + model, 0, version                            days of a version: its first ones, and what comparisons found
                                                    (:mod:`~stream_app.core.metrics_stage.version_days`)
``B`` + model, 0, version, 0, kind                   baseline that is held while days are tainted, at most 128 kB
                                                    (:mod:`~stream_app.core.metrics_stage.held`)
``E`` + model, 0, version                            calibration map of estimated performance, some 1 kB, at most 128 kB
                                                    (:mod:`~stream_app.core.metrics_stage.estimates`)
``S`` + model                                        version that is compared and the last performance comparison
``W`` + model                                        change of the active version in its fortnight
                                                    (:mod:`~stream_app.core.metrics_stage.watch`)
``H`` + model                                        predictions by version and hour, of the last hours and of the day
                                                    on which the active version changed
                                                    (:mod:`~stream_app.core.metrics_stage.traffic`)
``T`` + day (u4, big-endian) + model, 0, version     the day by hours, kept for 36 days
                                                    (:mod:`~stream_app.core.hourly.hours_codec`)
``R`` + model                                        what its hours are compared with
                                                    (:mod:`~stream_app.core.hourly.references`)
``X`` + model                                        hourly evidence (:mod:`~stream_app.core.hourly.evidence_state`)
``I`` + model                                        mark of an open hourly episode
``U`` + hour (u4) + model                            mark of an hour that a fold found unfinished; gone when it ends
``O`` + 0 command, 1 result + offset (u8)           order of the epoch in hand; gone when its tick is handled
``V`` + …                                           changed settings (:mod:`~stream_app.core.kit.settings_table`)
==================================================  ================================================================

Of a model that made no predictions for as long as cells are kept nothing stays.
"""

from __future__ import annotations

CELL, MODEL, LABELLED, DELTA, ORDER = b"C", b"L", b"N", b"D", b"O"
DAYS, HELD, ESTIMATES, STAND, WATCH = b"F", b"B", b"E", b"S", b"W"
TRAFFIC, OPEN_HOUR = b"H", b"U"
HOURS, REFERENCES, EVIDENCE, EPISODE = b"T", b"R", b"X", b"I"


def cell_key(model: str, version: str, day: int) -> bytes:
    """Key of a cell."""
    return cell_prefix(day) + model.encode() + b"\0" + version.encode()


def cell_prefix(day: int) -> bytes:
    """Prefix of a day's cells."""
    return CELL + day.to_bytes(4, "big")


def split_cell_key(key: bytes) -> tuple[str, str, int]:
    """(model, version, day) of a cell's key."""
    model, _, version = key[5:].partition(b"\0")
    return model.decode(), version.decode(), int.from_bytes(key[1:5], "big")


def hours_key(model: str, version: str, day: int) -> bytes:
    """Key of a version's day by hours."""
    return HOURS + cell_key(model, version, day)[1:]


def references_key(model: str) -> bytes:
    """Key of what a model's hours are compared with."""
    return REFERENCES + model.encode()


def evidence_key(model: str) -> bytes:
    """Key of a model's hourly evidence."""
    return EVIDENCE + model.encode()


def episode_key(model: str) -> bytes:
    """Key of the mark that an hourly episode of a model is open."""
    return EPISODE + model.encode()


def model_key(model: str) -> bytes:
    """Key of a model's active version."""
    return MODEL + model.encode()


def labelled_key(model: str, version: str) -> bytes:
    """Key of a version's cumulative labelled count."""
    return LABELLED + model.encode() + b"\0" + version.encode()


def days_key(model: str, version: str) -> bytes:
    """Key of what is known of a version's days."""
    return DAYS + model.encode() + b"\0" + version.encode()


def held_key(model: str, version: str, kind: str) -> bytes:
    """Key of the baseline that is held of a version for one kind of comparison."""
    return HELD + b"\0".join((model.encode(), version.encode(), kind.encode()))


def estimates_key(model: str, version: str) -> bytes:
    """Key of what a version's estimates are made of."""
    return ESTIMATES + model.encode() + b"\0" + version.encode()


def stand_key(model: str) -> bytes:
    """Key of where a model's comparisons stand."""
    return STAND + model.encode()


def watch_key(model: str) -> bytes:
    """Key of the model's last change of version, while it is looked at."""
    return WATCH + model.encode()


def traffic_key(model: str) -> bytes:
    """Key of which versions of a model predict."""
    return TRAFFIC + model.encode()


def open_hour_key(hour: int, model: str) -> bytes:
    """Key of the mark of an unfinished hour."""
    return OPEN_HOUR + hour.to_bytes(4, "big") + model.encode()


def delta_key(source: int, offset: int) -> bytes:
    """Key of a stored delta record."""
    return DELTA + source.to_bytes(2, "big") + offset.to_bytes(8, "big")


def order_key(command: bool, offset: int) -> bytes:
    """Key of a command or result that waits for its tick; commands sort before results."""
    return ORDER + (b"\0" if command else b"\1") + offset.to_bytes(8, "big")
