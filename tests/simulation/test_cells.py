"""From a scenario and links to worlds: each combination once, and the same draws whatever is swept."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.emulation.traces import shipped
from hedgerow.errors import UsageError
from hedgerow.profiling.profile import Profile
from hedgerow.simulation import cells, scenario
from hedgerow.simulation.scenario import Scenario
from hedgerow.simulation.world import Setup

LINKS = ("drive-mixed", "wifi-site")


@pytest.fixture(scope="module")
def standard() -> Scenario:
    return scenario.load("standard")


@pytest.fixture(scope="module")
def profile(standard: Scenario) -> Profile:
    return cells.profile_of(standard)


def units(standard: Scenario, seed: int = 0) -> list[cells.Unit]:
    return cells.units(standard, [course for link in LINKS for course in cells.load_courses(link)], seed=seed)


def test_every_combination_is_a_unit_once(standard: Scenario) -> None:
    found = units(standard)
    swept = [(unit.course.name, unit.cell.group, unit.cell.deadline_ms, unit.cell.device_factor) for unit in found]
    assert len(set(swept)) == len(swept) == 8
    (group,) = (each for each in standard.group if each.name == "cellular")
    assert {each[1:] for each in swept if each[0] == found[0].course.name} == {
        ("cellular", deadline, factor) for deadline in group.deadlines_ms for factor in group.device_factors
    }


def test_a_world_is_the_same_again_and_another_with_another_seed(standard: Scenario, profile: Profile) -> None:
    one, again, other = (cells.build(standard, profile, units(standard, seed)[0]) for seed in (1, 1, 2))
    assert one.arrivals == again.arrivals
    assert [each.sample for each in one.arrivals] != [each.sample for each in other.arrivals]
    model = one.table.locals[0]

    def times(setup: Setup) -> list[tuple[int, ...]]:
        lanes = setup.lanes()
        return [lanes.segments_ns(request, model.name, 0, model.last, 0) for request in range(20)]

    assert times(one) == times(one) == times(again)
    assert times(one) != times(other)


def test_deadline_and_speed_change_neither_samples_nor_sizes(standard: Scenario, profile: Profile) -> None:
    setups = [cells.build(standard, profile, unit) for unit in units(standard)[:4]]
    assert len({tuple((each.captured_ns, each.sample) for each in setup.arrivals) for setup in setups}) == 1
    assert len({setup.streams[0].deadline_ns for setup in setups}) == 2
    crossing = profile.crossings[0]
    sizes = {
        tuple(setup.lanes().payload_bytes(q, crossing.model, crossing.joint, crossing.codec) for q in range(20))
        for setup in setups
    }
    assert len(sizes) == 1
    slow, slower = setups[0].table.locals[0], setups[1].table.locals[0]
    assert slower.tail_median_ns[0] > slow.tail_median_ns[0]


def test_a_group_may_move_its_links_nearer(standard: Scenario) -> None:
    text = """format = 1
name = "near"
[[group]]
name = "all"
radios = [""]
deadlines_ms = [100]
device_factors = [1]
rtt_offset_ms = 40
"""
    (moved,) = cells.units(scenario.parse(text, name="near"), cells.load_courses("drive-mixed"))
    (course,) = cells.load_courses("drive-mixed")
    assert np.allclose(moved.course.round_trip_ns - course.round_trip_ns, 40e6)


def test_a_link_that_belongs_to_no_group_is_left_out_and_none_at_all_refused(standard: Scenario) -> None:
    text = (
        'format = 1\nname = "w"\n[[group]]\nname = "w"\nradios = ["WiFi"]\ndeadlines_ms = [50]\ndevice_factors = [1]\n'
    )
    only = scenario.parse(text, name="w")
    courses = [course for link in LINKS for course in cells.load_courses(link)]
    assert len(cells.units(only, courses)) == 1
    with pytest.raises(UsageError, match="none of the links"):
        cells.units(only, cells.load_courses("drive-mixed"))


def test_folders_of_links_are_read_in_order_or_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder of links"):
        cells.load_courses(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no \*\.csv"):
        cells.load_courses(tmp_path)
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_bytes(shipped()["wifi-site"].read_bytes())
    assert len(cells.load_courses(tmp_path)) == 2
    assert len(cells.load_courses(tmp_path / "a.csv")) == 1
    (tmp_path / "c.csv").write_text("not,a,trace\n1,2,3\n")
    with pytest.raises(UsageError, match=r"c\.csv"):
        cells.load_courses(tmp_path)


def test_the_clouds_settings_are_the_scenarios() -> None:
    text = """format = 1
name = "c"
[[group]]
name = "all"
radios = [""]
deadlines_ms = [100]
device_factors = [1]
[cloud]
replicas = 2
batch_max = 4
batch_wait_ms = 5
start_ms = 1000
is_cold = true
"""
    found = cells.cloud_settings(scenario.parse(text, name="c"))
    assert (found.replicas, found.batch_max, found.batch_wait_ns, found.start_ns) == (2, 4, 5_000_000, 1_000_000_000)
    assert found.is_cold
