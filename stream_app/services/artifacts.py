"""Kafka's jars: fetched by Maven once, then reused by every folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from stream_app.errors import Unavailable

KAFKA_VERSION = "4.1.1"

_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),  # formats the storage
    ("org.slf4j", "slf4j-simple", "1.7.36"),  # Kafka's artifacts log to slf4j and bring nothing that writes
)


def cache_dir() -> Path:
    """Where fetched artifacts stay: PLUMBLINE_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("PLUMBLINE_CACHE_DIR")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "plumbline"


def jars() -> Path:
    """Folder of the broker's jars, fetched the first time (57 MB). Raises :class:`Unavailable` with what is missing."""
    target = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if target.is_dir():
        return target
    require("java", "default-jre-headless")
    maven = require("mvn", "maven")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as work:
        pom = Path(work, "pom.xml")
        pom.write_text(_pom())
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={work}/lib"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Unavailable(
                f"Maven could not fetch Kafka {KAFKA_VERSION}. It needs its repository once; or "
                f"name a running broker in PLUMBLINE_KAFKA_BOOTSTRAP. It said:\n{(done.stdout + done.stderr)[-2000:]}"
            )
        try:
            Path(work, "lib").rename(target)
        except OSError:
            if not target.is_dir():  # otherwise somebody else was quicker, with the same jars
                raise
    return target


def require(program: str, package: str) -> str:
    """Path of a program. Raises :class:`Unavailable` with the Debian package that brings it."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(
            f"{program} is not installed: apt-get install {package} (`make demo` and `make test` do it where they may)"
        )
    return path


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        for group, artifact, version in _ARTIFACTS
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>plumbline</groupId><artifactId>local-kafka</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )
