"""Coverage-guided fuzzing of whatever reads bytes that are not ours: ``python -m tests.fuzz TARGET SECONDS``.

Needs ``atheris``, which nothing else needs (``pip install atheris``). What a target lets through is what its caller
expects; any other exception is a finding, and its input is written beside the corpus. Hypothesis tries the same
readers in every ``make test`` (tests/laws/test_any_bytes.py); this looks longer and follows the branches it reaches.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stream_app", "schemas"]):
    from tests.support import fuzz_targets


def main() -> None:
    """Fuzz one target for some seconds."""
    if len(sys.argv) < 3 or sys.argv[1] not in fuzz_targets.TARGETS:
        print(f"usage: python -m tests.fuzz TARGET SECONDS\ntargets: {' '.join(fuzz_targets.TARGETS)}", file=sys.stderr)
        sys.exit(2)
    name, seconds = sys.argv[1], int(sys.argv[2])
    seeds, read = fuzz_targets.TARGETS[name]
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"corpus and findings: {corpus}", file=sys.stderr)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={corpus}/finding-",
        "-max_len=8192",
    ]
    atheris.Setup(arguments, _one(read))
    atheris.Fuzz()


def _one(read: Callable[[bytes], None]) -> Callable[[bytes], None]:
    return lambda value: read(value)


if __name__ == "__main__":
    main()
