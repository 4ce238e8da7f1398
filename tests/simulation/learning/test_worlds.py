"""Worlds to learn in: the same by number, no Wi-Fi, no link on both sides of the hold-out."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.learning.worlds import Worlds, drives, generated, is_wifi

RADIOS = ("LTE", "5G-low", "", "WiFi-n-20mhz-24ghz")


def folder(path: Path, radios: tuple[str, ...]) -> Path:
    for place, radio in enumerate(radios):
        rows = [f"{second},{40 + place},10,{radio}" for second in range(5)]
        (path / f"link-{place:02d}.csv").write_text("time_s,rtt_ms,uplink_mbps,radio\n" + "\n".join(rows) + "\n")
    return path


def test_each_third_drive_is_held_out_and_no_wifi_link_is_on_either_side(tmp_path: Path) -> None:
    training, held = drives(folder(tmp_path, RADIOS * 3))
    names = {course.name for course in training} | {course.name for course in held}
    assert [course.name for course in held] == ["link-02", "link-06", "link-10"]
    assert len(training) == 6
    assert not {course.name for course in training} & {course.name for course in held}
    assert all(f"link-{place:02d}" not in names for place in (3, 7, 11))


def test_a_folder_of_wifi_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 cellular links"):
        drives(folder(tmp_path, ("WiFi", "Wi-Fi 6", "802.11ac")))


def test_training_on_a_wifi_link_is_refused() -> None:
    with pytest.raises(UsageError, match="here is a Wi-Fi link"):
        Worlds([Course.steady(round_trip_ms=5, name="here", radio="WiFi")])
    assert not is_wifi(Course.steady(round_trip_ms=5, name="here", radio="LTE"))


def test_a_world_depends_on_its_seed_and_number_alone() -> None:
    link = Course.steady(round_trip_ms=40, up_mbps=10, name="road")
    one, again, other = (Worlds([link], seed=seed, requests=20) for seed in (3, 3, 4))
    one.world(0)
    first, second, third = one.world(7), again.world(7), other.world(7)
    assert first.prices == second.prices != third.prices
    assert first.setup.name == second.setup.name != third.setup.name
    assert first.setup.arrivals == second.setup.arrivals
    assert first.setup.course.equals(second.setup.course)


def test_generated_links_are_sound_and_differ() -> None:
    random = np.random.default_rng(0)
    made = [generated(random, f"made-{number}") for number in range(20)]
    medians = [float(np.median(course.round_trip_ns)) for course in made]
    assert len(set(medians)) == 20
    assert all(1e6 <= median <= 3e9 for median in medians)
    assert not any(course.frozen[0] for course in made)
