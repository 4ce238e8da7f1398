"""Models made up for worlds to learn in: sound profiles, exits that are worse than what they leave, and gated arms in the tables."""

from pathlib import Path

import numpy as np

from hedgerow.core.policies import learned_weights
from hedgerow.planning.arms import every_arm
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.course import Course
from hedgerow.simulation.learning.gating import gated
from hedgerow.simulation.learning.judging import against
from hedgerow.simulation.learning.worlds import Worlds
from hedgerow.simulation.scenario import load
from tests.simulation.learning.test_worlds import RADIOS, folder

PROFILE = load("standard").load_profile()


def test_what_is_made_up_is_a_sound_profile_with_exits_that_are_worse_than_what_they_leave(tmp_path: Path) -> None:
    kinds = set()
    for seed in range(12):
        made = gated(PROFILE, np.random.default_rng(seed))
        made.save(tmp_path / "made.json")
        assert Profile.load(tmp_path / "made.json") == made
        table = every_arm(made)
        kinds |= {arm.name.partition(":")[0] for arm in table.arms}
        for model in table.locals:
            if model.trunk:
                trunk = table.local(model.trunk)
                assert model.segment_median_ns[: model.shared + 1] == trunk.segment_median_ns[: model.shared + 1]
                assert model.tail_median_ns[0] < 1.16 * trunk.tail_median_ns[0]  # the last may not be worth it
                assert model.quality < trunk.quality
    assert {"exit", "cascade", "local", "cloud", "split"} == kinds
    assert gated(PROFILE, np.random.default_rng(5)) == gated(PROFILE, np.random.default_rng(5))


def test_most_worlds_to_learn_in_have_arms_with_gates() -> None:
    worlds = Worlds([Course.steady(round_trip_ms=40, up_mbps=10, name="road")], requests=5)
    found = [
        any(arm.name.startswith(("exit:", "cascade:")) for arm in worlds.world(number).setup.table.arms)
        for number in range(6)
    ]
    assert sum(found) >= 3


def test_the_shipped_weights_beside_themselves_cost_the_same(tmp_path: Path) -> None:
    links = folder(tmp_path, RADIOS[:3])
    said = against(links, Path(str(learned_weights.__file__)), count=1, every=1, seconds=1.0)
    rows = [line.split() for line in said[1:]]
    assert [row[:2] for row in rows] == [
        [kind, policy] for kind in ("drawn", "standard") for policy in ("hedgerow", "shipped", "these")
    ]
    for place in (1, 4):
        assert rows[place][2:] == rows[place + 1][2:]
