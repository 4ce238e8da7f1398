"""One small task and one server process for all tests of the wire."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.wire import CloudClient
from tests.wire.serving import Device, ServerProcess, server_process, write_task


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def device(tiny_task: Path) -> Device:
    return Device(tiny_task)


@pytest.fixture(scope="session")
def server(tiny_task: Path) -> Iterator[ServerProcess]:
    with server_process(tiny_task) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[CloudClient]:
    with CloudClient(server.address) as opened:
        yield opened
