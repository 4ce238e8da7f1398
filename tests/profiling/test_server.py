"""A real server is measured as it answers; what it does not tell is marked and not made up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.errors import LinkError
from hedgerow.models.task import Task
from hedgerow.profiling import make_profile
from hedgerow.profiling.samples import Sample, samples_of
from hedgerow.profiling.server import measure_server, unmeasured
from hedgerow.wire import CloudClient
from tests.profiling.tasks import tensor_samples
from tests.wire.serving import local_server, write_task


@pytest.fixture
def samples(tensor_task: Task) -> tuple[Sample, ...]:
    return samples_of(tensor_task, tensor_samples(3))


@pytest.fixture(scope="module")
def address(tensor_task: Task) -> Iterator[str]:
    with local_server(tensor_task.models[0].path.parent / "tiny.toml") as server:
        yield server.address


def test_segments_round_trip_and_uplink_are_measured(
    tensor_task: Task, samples: tuple[Sample, ...], address: str
) -> None:
    with CloudClient(address) as client, tensor_task.open("tiny") as chain:
        found = measure_server(client, tensor_task, {"tiny": chain}, samples, count=4)
    assert found.address == address
    assert not found.estimated
    segments = found.segments_ns["tiny"]
    assert segments is not None
    assert len(segments) == 5
    assert all(each >= 0 for each in segments)
    assert sum(segments) > 0
    assert found.round_trip is not None
    assert found.round_trip.samples == 5
    assert found.uplink_mbps is not None
    assert found.uplink_mbps > 0
    assert found.decode_ns is not None


def test_a_model_that_the_server_lacks_stays_an_estimate(tmp_path: Path, address: str) -> None:
    other = Task.load(write_task(tmp_path, name="other"))
    samples = samples_of(other, tensor_samples(2))
    with CloudClient(address) as client, other.open("other") as chain:
        found = measure_server(client, other, {"other": chain}, samples, count=2)
    assert found.estimated
    assert found.segments_ns == {"other": None}
    assert found.round_trip is not None


def test_a_server_that_is_not_there_is_a_matter_of_the_network(tensor_task: Task, samples: tuple[Sample, ...]) -> None:
    with CloudClient("127.0.0.1:9") as client, tensor_task.open("tiny") as chain:
        with pytest.raises(LinkError):
            measure_server(client, tensor_task, {"tiny": chain}, samples, count=1)


def test_a_profile_without_its_server_is_made_all_the_same_and_says_so(tensor_task: Task) -> None:
    said: list[str] = []
    with CloudClient("127.0.0.1:9") as client:
        profile = make_profile(
            tensor_task, tensor_samples(4), seconds=1.0, quick=True, server_client=client, progress=said.append
        )
    assert profile.cloud == unmeasured(("tiny",))
    assert any("not measured" in line and "at fault: network" in line for line in said)


def test_a_profile_with_its_server_carries_its_times(tensor_task: Task, address: str) -> None:
    with CloudClient(address) as client:
        profile = make_profile(tensor_task, tensor_samples(4), seconds=1.0, quick=True, server_client=client)
    assert profile.cloud.segments_ns["tiny"]
    assert profile.cloud.round_trip is not None
