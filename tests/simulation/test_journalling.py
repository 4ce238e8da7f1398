"""A simulated run's journal replays, and keeping it changes nothing of the run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.core.records import MS, Prices
from hedgerow.device.journal import read_steps, replay
from hedgerow.errors import HostError
from hedgerow.simulation.course import Course
from hedgerow.simulation.journalling import record
from hedgerow.simulation.world import Setup, run
from tests.simulation.small import small_setup

PRICES = Prices(money_mj=3.0)
LINKS = ("drive-mixed", "drive-tunnel")


def setup_on(link: str) -> Setup:
    course = Course.load(link) if link != "steady" else None
    setup = small_setup(course, count=200, factors=(1.0, 1.1, 0.9), period_ms=250)
    return replace(setup, limits=r.Limits(seed=5), events=((3_000 * MS, r.BatteryLevel(0.5)),))


@pytest.mark.parametrize("link", [*LINKS, "steady"])
@pytest.mark.parametrize("policy", ["ours", "exploring", "ans"])
def test_a_simulated_run_is_kept_and_replays(tmp_path: Path, link: str, policy: str) -> None:
    setup, path = setup_on(link), tmp_path / "journal"
    kept = record(setup, by_name(policy), PRICES, path)
    replayed = replay(path)
    assert replayed.difference is None
    assert replayed.decisions == 200
    assert replayed.steps == len(path.read_bytes().splitlines()) - 1
    plain = run(setup, by_name(policy), PRICES)
    assert np.array_equal(kept.told_ns, plain.told_ns)
    assert np.array_equal(kept.cost_mj(PRICES, setup.table), plain.cost_mj(PRICES, setup.table))


def test_its_header_says_what_the_core_was_made_of(tmp_path: Path) -> None:
    setup, path = setup_on("steady"), tmp_path / "journal"
    record(setup, by_name("ours"), PRICES, path)
    header, steps = read_steps(path)
    assert (header.policy, header.prices, header.margins, header.limits.seed) == ("ours", PRICES, setup.margins, 5)
    number, now_ns, event, _ = next(steps)
    assert (number, now_ns, event) == (0, 0, r.StreamOpened(setup.streams[0]))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write the journal"):
        record(small_setup(count=1), by_name("ours"), PRICES, tmp_path / "none" / "journal")
