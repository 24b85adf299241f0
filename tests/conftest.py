"""Fixtures of every test: one real broker for the session, prefixes of its own for each test."""

from __future__ import annotations

import itertools
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from stream_app.cli import log_limit
from stream_app.kafka.topics import Topics
from stream_app.services.kafka import LocalKafka
from tests.support.kafka_io import Prefix
from tests.support.live import Site, serving
from tests.support.reference import Process
from tests.support.worker import Worker

_numbers = itertools.count(1)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis_settings.register_profile("plumbline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("plumbline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_configure(config: pytest.Config) -> None:
    # A run that is told to end (`timeout`, a CI job) takes its broker and workers along, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """What a command, or a test, changes for the whole of its process is put back: tests run in any order."""
    client = logging.getLogger("aiokafka")
    level, folder, handlers = client.level, Path.cwd(), {number: signal.getsignal(number) for number in _SIGNALS}
    variables = dict(os.environ)
    yield
    log_limit.uninstall()
    client.setLevel(level)
    os.chdir(folder)
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real broker: the one PLUMBLINE_TEST_KAFKA names, or one for this session."""
    named = os.environ.get("PLUMBLINE_TEST_KAFKA")
    if named:
        yield named
        return
    broker = LocalKafka(tmp_path_factory.mktemp("kafka"), transaction_scan_ms=1_000)
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.stop()


@pytest.fixture
async def prefix(kafka: str) -> AsyncIterator[Prefix]:
    """Topics of this test alone: three input partitions, two by model."""
    name = f"t{os.getpid()}-{next(_numbers)}."
    made = await Prefix(kafka, Topics(name, name, 3, 2)).create()
    yield made
    await made.delete(name)


@pytest.fixture
def worker(prefix: Prefix, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Make workers of this test's prefix; those still running at the end are killed."""
    made: list[Worker] = []

    def make(name: str = "w", app_id: str | None = None, topics: Topics | None = None, **settings: str) -> Worker:
        app = app_id or (topics or prefix.topics).app_id
        made.append(Worker(prefix.bootstrap, topics or prefix.topics, app, tmp_path / name, **settings))
        return made[-1]

    yield make
    for item in made:
        item.kill()


@pytest.fixture
def made() -> Iterator[list[Process]]:
    """A list for the processes that a test makes; those in it are killed at the end."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One read model and one web process for the tests of a file; what they publish there is no other file's matter."""
    with serving(kafka, tmp_path_factory.mktemp("web"), f"w{os.getpid()}-{next(_numbers)}.") as made:
        yield made


@pytest.fixture(scope="session")
def data() -> Path:
    """The recorded data sets of the tests."""
    folder = Path(os.environ.get("PLUMBLINE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.fail(
            f"the tests' data is missing: put it into {folder.parent.name}/{folder.name} beside the project, or name "
            "its folder in PLUMBLINE_TEST_DATA"
        )
    return folder
