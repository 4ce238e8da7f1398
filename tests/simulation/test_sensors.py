import numpy as np
import pytest

from hedgerow.core.records import MS, SECOND, Criticality
from hedgerow.errors import UsageError
from hedgerow.simulation.sensors import Sensor, arrivals
from tests.simulation.profiles import streams

CAMERA = Sensor("camera", 100 * MS, 50 * MS, jitter_ns=5 * MS, delay_ns=8 * MS, phase_ns=3 * MS)
LIDAR = Sensor("lidar", 60 * MS, 80 * MS, kind="bursts", burst_mean=6.0, gap_ns=SECOND, criticality=Criticality.SAFETY)
EVENTS = Sensor("events", 2 * SECOND, 30 * MS, kind="poisson", criticality=Criticality.BACKGROUND)
ALL = (CAMERA, LIDAR, EVENTS)


def test_arrivals_come_in_order_and_are_the_same_for_the_same_seed_only() -> None:
    found = arrivals(ALL, streams(1), 60 * SECOND)
    assert found == sorted(found) == arrivals(ALL, streams(1), 60 * SECOND)
    assert found != arrivals(ALL, streams(2), 60 * SECOND)
    assert {each.stream for each in found} == {"camera", "lidar", "events"}
    assert all(each.captured_ns <= each.arrival_ns for each in found)


@pytest.mark.parametrize("sensor", ALL)
def test_a_sensor_draws_the_same_whatever_others_there_are(sensor: Sensor) -> None:
    alone = arrivals([sensor], streams(3), 60 * SECOND)
    assert [each for each in arrivals(ALL, streams(3), 60 * SECOND) if each.stream == sensor.name] == alone


@pytest.mark.parametrize("sensor", ALL)
def test_a_longer_run_begins_with_the_shorter_ones_arrivals(sensor: Sensor) -> None:
    short, long = (sensor.captures(streams(4), seconds * SECOND) for seconds in (10, 100))
    for one, other in zip(short, long, strict=True):
        assert len(one) < len(other)
        assert (one == other[: len(one)]).all()


@pytest.mark.parametrize("sensor", ALL)
def test_what_the_stream_promises_holds(sensor: Sensor) -> None:
    captured, arrived = sensor.captures(streams(5), 600 * SECOND)
    assert ((arrived - captured) <= sensor.stream.capture_delay_ns).all()
    assert (np.diff(captured) > 0).all()
    if sensor.stream.period_ns is not None:
        assert (np.diff(captured) >= sensor.stream.period_ns).all()
    assert sensor.stream.criticality is sensor.criticality


def test_means_are_as_asked() -> None:
    hour = 3600 * SECOND
    captured, arrived = CAMERA.captures(streams(6), hour)
    assert len(captured) == 3600 * 20
    assert abs((arrived - captured).mean() / MS - 4.0) < 0.05
    assert abs(((captured - 3 * MS) % (50 * MS)).mean() / MS - 2.5) < 0.05
    random, _ = EVENTS.captures(streams(6), hour)
    assert abs(len(random) / 120_000 - 1) < 4 / 120_000**0.5
    bursts, _ = LIDAR.captures(streams(6), hour)
    # a burst of 6 and its gap take 6 x 80 ms + 1 s on average
    assert abs(len(bursts) / (3600 / 1.48 * 6) - 1) < 0.05
    starts = np.count_nonzero(np.diff(bursts) > 80 * MS) + 1
    assert abs(len(bursts) / starts - 6.0) < 0.4


def test_a_run_that_ends_before_the_phase_has_nothing() -> None:
    assert arrivals([CAMERA], streams(1), 2 * MS) == []


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="give periodic, bursts or poisson"):
        Sensor("x", MS, MS, kind="sometimes")
    with pytest.raises(UsageError, match="above 0"):
        Sensor("x", MS, 0)
    with pytest.raises(UsageError, match="jitter"):
        Sensor("x", MS, MS, jitter_ns=MS)
    with pytest.raises(UsageError, match="leave its jitter out"):
        Sensor("x", MS, 10 * MS, kind="poisson", jitter_ns=MS)
    with pytest.raises(UsageError, match="a burst has a mean"):
        Sensor("x", MS, 10 * MS, kind="bursts", burst_mean=0.5)
    with pytest.raises(UsageError, match="same name"):
        arrivals([CAMERA, CAMERA], streams(1), SECOND)
    with pytest.raises(UsageError, match="give less time"):
        Sensor("x", MS, 1).captures(streams(1), SECOND)
