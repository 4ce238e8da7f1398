"""One small task and one server in this process for all tests of the server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.wire import CloudClient
from tests.wire.serving import Device, LocalServer, local_server, write_task


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def slow_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments wide enough to be caught between two of them."""
    return write_task(tmp_path_factory.mktemp("slow"), name="slow", width=1024, segments=8)


@pytest.fixture(scope="session")
def device(tiny_task: Path) -> Device:
    return Device(tiny_task)


@pytest.fixture(scope="session")
def slow_device(slow_task: Path) -> Device:
    return Device(slow_task)


@pytest.fixture(scope="module")
def server(tiny_task: Path, slow_task: Path) -> Iterator[LocalServer]:
    with local_server(tiny_task, slow_task) as running:
        yield running


@pytest.fixture
def client(server: LocalServer) -> Iterator[CloudClient]:
    with CloudClient(server.address) as opened:
        yield opened
