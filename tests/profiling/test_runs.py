"""Every chained run gives one time of each segment and of each tail."""

import time

import numpy as np

from hedgerow.models.task import Task
from hedgerow.profiling.runs import RunTimes, time_runs
from hedgerow.profiling.samples import samples_of
from tests.profiling.tasks import pictures, tensor_samples


def test_a_tail_lasts_at_least_as_long_as_the_segments_in_it(tensor_task: Task) -> None:
    samples = samples_of(tensor_task, tensor_samples(3))
    with tensor_task.open("tiny") as chain:
        found = time_runs({"tiny": chain}, samples, end_s=0.0, runs_min=7, runs_max=9)["tiny"]
    assert found.segments_ns.shape == found.tails_ns.shape == (7, 5)
    for index in range(5):
        assert (found.tails_ns[:, index] >= found.segments_ns[:, index:].sum(axis=1)).all()
    assert (np.diff(found.tails_ns, axis=1) <= 0).all()


def test_models_take_turns_until_the_most_runs_or_the_end(picture_task: Task) -> None:
    samples = samples_of(picture_task, pictures(2))
    chains = {name: picture_task.open(name) for name in ("small", "big")}
    most = time_runs(chains, samples, end_s=time.monotonic() + 60, runs_min=1, runs_max=4)
    assert [each.segments_ns.shape for each in most.values()] == [(4, 3), (4, 3)]
    for chain in chains.values():
        chain.close()


def test_one_run_is_one_row(tensor_task: Task) -> None:
    times = RunTimes()
    with tensor_task.open("tiny") as chain:
        times.add(chain, tensor_samples(1)["s0"])
        assert times.segments_ns.shape == (1, len(chain.segments))
