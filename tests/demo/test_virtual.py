"""The demo's drive in the virtual world: the link says what the relay says, every frame is answered once, and what a live journal
shows of its surroundings is found again."""

import socket
from pathlib import Path

import pytest

from hedgerow.core import records as r
from hedgerow.demo.course import KILL, RESTART, Course
from hedgerow.demo.prepare import SLOW_SHARE
from hedgerow.demo.runner import DEADLINE_MS
from hedgerow.demo.virtual import Around, drive, drive_setup, header_of, link_course, server_fault
from hedgerow.emulation.control import obey
from hedgerow.emulation.relay import Relay
from hedgerow.journal import replay
from hedgerow.profiling import Profile
from hedgerow.simulation.scenario import shipped_profiles

LEAD_NS = 1_210_000_000


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile.load(shipped_profiles()["photographs"])


def factor_of(profile: Profile) -> float:
    """As the demo makes its device slower."""
    whole = {model.name: model.segments[0].tail.median_ns for model in profile.models}
    return max(1.0, SLOW_SHARE * DEADLINE_MS * 1e6 / whole[profile.reference])


@pytest.mark.parametrize("seconds", [3.0, 15.0])
def test_the_course_says_what_the_relay_says_at_each_happening(seconds: float) -> None:
    course = Course(seconds)
    found = link_course(course, lead_ns=LEAD_NS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = Relay("127.0.0.1", server.getsockname()[1])
        relay.start()
        try:
            for happening in course.happenings:
                for order in set(happening.orders) - {KILL, RESTART}:
                    assert obey(relay, order) == f"ok {order}"
                now, then = relay.conditions, LEAD_NS + round(happening.at_s * r.SECOND)
                for moment_ns in (then, then + r.MS):
                    said = found.at(moment_ns)
                    assert said.round_trip_ns == now.rtt_ms * r.MS
                    assert said.up_bytes_per_s == now.uplink_bytes_per_s
                    assert said.down_bytes_per_s == now.downlink_bytes_per_s
                    assert said.frozen == now.frozen
        finally:
            relay.stop()
    assert found.at(0) == found.at(LEAD_NS)


def test_the_server_is_down_from_the_kill_until_it_serves_again() -> None:
    course = Course()
    moments = {order: happening.at_s for happening in course.happenings for order in happening.orders}
    fault = server_fault(course, back_s=13.4)
    assert fault.from_ns == round(moments[KILL] * r.SECOND)
    assert fault.until_ns == pytest.approx(13.4 * r.SECOND)
    assert server_fault(course).until_ns == pytest.approx(moments[RESTART] * r.SECOND)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_frame_is_answered_once_and_none_late(profile: Profile, tmp_path: Path, seed: int) -> None:
    course, factor = Course(), factor_of(profile)
    header = header_of(profile, "ours", factor=factor)
    setup = drive_setup(course, profile, header, factor=factor, deadline_ms=DEADLINE_MS, seed=seed, back_s=13.4)
    rows = drive(setup, header, tmp_path / "drive.journal")
    assert [row.index for row in rows] == list(range(course.requests))
    assert all(row.in_time for row in rows)
    assert replay(tmp_path / "drive.journal").difference is None
    down = [row for row in rows if 10.7 < (row.captured_ns - rows[0].captured_ns) / 1e9 < 13.2]
    assert down
    assert {row.source for row in down} == {r.Source.LOCAL}


def test_a_journal_shows_how_server_and_round_trips_were(profile: Profile, tmp_path: Path) -> None:
    course, factor = Course(), factor_of(profile)
    header = header_of(profile, "cloud-only", factor=factor)
    slower = Around(cloud_factor=1.5, added_rtt_ms=8.0)
    setup = drive_setup(course, profile, header, factor=factor, deadline_ms=DEADLINE_MS, seed=0, around=slower)
    drive(setup, header, tmp_path / "drive.journal")
    found = Around.of_journal(tmp_path / "drive.journal", profile, course)
    assert found.cloud_factor == pytest.approx(1.5, rel=0.1)
    assert found.added_rtt_ms == pytest.approx(8.0, abs=1.5)
    alone = header_of(profile, "device-only", factor=factor)
    drive(setup, alone, tmp_path / "alone.journal")
    assert Around.of_journal(tmp_path / "alone.journal", profile, course) == Around()
