"""From a scenario and links to worlds: a unit is one link under one deadline and device speed, a cell all units alike but the link.

Rules: what is drawn depends on seed, link and stream alone, so that every deadline, speed, price and policy meets the same samples,
lane times and link; a unit is plain data and small, so that another process or machine can build its world.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hedgerow.core import records as r
from hedgerow.core.arms import Energy
from hedgerow.emulation.traces import shipped as shipped_links
from hedgerow.errors import UsageError
from hedgerow.planning.arms import arm_table
from hedgerow.planning.settings import margins_of
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.agreement import Agreements
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.lanes import Heat, Lane, LaneTimes, Neighbour
from hedgerow.simulation.scenario import GroupPart, Scenario, span_ns
from hedgerow.simulation.sensors import arrivals
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import Arrival, Setup

LINKS_MAX = 10_000


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What is compared with one arm in hindsight: links of one `radio` under one deadline and device speed."""

    group: str
    radio: str
    deadline_ms: float
    device_factor: float


@dataclass(frozen=True, slots=True)
class Unit:
    """One world: a link's course and what is swept. `seed` is the run's own."""

    cell: Cell
    course: Course
    seed: int


def load_courses(folder: Path | str) -> list[Course]:
    """Every `*.csv` of a folder, in the order of their names (or one file, or a shipped link by name).

    UsageError for an empty folder, and for a bad trace with its file and line: one that is broken is refused, not left out.
    """
    path = Path(folder)
    if path.is_file() or (not path.exists() and str(folder) in shipped_links()):
        return [Course.load(folder)]
    if not path.is_dir():
        raise UsageError(f"there is no folder of links {folder}; give one with CSV traces, or a shipped link's name")
    found = sorted(path.glob("*.csv"))
    if not found:
        raise UsageError(f"{folder} holds no *.csv: give a folder of link traces (docs/files.md tells their form)")
    if len(found) > LINKS_MAX:
        raise UsageError(f"{folder} holds {len(found)} traces: the limit is {LINKS_MAX}")
    return [Course.load(each) for each in found]


def units(scenario: Scenario, courses: Iterable[Course], *, seed: int = 0) -> list[Unit]:
    """All worlds of a scenario over these links; UsageError when no link belongs to any of its groups."""
    every = list(courses)
    found = [unit for course in every for unit in _units(scenario, course, seed)]
    if not found:
        radios = sorted({course.radio for course in every})
        raise UsageError(f"none of the links ({', '.join(radios)}) belongs to a group of scenario '{scenario.name}'")
    return found


def _units(scenario: Scenario, course: Course, seed: int) -> Iterator[Unit]:
    group = scenario.group_of(course.radio)
    if group is None:
        return
    near = course.with_rtt_offset(group.rtt_offset_ms) if group.rtt_offset_ms else course
    for deadline_ms in group.deadlines_ms:
        for factor in group.device_factors:
            yield Unit(Cell(group.name, course.radio, deadline_ms, factor), near, seed)


def group_named(scenario: Scenario, name: str) -> GroupPart:
    return next(group for group in scenario.group if group.name == name)


def build(scenario: Scenario, profile: Profile, unit: Unit) -> Setup:
    """The world of one unit, before any policy."""
    cell, course = unit.cell, unit.course
    draws = Draws(unit.seed).within(f"link/{course.name}")
    group = group_named(scenario, cell.group)
    sensors = [part.sensor(group.period_ms, cell.deadline_ms) for part in scenario.streams()]
    agreements = Agreements.of_profile(profile, draws.generator("agreement"), run_length=scenario.device.run_length)
    came = [
        Arrival(each.captured_ns, each.arrival_ns, each.stream, agreements.sample(number))
        for number, each in enumerate(arrivals(sensors, draws.within("sensors").generator, span_ns(scenario, group)))
    ]
    device, energy = scenario.device, scenario.device
    times = LaneTimes.of_profile(
        profile, draws.within("device").generator, device_factor=cell.device_factor, persistence=device.persistence
    )

    def lane() -> Lane:
        busy_s, away_s = device.neighbour_busy_s, device.neighbour_away_s
        neighbour = None
        if busy_s is not None and away_s is not None:
            neighbour = Neighbour(draws.generator("neighbour"), busy_ns=busy_s * r.SECOND, away_ns=away_s * r.SECOND)
        heat = Heat(ambient_c=device.ambient_c, slowdown=device.slowdown) if device.heat else None
        return Lane(times, heat, neighbour)

    there = LaneTimes.of_cloud(profile, draws.within("cloud").generator, cloud_factor=scenario.cloud.factor)
    return Setup(
        f"{course.name} {cell.deadline_ms:g} ms x{cell.device_factor:g}",
        arm_table(
            profile,
            device_factor=cell.device_factor,
            cloud_factor=scenario.cloud.factor,
            energy=Energy(energy.active_mw, energy.radio_mw, energy.radio_tail_mj),
            money_per_mb=scenario.tariff.money_per_mb,
            money_per_cloud_s=scenario.tariff.money_per_cloud_s,
        ),
        margins_of(profile),
        tuple(sensor.stream for sensor in sensors),
        tuple(came),
        course,
        lane,
        lambda: QueueServer.of_profile(
            Cloud(cloud_settings(scenario)), profile, lambda number: there, cloud_factor=scenario.cloud.factor
        ),
        limits=r.Limits(audit_share=scenario.audit_share, seed=1 + unit.seed),
        agreement={name: each.per_sample for name, each in profile.agreement.items()},
    )


def cloud_settings(scenario: Scenario) -> CloudSettings:
    """The cloud of a scenario as its model takes it."""
    part = scenario.cloud
    return CloudSettings(
        replicas=part.replicas,
        replicas_max=part.replicas_max,
        queue_length_max=part.queue_length_max,
        batch_max=part.batch_max,
        batch_wait_ns=round(part.batch_wait_ms * r.MS),
        batch_share=part.batch_share,
        start_ns=round(part.start_ms * r.MS),
        is_cold=part.is_cold,
    )


@lru_cache(maxsize=4)
def profile_of(scenario: Scenario) -> Profile:
    """The scenario's profile, read once in a process."""
    return scenario.load_profile()
