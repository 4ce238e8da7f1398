"""One task of each kind and one quick profile of each, for all tests of profiles and plans."""

import pytest

from hedgerow.models.task import Task
from hedgerow.profiling import Profile, make_profile
from tests.profiling import tasks


@pytest.fixture(scope="session")
def tensor_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return tasks.tensor_task(tmp_path_factory.mktemp("tensors"))


@pytest.fixture(scope="session")
def picture_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return tasks.picture_task(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def tensor_profile(tensor_task: Task) -> Profile:
    return make_profile(tensor_task, tasks.tensor_samples(12), seconds=1.0, quick=True)


@pytest.fixture(scope="session")
def picture_profile(picture_task: Task) -> Profile:
    return make_profile(picture_task, tasks.pictures(14), seconds=1.0, quick=True)
