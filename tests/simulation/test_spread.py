"""The same results wherever they are computed: one process, two, or a Ray cluster of two nodes (skipped where Ray is not installed)."""

import importlib.util
import os
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hedgerow.errors import HostError, LinkError, UsageError
from hedgerow.simulation.comparing import compare
from hedgerow.simulation.spread import spread
from hedgerow.simulation.summing import summary
from tests.simulation.test_comparing import POLICIES, compared, small

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed: pip install 'hedgerow[ray]'")
TASKS = list(range(12))


def square(task: int) -> int:
    return task * task


def refuse(task: int) -> int:
    if task == 3:
        raise UsageError("three is one too many")
    return task


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks_and_each_is_told(workers: int) -> None:
    told: list[int] = []
    assert spread(square, TASKS, workers=workers, progress=told.append) == [task * task for task in TASKS]
    assert sum(told) == len(TASKS)
    assert spread(square, [], workers=workers) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_comes_as_it_is(workers: int) -> None:
    with pytest.raises(UsageError, match="one too many"):
        spread(refuse, TASKS, workers=workers)


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_is_said_what_to_install() -> None:
    with pytest.raises(HostError, match="pip install"):
        spread(square, TASKS, ray="auto")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two nodes on this machine, a processor each."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hedgerow[ray]'")
    from ray.cluster_utils import Cluster

    nodes: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        yield nodes.address
    finally:
        ray.shutdown()
        nodes.shutdown()


@needs_ray
@pytest.mark.timeout(300)
def test_two_nodes_find_what_one_process_finds(cluster: str) -> None:
    one, two = compared(1), compare(*small(), POLICIES, ray=cluster)
    assert summary(one) == summary(two)
    judged = zip(one.judged, two.judged, strict=True)
    ran = (
        (this, that)
        for mine, other in zip(one.ran, two.ran, strict=True)
        for this, that in zip(mine, other, strict=True)
    )
    pairs: list[tuple[Any, Any]] = [*judged, *ran]
    for this, that in pairs:
        for part in fields(this):
            assert np.array_equal(getattr(this, part.name), getattr(that, part.name))


@needs_ray
@pytest.mark.timeout(300)
def test_both_nodes_work_and_have_this_package_sent(cluster: str) -> None:
    def where(task: int) -> tuple[str, str]:  # inside the test: sent by value, for no node knows the tests
        import ray

        import hedgerow

        time.sleep(0.2)
        return ray.get_runtime_context().get_node_id(), hedgerow.__file__

    found = spread(where, TASKS, ray=cluster)
    assert len({node for node, _ in found}) == 2
    assert all("py_modules" in file for _, file in found)


@needs_ray
@pytest.mark.timeout(300)
def test_an_error_on_a_node_comes_as_it_is(cluster: str) -> None:
    def work(task: int) -> int:
        if task == 3:
            raise UsageError("three is one too many")
        return task

    with pytest.raises(UsageError, match="one too many"):
        spread(work, TASKS, ray=cluster)


@needs_ray
@pytest.mark.timeout(300)
def test_an_interrupt_ends_what_is_under_way(cluster: str, tmp_path: Path) -> None:
    def work(task: int) -> int:
        (tmp_path / str(task)).touch()
        time.sleep(0.3)
        return task

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spread(work, list(range(40)), ray=cluster, progress=interrupt)
    begun = len(os.listdir(tmp_path))
    assert begun < 12
    time.sleep(2.0)
    assert len(os.listdir(tmp_path)) <= begun + 2  # one on each node that had just begun


@needs_ray
@pytest.mark.parametrize("address", ["nonsense", "host:port", "127.0.0.1:0"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    import ray

    ray.shutdown()
    with pytest.raises(UsageError, match="HOST:PORT"):
        spread(square, TASKS, ray=address)


@needs_ray
def test_a_cluster_that_is_not_there_is_said_at_once() -> None:
    import ray

    ray.shutdown()
    with pytest.raises(LinkError, match=r"no Ray cluster at 127\.0\.0\.1:1:"):
        spread(square, TASKS, ray="127.0.0.1:1")
