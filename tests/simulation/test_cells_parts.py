"""From a scenario to worlds: its links are found, and equal ones would share draws."""

from pathlib import Path

import pytest

from hedgerow.core.policies import by_name
from hedgerow.errors import UsageError
from hedgerow.simulation import cells, scenario
from hedgerow.simulation.world import Run, run
from tests.simulation.worlds import PLAIN
from tests.simulation.worlds import scenario as declared


def test_links_are_shipped_ones_or_files_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("time_s,rtt_ms,uplink_mbps\n0,10,5\n1,20,6\n")
    (tmp_path / "s.toml").write_text(PLAIN.replace('["wifi-site"]', '["mine.csv", "drive-good"]'))
    found = cells.courses_of(scenario.load(tmp_path / "s.toml"))
    assert [course.name for course in found] == ["mine", "drive-good"]


@pytest.mark.parametrize(
    ("links", "words"),
    [("[]", "names no links"), ('["nowhere"]', "no folder of links"), ('["wifi-site", "wifi-site"]', "same name")],
)
def test_links_that_cannot_be(links: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        cells.courses_of(declared(plain=PLAIN.replace('["wifi-site"]', links)))


def _run(name: str, policy: str = "ours") -> list[Run]:
    given = scenario.load(name)
    worlds = [cells.build(given, given.load_profile(), unit) for unit in cells.units(given, cells.courses_of(given))]
    return [run(world, by_name(policy, world.table), given.price[0].prices()) for world in worlds]


def test_the_tunnel_drive_needs_reserves_and_nothing_is_late() -> None:
    for made in _run("tunnel-drive"):
        assert not made.late.any()
        assert made.reserve.sum() > 3
        assert "remote" not in made.source[135:150]  # the first stall, once it is noticed
        assert "remote" not in made.source[225:235]  # the server is dead
        assert made.source.count("remote") > 50


def test_the_robot_arms_guard_answers_for_itself_and_its_grip_asks_the_box() -> None:
    (made,) = _run("robot-arm-wifi")
    given = scenario.load("robot-arm-wifi")
    world = cells.build(given, given.load_profile(), cells.units(given, cells.courses_of(given))[0])
    who = {(each.stream, source) for each, source in zip(world.arrivals, made.source, strict=True)}
    assert ("guard", "remote") not in who
    assert {("guard", "local"), ("grip", "remote"), ("grip", "local")} <= who
    assert not made.late.any()


def test_the_drones_battery_falls_changes_what_it_does_and_ends_it() -> None:
    (made,) = _run("drone-battery")
    gauges = made.gauges
    assert gauges is not None
    told = [(each.now_ns, each.fraction) for each in gauges.readings if each.fraction is not None]
    levels = [fraction for _, fraction in told]
    assert levels == sorted(levels, reverse=True)
    assert max(each.throttled or 0 for each in gauges.readings) > 0  # after the first blackout it is hot
    taken = set()
    for number in (*range(120, 300), *range(550, 620)):  # without a link: below a fifth of its charge the small model
        fraction = [fraction for at_ns, fraction in told if at_ns < number * 100_000_000][-1]
        taken.add((fraction < 0.2, made.arm[number]))
    assert taken == {(False, "local:efficientnet-lite2"), (True, "local:mobilenet-v2")}
    assert gauges.dead_ns is not None
    end = gauges.dead_ns // 100_000_000
    assert not made.late[: end - 1].any()
    assert made.late[end + 1 :].all()
    assert levels[-2] > 0.03  # the cliff: energy was left
    assert made.radio_mj > 3 * gauges.core_radio_mj
