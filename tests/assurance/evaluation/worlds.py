"""Simulated journals for these tests: the small world, logged by a policy that draws much."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.policies import Policy
from hedgerow.core.policies.exploring import Exploring
from hedgerow.core.records import SECOND, Prices
from hedgerow.simulation.course import Course
from hedgerow.simulation.journalling import record
from hedgerow.simulation.world import Run, Setup
from tests.simulation.small import small_setup

PRICES = Prices()
WIDE = Exploring("exploring-wide", epsilon=0.6, budget_mj=1e6)
"""Each other arm in a fifth of the requests: a short journal is enough. No name finds it, so readers are given it."""
SOME = Exploring("exploring-some", epsilon=0.3, budget_mj=1e6)
"""Each other arm in a tenth: little enough that what is believed of the link stays about as it would be without."""
LINKS = ("steady", "blackouts", "drive-mixed", "drive-tunnel")


def course_of(link: str, seed: int) -> Course:
    """The link, begun elsewhere for each seed."""
    course = Course.steady(round_trip_ms=30, up_mbps=20, down_mbps=50)
    if link == "blackouts":
        course = course.unrolled(60 * SECOND).looped().with_blackout(20 * SECOND, 9 * SECOND)
        course = course.with_rate(35 * SECOND, 12 * SECOND, up_bytes_per_s=150_000)
    elif link != "steady":
        course = Course.load(link)
    return course.shifted(int(np.random.default_rng(seed).integers(0, course.end_ns)))


def setup_of(link: str = "drive-tunnel", seed: int = 1, *, count: int = 320, period_ms: int = 2100) -> Setup:
    """Requests far enough apart not to meet; lanes 10 % quicker or slower from request to request."""
    factors = tuple(np.random.default_rng(seed).uniform(0.9, 1.1, 97).tolist())
    setup = small_setup(course_of(link, seed), count=count, period_ms=period_ms, factors=factors)
    return replace(setup, limits=r.Limits(audit_share=0.0, seed=seed + 1))


def logged(path: Path, setup: Setup, policy: Policy = WIDE) -> Run:
    """Its journal at `path`."""
    return record(setup, policy, PRICES, path)
