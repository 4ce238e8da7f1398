"""What tests share: fetched models and photographs, and the measured data beside the repository, each skipped with a clear
word where it cannot be had."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hedgerow.errors import HostError
from hedgerow.models.fetch import fetch, read_index

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def imagenet_task() -> Path:
    """Path of the fetched task file with MobileNetV2 and EfficientNet-Lite2; fetched on first use."""
    try:
        return fetch("imagenet")
    except HostError as error:
        pytest.skip(f"the models of the task 'imagenet' cannot be fetched here: {error}")


@pytest.fixture(scope="session")
def photographs() -> Sequence[tuple[Path, int]]:
    """The 20 labelled photographs: (picture, ImageNet class index)."""
    try:
        return read_index(fetch("photographs"))
    except HostError as error:
        pytest.skip(f"the labelled photographs cannot be fetched here: {error}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory ../shared/data beside the repository (drives, photographs); see docs of the data there."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the shared data are absent: no {path}")
    return path
