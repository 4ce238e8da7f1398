"""Temperature and battery: read from trees of the kernel's shape, posted when they move, silent where there is nothing."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.core import records as r
from hedgerow.device.session import Session
from hedgerow.device.vitals import Vitals, VitalsWatch, read_vitals, throttle_count
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import Steps, tagged


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_the_hottest_processor_sensor_counts_and_no_other(tmp_path: Path) -> None:
    files = {
        "class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "class/thermal/thermal_zone0/temp": "61500",
        "class/thermal/thermal_zone1/type": "iwlwifi_1",
        "class/thermal/thermal_zone1/temp": "80000",
        "class/thermal/thermal_zone2/type": "cpu-thermal",
        "class/thermal/thermal_zone2/temp": "-274000",
        "class/hwmon/hwmon0/name": "nvme",
        "class/hwmon/hwmon0/temp1_input": "90000",
        "class/hwmon/hwmon1/name": "k10temp",
        "class/hwmon/hwmon1/temp1_input": "63250",
    }
    assert read_vitals(tree(tmp_path, files)) == Vitals(celsius=63.25)


def test_a_sensor_that_refuses_is_left_out(tmp_path: Path) -> None:
    files = {"class/thermal/thermal_zone0/type": "cpu", "class/thermal/thermal_zone1/type": "cpu"}
    root = tree(tmp_path, {**files, "class/thermal/thermal_zone1/temp": "no number"})
    assert read_vitals(root) == Vitals()


def test_a_battery_of_the_machine_counts_and_a_mouses_does_not(tmp_path: Path) -> None:
    files = {
        "class/power_supply/BAT0/type": "Battery",
        "class/power_supply/BAT0/capacity": "40",
        "class/power_supply/BAT1/type": "Battery",
        "class/power_supply/BAT1/capacity": "60",
        "class/power_supply/mouse/type": "Battery",
        "class/power_supply/mouse/scope": "Device",
        "class/power_supply/mouse/capacity": "3",
        "class/power_supply/AC/type": "Mains",
    }
    assert read_vitals(tree(tmp_path, files)) == Vitals(battery=0.5)


def test_throttling_is_counted_over_all_cores(tmp_path: Path) -> None:
    assert throttle_count(tmp_path) is None
    names = ("cpu0/thermal_throttle/core", "cpu0/thermal_throttle/package", "cpu11/thermal_throttle/core")
    files = {f"devices/system/cpu/{name}_throttle_count": "7" for name in names}
    assert throttle_count(tree(tmp_path, files)) == 21


def test_throttled_time_is_that_of_the_slowest(tmp_path: Path) -> None:
    cpu = "devices/system/cpu"
    files = {f"{cpu}/cpu{number}/thermal_throttle/core_throttle_total_time_ms": f"{number}00" for number in range(3)}
    assert read_vitals(tree(tmp_path, files)) == Vitals(throttled_ms=200.0)


def test_an_empty_tree_reads_as_nothing(tmp_path: Path) -> None:
    assert read_vitals(tmp_path) == Vitals()


class Readings:
    """Gives one reading after the other; `over` is set when they are used up."""

    def __init__(self, *readings: Vitals) -> None:
        self._left: Iterator[Vitals] = iter(readings)
        self._last = Vitals()
        self.over = threading.Event()

    def __call__(self) -> Vitals:
        try:
            self._last = next(self._left)
        except StopIteration:
            self.over.set()
        return self._last


def posted(*readings: Vitals) -> list[r.Event]:
    """What a watch posts for these readings."""
    read, found = Readings(*readings), list[r.Event]()
    seconds = itertools.count(1)
    watch = VitalsWatch(found.append, read=read, every_s=0.001, clock_ns=lambda: next(seconds) * 1_000_000_000)
    assert read.over.wait(20.0)
    watch.close()
    return found


def test_what_moves_by_a_step_is_posted_once() -> None:
    found = posted(
        Vitals(50.0, 0.80),
        Vitals(50.5, 0.799),
        Vitals(51.0, 0.79),
        Vitals(None, 0.79),
        Vitals(51.2, None),
        Vitals(49.9, 0.20),
    )
    assert found == [
        r.Temperature(50.0),
        r.BatteryLevel(0.80),
        r.Temperature(51.0),
        r.BatteryLevel(0.79),
        r.Temperature(49.9),
        r.BatteryLevel(0.20),
    ]


def test_a_slow_climb_is_not_lost_between_the_steps() -> None:
    found = posted(*(Vitals(50.0 + 0.25 * number) for number in range(9)))
    assert found == [r.Temperature(50.0), r.Temperature(51.0), r.Temperature(52.0)]


def test_throttling_is_told_as_a_share_of_the_time_between_two_readings() -> None:
    """One reading a second: 0, 0, 50, 55 and 900 ms of it, then none."""
    counted = (1000.0, 1000.0, 1050.0, 1105.0, 2005.0, 2005.0, 2005.0)
    found = posted(*(Vitals(throttled_ms=each) for each in counted))
    shares = [event.share for event in found if isinstance(event, r.Throttled)]
    assert len(shares) == len(found)
    assert shares == pytest.approx([0.05, 0.9, 0.0])


def test_where_nothing_can_be_read_no_thread_stays() -> None:
    found: list[r.Event] = []
    watch = VitalsWatch(found.append, read=Vitals)
    watch._thread.join(10.0)
    assert not watch._thread.is_alive()
    watch.close()
    assert found == []


@pytest.mark.parametrize("watched", [True, False])
def test_a_sessions_core_is_told(task: Task, profile: Profile, watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Readings(*[Vitals(60.0 + number, 0.9) for number in range(400)])
    monkeypatch.setattr("hedgerow.device.session.VitalsWatch", lambda post: VitalsWatch(post, read=read, every_s=0.01))
    steps, before = Steps(), threading.active_count()
    with Session(task, profile=profile, watch_vitals=watched) as session:
        session.listen(steps)
        told = threading.Event()
        session.listen(lambda now, event, outcome: told.set() if isinstance(event, r.Temperature) else None)
        assert session.answer(tagged(1)).outputs
        assert told.wait(20.0 if watched else 0.1) == watched
    assert threading.active_count() == before
