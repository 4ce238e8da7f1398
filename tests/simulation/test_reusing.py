"""Scenes that stand still: the declared share of them, answers given again to the same picture alone, and what an overlooked change costs."""

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation.reusing import MOVING, Scenes, Seen, Still
from hedgerow.simulation.world import Run, Setup, run
from tests.simulation.worlds import scenario, setup

STREAM = """
[[stream]]
name = "camera"
period_ms = 50
"""
PRICES = r.Prices()


def world(more: str) -> tuple[Setup, Run]:
    made = setup(STREAM + more)
    return made, run(made, by_name("ours", made.table), PRICES)


def test_a_scene_stands_still_for_the_declared_share_of_the_time_in_spells_of_the_declared_length() -> None:
    moments = np.arange(0, 20_000 * r.SECOND, 50 * r.MS).tolist()
    found = Still(0.7, 3.0, 0.1).scenes(np.random.default_rng(1), moments)
    still = np.array([scene != MOVING for scene, _ in found])
    assert still.mean() == pytest.approx(0.7, abs=0.02)
    spells = len({scene for scene, _ in found if scene != MOVING})
    assert still.sum() * 0.05 / spells == pytest.approx(3.0, rel=0.1)
    overlooked = np.array([missed for _, missed in found])
    assert not overlooked[still].any()
    assert overlooked[~still].mean() == pytest.approx(0.1, abs=0.01)
    assert Still(1.0, 3.0, 0.0).scenes(np.random.default_rng(1), moments[:9]) == [(0, False)] * 9


def test_a_sample_is_alike_what_is_kept_if_it_shows_the_same_still_picture_or_its_change_is_overlooked() -> None:
    seen = [
        Seen("a", 1, False),
        Seen("a", 1, False),
        Seen("a", 2, False),
        Seen("a", MOVING, False),
        Seen("a", MOVING, True),
    ]
    scenes = Scenes(seen, {"a": 4.0})
    first = r.RequestArrived(0, "a", 0)
    assert scenes.compared(first) is first  # nothing is kept yet
    scenes.delivered(r.Deliver(0, r.Status.ANSWERED, r.Source.LOCAL, "", "m", r.Reason.LOCAL_DONE, reusable=True))
    changes = [scenes.compared(r.RequestArrived(number, "a", 0)) for number in range(1, 5)]
    assert [(each.change, each.change_from) for each in changes] == [(2.0, 0), (8.0, 0), (8.0, 0), (2.0, 0)]


def test_the_last_answer_stands_while_the_scene_is_still_and_agrees_as_it_did() -> None:
    made, found = world("reuse_age_ms = 1000\nstill_share = 0.8\n")
    again = np.array([source == "reused" for source in found.source])
    still = np.mean([each.scene != MOVING for each in made.arrivals])
    assert 0.8 * still < again.mean() < still
    samples = [each.sample for each in made.arrivals]
    last = -1
    for request in range(len(samples)):
        if again[request]:
            assert made.arrivals[request].scene == made.arrivals[last].scene != MOVING
            assert samples[request] == samples[last]
            assert found.agrees[request] == found.agrees[last]
            assert found.quality[request] == found.quality[last]
            assert made.arrivals[request].arrival_ns - made.arrivals[last].captured_ns <= 1000 * r.MS
            assert found.energy_mj[request] == found.up_bytes[request] == 0
        else:
            last = request
    assert not found.late.any()
    _, anew = world("still_share = 0.8\n")
    assert "reused" not in anew.source
    assert found.energy_mj.mean() < 0.5 * anew.energy_mj.mean()
    assert found.cost_mj(PRICES, made.table).mean() < anew.cost_mj(PRICES, made.table).mean()


def test_an_answer_given_again_to_another_picture_is_wrong() -> None:
    made, found = world("reuse_age_ms = 1000\nstill_share = 0.3\nunnoticed_share = 0.2\n")
    wrong = [
        request
        for request, source in enumerate(found.source)
        if source == "reused" and made.arrivals[request].scene == MOVING
    ]
    assert wrong
    assert not found.agrees[wrong].any()
    assert (found.quality[wrong] == 0.0).all()


def test_what_is_drawn_for_the_rest_does_not_change_with_it() -> None:
    plain, still = setup(STREAM), setup(STREAM + "still_share = 0.5\n")
    moving = [place for place, each in enumerate(still.arrivals) if each.scene == MOVING]
    assert 0 < len(moving) < len(plain.arrivals)
    assert all(still.arrivals[place].sample == plain.arrivals[place].sample for place in moving)
    assert [each.captured_ns for each in plain.arrivals] == [each.captured_ns for each in still.arrivals]
    assert scenario(STREAM).stream[0].still is None
