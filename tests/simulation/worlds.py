"""Worlds from a scenario's text over the small profile, for tests of what a scenario declares."""

from hedgerow.core.policies import by_name
from hedgerow.simulation import cells
from hedgerow.simulation.course import Course
from hedgerow.simulation.scenario import Scenario, parse
from hedgerow.simulation.world import Run, Setup, run
from tests.simulation.profiles import profile

PLAIN = """
format = 1
name = "test"
links = ["wifi-site"]
seconds = 10
[cloud]
factor = 0.2
[[group]]
name = "all"
radios = [""]
deadlines_ms = [150]
device_factors = [1]
"""
LINK = Course.steady(round_trip_ms=20, up_mbps=50, down_mbps=50)


def scenario(more: str = "", *, plain: str = PLAIN) -> Scenario:
    """The plain scenario with more of it."""
    return parse(plain + more, name="test.toml")


def setup(more: str = "", *, course: Course = LINK, plain: str = PLAIN) -> Setup:
    """Its world over a good link."""
    declared = scenario(more, plain=plain)
    return cells.build(declared, profile(), cells.units(declared, [course])[0])


def ran(more: str = "", *, policy: str = "ours", course: Course = LINK, plain: str = PLAIN) -> Run:
    """What came of it."""
    world = setup(more, course=course, plain=plain)
    return run(world, by_name(policy, world.table), scenario(more, plain=plain).price[0].prices())
