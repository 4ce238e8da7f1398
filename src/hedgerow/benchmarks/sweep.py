"""How many decisions a second the vectorised sweep makes on one core: moments of a link drawn at random, deadlines too.

Arms as `hedgerow bench decide` has them. Processor time of the quickest of some rounds; what is drawn beforehand is not counted.
"""

import time
from typing import Any

import numpy as np

from hedgerow.benchmarks.decide import wide_table
from hedgerow.core.records import MS, Limits
from hedgerow.simulation.sweep import NO_ARM, Sweep

ROUNDS = 5
SAMPLES = Limits().belief_samples_max


def bench_sweep(arms: int = 64, moments: int = 200_000, seed: int = 1) -> dict[str, Any]:
    """Decisions per second with one belief sample, and with as many as a core keeps."""
    sweep, random = Sweep(wide_table(arms)), np.random.default_rng(seed)
    left = random.uniform(20.0, 300.0, moments) * MS
    figures: dict[str, Any] = {"arms": arms, "moments": moments}
    for word, count in (("one_sample", 1), (f"{SAMPLES}_samples", SAMPLES)):
        size = (max(1, moments // count), count)
        trips = np.exp(random.normal(np.log(40.0 * MS), 0.6, size))
        rates = np.exp(random.normal(np.log(1500.0), 0.8, size))
        samples = np.stack((trips, rates, np.exp(random.normal(0.0, 0.2, size))), axis=2)
        weights = random.random(size) + 0.05
        weights = np.ones(size) if count == 1 else weights / weights.sum(axis=1, keepdims=True)
        taken = []
        for _ in range(ROUNDS):
            began = time.process_time()
            found = sweep.decide(samples, left[: size[0]], weights)
            taken.append(time.process_time() - began)
        figures[f"{word}_per_s"] = round(size[0] / min(taken), 1)
        figures[f"{word}_arms_chosen"] = len(set(found.arm.tolist()) - {NO_ARM})
    return figures
