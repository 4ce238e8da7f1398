"""Shrinking: nothing that is left can be left out, and what is left still fails in the same way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.core import records as r
from hedgerow.errors import UsageError
from hedgerow.simulation.campaign import Only, Tried, try_scene
from hedgerow.simulation.drawing import Scene, draw_scene
from hedgerow.simulation.shrink import cut, shrink

REQUESTS = 80


@given(st.integers(1, 40), st.data())
def test_of_independent_parts_exactly_those_that_are_needed_remain(count: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, count - 1)))
    assert cut(tuple(range(count)), lambda some: needed <= set(some)) == tuple(sorted(needed))


def planted(scene: Scene) -> Tried:
    """A core that forgets one request in nine once the device's network has been down."""

    def plant(body: Any) -> None:
        core = body.core
        take, decide = core._take, core._decide
        seen: list[str] = []

        def taken(event: r.Event) -> None:
            if type(event) is r.LinkDown:
                seen.append(event.link)
            take(event)

        def decided(flight: Any) -> None:
            if seen and flight.request % 9 == 4:
                core._flights.pop(flight.request)
            else:
                decide(flight)

        core._take, core._decide = taken, decided

    return try_scene(scene, plant=plant)


def failing_seed() -> int:
    return next(seed for seed in range(400) if planted(draw_scene(seed, REQUESTS)).violation is not None)


def test_a_planted_bug_is_cut_down_to_its_one_fault_and_one_request() -> None:
    seed = failing_seed()
    whole = draw_scene(seed, REQUESTS)
    found = shrink(seed, REQUESTS, try_one=planted)
    assert len(whole.faults) > 1
    assert [fault.kind for fault in found.scene.faults] == ["link-flap"]
    assert len(found.scene.samples) == 1
    assert found.invariant == "once"
    again = planted(whole.only(found.only.faults, found.only.requests)).violation
    assert again is not None
    assert again.what == found.what
    assert found.line.endswith(f"--seed {seed} --seeds 1 --requests {REQUESTS} --only '{found.only}'")
    assert Only.parse(str(found.only)) == found.only
    twice = shrink(seed, REQUESTS, try_one=planted)
    assert (str(twice), twice.runs) == (str(found), found.runs)
    further = shrink(seed, REQUESTS, only=found.only, try_one=planted)
    assert further.only == found.only
    assert "link-flap" in str(found)


def test_a_world_that_is_well_cannot_be_shrunk() -> None:
    with pytest.raises(UsageError, match="nothing is violated"):
        shrink(0, 20)
