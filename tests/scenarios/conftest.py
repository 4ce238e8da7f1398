"""Sessions on a small task, alone and with a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import dense_task, profile_of
from tests.wire.serving import ServerProcess, server_process


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return dense_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="session")
def task_file(task: Task) -> Path:
    return task.models[0].path.with_suffix(".toml")


@pytest.fixture(scope="session")
def profile(task: Task) -> Profile:
    return profile_of(task)


@pytest.fixture(scope="session")
def server(task_file: Path) -> Iterator[ServerProcess]:
    """One server for all tests that do not harm it."""
    with server_process(task_file) as process:
        yield process
