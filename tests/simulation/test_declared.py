"""Faults that a scenario declares: each acts on what it is said to act on, comes once, changes nothing elsewhere, and no
fault of network or cloud makes late what the device alone answers in time."""

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation.body import Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.comparing import late_above
from hedgerow.simulation.course import Course
from hedgerow.simulation.declared import DisturbedServer, withdrawn_ns
from hedgerow.simulation.faults import KINDS, Fault
from hedgerow.simulation.faulty import WARM, Kinds, ServerFaults
from hedgerow.simulation.lanes import LaneTimes
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import Recorder, Run, build, end_ns, run
from tests.simulation.profiles import profile, streams
from tests.simulation.worlds import LINK, ran, scenario, setup


def _fault(kind: str, more: str = "") -> str:
    return f'[[fault]]\nkind = "{kind}"\nat_s = 3\nfor_s = 4\nstrength = 0.9\n{more}\n'


def _between(made: Run, low: int, high: int) -> list[str]:
    """Who answered what was captured in these seconds: ten requests a second."""
    return made.source[10 * low : 10 * high]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_answers_once_and_nothing_is_late_that_the_device_alone_answers(kind: str) -> None:
    world = setup(_fault(kind))
    policy, prices = by_name("ours", world.table), scenario().price[0].prices()
    recorder = Recorder(world, policy)
    body = build(world, policy, prices, watch=recorder.see)
    body.clock.run(end_ns(world))
    made = recorder.run("ours", body)
    assert recorder.delivered == [1] * len(world.arrivals)
    twin = run(world, by_name("device-only", world.table), prices)
    assert late_above(world, made, twin) == 0


def test_a_fault_beyond_the_worlds_end_changes_nothing() -> None:
    plain, faulty = (
        ran(),
        ran('[[fault]]\nkind = "stray"\nat_s = 9.99\nfor_s = 0\n[[fault]]\nkind = "heat"\nat_s = 11\n'),
    )
    assert np.array_equal(plain.told_ns, faulty.told_ns)
    assert np.array_equal(plain.energy_mj, faulty.energy_mj)


@pytest.mark.parametrize("kind", ["blackout", "stall", "server-kill", "garbage", "wrong-version", "cloud-overload"])
def test_while_it_lasts_the_device_answers_and_before_it_the_cloud(kind: str) -> None:
    made = ran(_fault(kind))
    assert "local" not in _between(made, 1, 3)
    assert "remote" not in _between(made, 5, 7)
    assert not made.late.any()


@pytest.mark.parametrize(("kind", "longer"), [("cpu-hog", 2.8), ("slow-lane", 1.54), ("heat", 1.54)])
def test_a_disturbed_lane_takes_longer_by_its_factor(kind: str, longer: float) -> None:
    plain, slow = ran(policy="only:local:small"), ran(_fault(kind), policy="only:local:small")
    ratio = slow.told_ns / plain.told_ns
    assert np.allclose(ratio[:30], 1.0)
    assert np.allclose(ratio[31:70], longer, rtol=0.01)


def test_a_stopped_server_answers_when_it_goes_on_and_a_slow_one_takes_ten_times() -> None:
    plain = ran(policy="only:cloud:big:jpeg:75")
    slow = ran(_fault("server-slow"), policy="only:cloud:big:jpeg:75")
    inside = slice(32, 70)
    assert np.allclose(slow.cloud_ns[inside] / plain.cloud_ns[inside], 10, rtol=0.15)  # decoding is not slowed
    assert (ran(_fault("server-stop")).reserve[31:36]).any()


def test_a_delivery_that_takes_long_is_late_by_the_harness() -> None:
    plain, full = ran(), ran(_fault("disk-full"))
    inside = slice(31, 70)
    assert np.all(full.told_ns[inside] - plain.told_ns[inside] == 90_000_000)


def test_samples_change_as_declared() -> None:
    plain, aged, short = setup(), setup(_fault("clock-step")), setup(_fault("short-deadline"))
    assert aged.arrivals[40].captured_ns == plain.arrivals[40].captured_ns - 180_000_000
    assert aged.arrivals[10] == plain.arrivals[10]
    assert short.arrivals[40].deadline_ns == round(0.9 * 150_000_000)
    assert short.arrivals[10].deadline_ns is None


def test_what_is_withdrawn_before_its_answer_is_dropped_at_that_moment_and_nothing_else() -> None:
    world, made = setup(_fault("withdraw")), ran(_fault("withdraw"))
    withdrawn = dropped = 0
    for number, each in enumerate(world.arrivals):
        moment = withdrawn_ns(world.faults, world.seed, number, each.arrival_ns)
        told = each.captured_ns + int(made.told_ns[number])
        withdrawn += moment is not None
        dropped += made.status[number] == "dropped"
        assert (made.status[number] == "dropped") == (moment is not None and moment <= told)
        if made.status[number] == "dropped":
            assert told == moment
    assert 4 <= withdrawn <= 20  # of 40, each with a chance of 0.3
    assert 0 < dropped < withdrawn  # some come after the answer


def test_what_is_repeated_comes_again_and_only_then() -> None:
    made = ran('[[fault]]\nkind = "blackout"\nat_s = 1\nfor_s = 1\nevery_s = 5\n')
    for low in (1, 6):
        assert _between(made, low, low + 1).count("remote") <= 1  # what was under way crosses after it
    assert "local" not in _between(made, 4, 6)


def test_on_a_looping_link_a_fault_comes_once() -> None:
    course = Course.steady(round_trip_ms=20, up_mbps=50, down_mbps=50).looped()
    assert course.end_ns == 1_000_000_000
    made = ran('[[fault]]\nkind = "blackout"\nat_s = 0.2\nfor_s = 0.5\n', course=course)
    assert "local" not in _between(made, 3, 10)
    assert setup(course=LINK).course is LINK


def test_a_new_server_has_no_calibrations_until_a_device_that_it_refused_probes_it() -> None:
    kill = Fault("server-kill", 1 * r.SECOND, 1 * r.SECOND, stage=WARM)
    times = LaneTimes.of_cloud(profile(), streams(0))
    inner = QueueServer.of_profile(Cloud(CloudSettings()), profile(), lambda device: times)
    server, clock, heard = DisturbedServer(inner, Kinds((kill,)), "cloud", {"small@1:q4"}), Clock(), list[str]()
    server.begin(clock)

    def send(joint: int, codec: str) -> None:
        now = clock.now_ns
        work = Work(0, len(heard), 1, "small", joint, 3, codec, now, now + r.SECOND)
        server.submit(work, clock, lambda ended: heard.append(ended.fault))

    crossings = [(500, 1, "q4"), (2500, 1, "q4"), (2600, -1, "jpeg:75"), (3500, 1, "q4"), (4500, 1, "q4")]
    for at_ms, joint, codec in crossings:
        clock.at(at_ms * r.MS, send, joint, codec)
    clock.at(2400 * r.MS, server.probed)  # nothing was refused yet: the device has no reason to introduce itself
    clock.at(4000 * r.MS, server.probed)
    clock.run(10 * r.SECOND)
    assert heard == ["", "wrong_codec", "", "wrong_codec", ""]


@pytest.mark.parametrize(("stage", "longest_ms"), [("", 800), (WARM, 0)])
def test_a_new_server_that_has_warmed_up_computes_at_once_as_fast(stage: str, longest_ms: float) -> None:
    server = ServerFaults(Kinds((Fault("server-kill", 0, r.SECOND, stage=stage),)), "cloud")
    assert server.compute_ns(10 * r.MS, r.SECOND) - 10 * r.MS == pytest.approx(longest_ms * r.MS)
