"""Options that several commands have."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import click

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class ModelName(click.ParamType):
    """A model as it is written everywhere. ``also``: words that stand for others."""

    name = "model"

    def __init__(self, *also: str) -> None:
        self._also = also

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; what can be none is refused before anything is read."""
        from schemas.common import NAME

        if value not in self._also and not re.fullmatch(f"{NAME}:{NAME}", value):
            self.fail(f"{value!r}: a model is written TYPE:TENANT, or TYPE:global where no tenant is given", param, ctx)
        return value


class Written(click.Path):
    """A file that the command will write at its end: what cannot be written is refused before the work, not after."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self.name = "path"

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Its folder has to be there, and this user has to be allowed to write in it."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"{path}: there is no folder {path.parent}", param, ctx)
        if not path.exists() and not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{path}: this user may not write in {path.parent.absolute()}", param, ctx)
        return path


metrics_port = click.option(
    "--metrics-port", "port", type=click.IntRange(0, 65_535), metavar="PORT",
    help="Answer Prometheus there, at /metrics; 0: nowhere. Default: the setting metrics_port. On the address "
    "metrics_host.",
)  # fmt: skip


def label_delay(text: str | None) -> tuple[int, int] | None:
    """Bounds of a delay, ms, as people write it."""
    if text is None:
        return None
    bounds = []
    for part in text.split(".."):
        match = re.fullmatch(r"(\d+)([smhd])", part)
        if match is None:
            raise click.BadParameter(f"{text!r} is not like 6h or 6h..3d", param_hint="--label-delay")
        bounds.append(int(match[1]) * _UNITS[match[2]])
    return min(bounds), max(bounds)
