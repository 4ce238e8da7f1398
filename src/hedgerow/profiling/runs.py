"""Times of segments and of tails, from chained runs as they happen live: every run gives one sample of each.

The tail of joint i is the time from the start of segment i + 1 to the end of the same run; its high quantile is less
than the sum of the segments' own, because they are not slow together. Models take turns, so that all see the same machine.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hedgerow.models.chain import Chain
from hedgerow.models.tensors import Tensors
from hedgerow.profiling.samples import Sample

WARM_UPS = 2


class RunTimes:
    """Durations of one chain's runs, in ns: a row for each run, a column for each segment."""

    def __init__(self) -> None:
        self._segments: list[list[int]] = []
        self._tails: list[list[int]] = []

    def add(self, chain: Chain, tensors: Tensors) -> None:
        """Run the chain once from the raw sample and keep its times."""
        durations: list[int] = []
        starts = [time.perf_counter_ns()]

        def done(_segment: int, duration_ns: int) -> None:
            durations.append(duration_ns)
            starts.append(time.perf_counter_ns())

        chain.run(tensors, segment_done=done)
        end = time.perf_counter_ns()
        self._segments.append(durations)
        self._tails.append([end - start for start in starts[:-1]])

    @property
    def segments_ns(self) -> NDArray[np.int64]:
        """(runs, segments)"""
        return np.array(self._segments, np.int64)

    @property
    def tails_ns(self) -> NDArray[np.int64]:
        """(runs, segments): from the start of that segment to the end of the run."""
        return np.array(self._tails, np.int64)


def time_runs(
    chains: Mapping[str, Chain], samples: Sequence[Sample], *, end_s: float, runs_min: int, runs_max: int
) -> dict[str, RunTimes]:
    """Run all chains in turn over the samples, at least `runs_min` times each, until `end_s` (monotonic)."""
    found = {name: RunTimes() for name in chains}
    for chain in chains.values():
        for sample in samples[:WARM_UPS]:
            chain.run(sample.tensors)
    for count in range(runs_max):
        if count >= runs_min and time.monotonic() >= end_s:
            break
        for name, chain in chains.items():
            found[name].add(chain, samples[count % len(samples)].tensors)
    return found
