"""From a scenario and links to worlds: a unit is one link under one deadline and device speed, a cell all units alike but the link.

Rules: what is drawn depends on seed, link and stream alone, so that every deadline, speed, price and policy meets the same samples,
lane times and link; a unit is plain data and small, so that another process or machine can build its world.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, Energy
from hedgerow.emulation.traces import shipped as shipped_links
from hedgerow.errors import UsageError
from hedgerow.planning.arms import ARMS_MAX, Tiers, every_arm
from hedgerow.planning.prune import pruned
from hedgerow.planning.settings import margins_of
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.agreement import Agreements
from hedgerow.simulation.body import LaneTimes as LaneTimesOf
from hedgerow.simulation.body import Server
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.course import Course
from hedgerow.simulation.declared import DisturbedLanes, DisturbedServer, disturbed, shaped
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.faults import Fault, Sample
from hedgerow.simulation.faulty import Kinds
from hedgerow.simulation.gauges import Gauges
from hedgerow.simulation.lanes import BLOCK, Heat, Lane, LaneTimes, Neighbour
from hedgerow.simulation.leaving import arms_left, check, models_left
from hedgerow.simulation.reusing import MOVING, Still
from hedgerow.simulation.scenario import DevicePart, GroupPart, Scenario, span_ns
from hedgerow.simulation.sensors import Sensor, arrivals
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import SETTLE_NS, Arrival, Setup

LINK = "cloud"
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


def courses_of(scenario: Scenario) -> list[Course]:
    """The links that a scenario names: shipped ones by name, else files and folders beside it; UsageError if it names none."""
    if not scenario.links:
        raise UsageError(f"scenario '{scenario.name}' names no links: give --links DIR, or links = [...] in it")
    found = []
    for name in scenario.links:
        beside = Path(scenario.where) / name
        found += load_courses(beside if beside.exists() or name not in shipped_links() else name)
    names = [course.name for course in found]
    if len(set(names)) != len(names):
        raise UsageError(f"scenario '{scenario.name}': two links have the same name; draws go by it, so rename one")
    return found


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


@dataclass(frozen=True)
class Parts:
    """What worlds of one cell have in common, made once: everything that is not drawn. `device` and `cloud` are distributions."""

    scenario: Scenario
    profile: Profile
    group: GroupPart
    cell: Cell
    sensors: tuple[Sensor, ...]
    table: ArmTable
    margins: r.Margins
    device: LaneTimes
    cloud: LaneTimes
    agreement: Mapping[str, str]
    confidences: Mapping[str, tuple[float | None, ...]]
    faults: tuple[Fault, ...]

    def server(self, times: Callable[[int], LaneTimes], kind: type[QueueServer] = QueueServer) -> Server:
        """A fresh cloud, for the devices that `times` knows."""
        cloud, factor = Cloud(cloud_settings(self.scenario)), self.scenario.cloud.factor
        server = kind.of_profile(cloud, self.profile, times, cloud_factor=factor)
        if not self.faults:
            return server
        return DisturbedServer(server, Kinds(self.faults), LINK, self.profile.calibrations())

    def shaped(self, course: Course) -> Course:
        """The course with the declared faults."""
        return shaped(course, self.faults, span_ns(self.scenario, self.group) + SETTLE_NS)


def parts_of(scenario: Scenario, profile: Profile, cell: Cell) -> Parts:
    """The common parts of a cell's worlds. What the scenario leaves out is not there."""
    profile = models_left(profile, scenario.without, scenario.models)
    group, device = group_named(scenario, cell.group), scenario.device
    unused = Draws(0).within("nobody").generator
    return Parts(
        scenario,
        profile,
        group,
        cell,
        tuple(part.sensor(group.period_ms, cell.deadline_ms) for part in scenario.streams()),
        pruned(arms_left(_every_arm(scenario, profile, cell.device_factor), scenario.without), arms_max=ARMS_MAX),
        margins_of(profile),
        LaneTimes.of_profile(profile, unused, device_factor=cell.device_factor, persistence=device.persistence),
        LaneTimes.of_cloud(profile, unused, cloud_factor=scenario.cloud.factor),
        {name: each.per_sample for name, each in profile.agreement.items()},
        {model.name: model.confidence for model in profile.models},
        scenario.faults(span_ns(scenario, group)),
    )


def _every_arm(scenario: Scenario, profile: Profile, device_factor: float) -> ArmTable:
    device = scenario.device
    return every_arm(
        profile,
        tiers=Tiers(device_factor, scenario.cloud.factor, LINK),
        energy=Energy(device.active_mw, device.radio_mw, device.radio_tail_mj),
        money_per_mb=scenario.tariff.money_per_mb,
        money_per_cloud_s=scenario.tariff.money_per_cloud_s,
    )


def check_left(scenario: Scenario) -> None:
    """UsageError, before anything runs, where what the scenario or a variant leaves out is not there, or nothing is left."""
    profile = profile_of(scenario)
    every = _every_arm(scenario, profile, 1.0)
    for each in (scenario, *scenario.variants()):
        check(profile, every, each.without, each.models)
        arms_left(_every_arm(each, models_left(profile, each.without, each.models), 1.0), each.without)


def build(scenario: Scenario, profile: Profile, unit: Unit) -> Setup:
    """The world of one unit, before any policy."""
    parts = parts_of(scenario, profile, unit.cell)
    draws = Draws(unit.seed).within(f"link/{unit.course.name}")
    there = parts.cloud.drawn_from(draws.within("cloud").generator)
    name = f"{unit.course.name} {unit.cell.deadline_ms:g} ms x{unit.cell.device_factor:g}"
    return setup_of(
        parts, name, draws, parts.shaped(unit.course), lambda: parts.server(lambda number: there), seed=1 + unit.seed
    )


def setup_of(
    parts: Parts,
    name: str,
    draws: Draws,
    course: Course,
    server: Callable[[], Server],
    *,
    seed: int,
    sensors: tuple[Sensor, ...] | None = None,
    kept: int = BLOCK,
) -> Setup:
    """One device with draws of its own: samples, agreement, lane times, neighbour. `seed` is what its core draws from."""
    scenario, device = parts.scenario, parts.scenario.device
    sensors = parts.sensors if sensors is None else sensors
    times = parts.device.drawn_from(draws.within("device").generator, kept=kept)
    kinds = Kinds(parts.faults)

    def lanes() -> LaneTimesOf:
        busy_s, away_s, neighbour = device.neighbour_busy_s, device.neighbour_away_s, None
        if busy_s is not None and away_s is not None:
            neighbour = Neighbour(draws.generator("neighbour"), busy_ns=busy_s * r.SECOND, away_ns=away_s * r.SECOND)
        lane = Lane(times, _heat(device) if device.heat else None, neighbour)
        return DisturbedLanes(lane, kinds, seed) if parts.faults else lane

    return Setup(
        name,
        parts.table,
        parts.margins,
        tuple(sensor.stream for sensor in sensors),
        _arrivals(parts, sensors, draws),
        course,
        lanes,
        server,
        limits=r.Limits(audit_share=scenario.audit_share, seed=seed),
        budgets=None if scenario.budget is None else scenario.budget.settings(),
        agreement=parts.agreement,
        confidences=parts.confidences,
        faults=parts.faults,
        seed=seed,
        gauges=_gauges(parts),
    )


def _arrivals(parts: Parts, sensors: tuple[Sensor, ...], draws: Draws) -> tuple[Arrival, ...]:
    """What the sensors capture, as the faults make it, each with the sample that it is like."""
    run_length = parts.scenario.device.run_length
    agreements = Agreements.of_profile(parts.profile, draws.generator("agreement"), run_length=run_length)
    came = arrivals(sensors, draws.within("sensors").generator, span_ns(parts.scenario, parts.group))
    places = {sensor.name: place for place, sensor in enumerate(sensors)}
    samples = [Sample(n, places[each.stream], each.captured_ns, each.arrival_ns) for n, each in enumerate(came)]
    if parts.faults:
        samples = disturbed(samples, parts.faults, [sensor.deadline_ns for sensor in sensors])
    found = [
        Arrival(
            each.captured_ns, each.arrival_ns, sensors[each.stream].name, agreements.sample(number), each.deadline_ns
        )
        for number, each in enumerate(samples)
    ]
    for part in parts.scenario.streams():
        if part.still is not None:
            _stand_still(found, part.name, part.still, draws.generator(f"still/{part.name}"))
    return tuple(found)


def _stand_still(arrivals_: list[Arrival], stream: str, still: Still, random: np.random.Generator) -> None:
    """Let a stream's captures show the same picture while its scene stands still; in place."""
    mine = sorted((each.captured_ns, place) for place, each in enumerate(arrivals_) if each.stream == stream)
    shown: dict[int, int] = {}
    for (_, place), (scene, unnoticed) in zip(mine, still.scenes(random, [at for at, _ in mine]), strict=True):
        each = arrivals_[place]
        sample = each.sample if scene == MOVING else shown.setdefault(scene, each.sample)
        arrivals_[place] = replace(each, sample=sample, scene=scene, unnoticed=unnoticed)


def _heat(device: DevicePart) -> Heat:
    return Heat(
        device.ambient_c,
        device.rise_c,
        device.time_constant_s * r.SECOND,
        device.throttle_at_c,
        device.release_at_c,
        device.slowdown,
    )


def _gauges(parts: Parts) -> Callable[[], Gauges] | None:
    """What makes a device's instruments, or None where there is nothing to read or to charge."""
    scenario = parts.scenario
    battery, device = scenario.battery, scenario.device
    if battery is None and scenario.radio is None and not scenario.tariff.free_mb and not device.heat:
        return None
    return lambda: Gauges(
        round(device.reading_ms * r.MS),
        None if battery is None else battery.battery(),
        0.0 if battery is None else battery.idle_mw,
        None if scenario.radio is None else scenario.radio.figures(),
        scenario.tariff.tariff(),
        parts.faults,
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
