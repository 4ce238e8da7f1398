"""Many devices at once, each the real core, on one clock: they share radio cells and one cloud.

The model. A cell is one bottleneck each way for all its devices, first in first out by whole transfers, at the rate and round
trip of a link's course that begins at a random moment of its own (times `rate_factor`); air time that a device waits for costs
it no energy. The cloud is one queue with replicas, batches and scaling (cloud.py). In an outage all cells are dead: what stood
before the bottleneck crosses afterwards, what is sent meanwhile is lost, and nobody is told that it is over.
Rules: what is drawn for a device or a cell goes by its own name ("device/7", "cell/2"), so that another device changes nobody
else's draws; distributions, arm tables and profiles are held once for all devices alike; a device's arrays stay small.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.errors import UsageError
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.body import Body, Ended, Link, Work
from hedgerow.simulation.cells import Cell, Parts, courses_of, parts_of, setup_of
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.comparing import DEVICE_ONLY, late_above
from hedgerow.simulation.course import Course
from hedgerow.simulation.declared import DisturbedServer
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.lanes import BLOCK, LaneTimes
from hedgerow.simulation.parts import FleetPart, OutagePart
from hedgerow.simulation.scenario import Scenario, span_ns
from hedgerow.simulation.sensors import Sensor
from hedgerow.simulation.servers import Done, QueueServer
from hedgerow.simulation.transfer import NEVER_NS, Direction
from hedgerow.simulation.world import SETTLE_NS, Recorder, Run, Setup, build
from hedgerow.simulation.world import run as run_alone

BUCKET_NS: Final = 100 * r.MS
REFUSED_MAX: Final = 0.01  # of what reached the cloud, refused as one too many: beyond this it is saturated
WAIT_MAX: Final = 0.25  # of the deadline, spent in the cloud's queue by one request in a hundred: likewise
AFTER_NS: Final = 5 * r.SECOND  # how long after an outage is looked at
BACK_SHARE: Final = 0.9
_GOLDEN: Final = 0.6180339887498949
Progress = Callable[[int], None]


class Shared(Direction):
    """One direction of a cell. `arrived` counts transfers by the moment at which they are through whole."""

    def __init__(self, course: Course, *, up: bool, outage: OutagePart | None) -> None:
        super().__init__(course, up=up)
        self._dead = _outage_ns(outage)
        self.arrived: dict[int, int] = {}

    def send(self, size: int, now_ns: int, first: int = 1024, *, fresh: bool = False) -> tuple[int, int]:
        """As `Direction.send`; in an outage nothing is taken and nothing arrives."""
        if self._dead[0] <= now_ns < self._dead[1]:
            return NEVER_NS, NEVER_NS
        first_ns, done_ns = super().send(size, now_ns, first, fresh=fresh)
        if done_ns < NEVER_NS:
            bucket = done_ns // BUCKET_NS
            self.arrived[bucket] = self.arrived.get(bucket, 0) + 1
        return first_ns, done_ns


class CountingServer(QueueServer):
    """Notes when requests come, and how long those that were answered had waited."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.came: dict[int, int] = {}
        self.waits_ns: list[int] = []

    def submit(self, work: Work, clock: Clock, done: Done) -> None:
        bucket = clock.now_ns // BUCKET_NS
        self.came[bucket] = self.came.get(bucket, 0) + 1

        def told(ended: Ended) -> None:
            if not ended.fault:
                self.waits_ns.append(ended.queue_ns)
            done(ended)

        super().submit(work, clock, told)


@dataclass(slots=True)
class Device:
    """One device while it runs."""

    setup: Setup
    recorder: Recorder
    body: Body


@dataclass
class Fleet:
    """Everything that is made once for one size. `setup(number)` is a device's world, with the cell's course."""

    scenario: Scenario
    profile: Profile
    devices: int
    seed: int = 0
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        part = self.scenario.fleet
        if part is None:
            raise UsageError(f"scenario '{self.scenario.name}' has no [fleet]")
        self.part: FleetPart = part
        courses = courses_of(self.scenario)
        group = self.scenario.group_of(courses[0].radio)
        if group is None:
            raise UsageError(f"no group of scenario '{self.scenario.name}' takes links of radio '{courses[0].radio}'")
        cells = [Cell(group.name, "", group.deadlines_ms[0], factor) for factor in group.device_factors]
        self.parts: list[Parts] = [parts_of(self.scenario, self.profile, cell) for cell in cells]
        self.span_ns = span_ns(self.scenario, group)
        self.deadline_ns = round(group.deadlines_ms[0] * r.MS)
        base = [course.with_rtt_offset(group.rtt_offset_ms) for course in courses]
        count = 1 + max(
            part.cell_of(number) for number in {0, self.devices - 1, min(self.devices, part.cells or 1) - 1}
        )
        self.courses: list[Course] = [self._course(base, number) for number in range(count)]
        self.links: list[Link] = [
            Link(Shared(each, up=True, outage=part.outage), Shared(each, up=False, outage=part.outage))
            for each in self.courses
        ]
        self._cloud_times: dict[int, LaneTimes] = {}
        self.server = self.parts[0].server(self._times, CountingServer)
        inner = self.server.inner if isinstance(self.server, DisturbedServer) else self.server
        assert isinstance(inner, CountingServer)
        self.counting: CountingServer = inner

    def _course(self, base: list[Course], number: int) -> Course:
        """A cell's course: one of the links from a random moment on, with the scenario's faults and the outage."""
        course = base[number % len(base)].looped()
        draws = Draws(self.seed).within(f"cell/{number}")
        course = course.shifted(int(draws.generator("phase").integers(0, course.end_ns)))
        factor = self.part.rate_factor
        course = replace(
            course,
            name=f"cell {number}",
            up_bytes_per_s=course.up_bytes_per_s * factor,
            down_bytes_per_s=course.down_bytes_per_s * factor,
        )
        course = self.parts[0].shaped(course)
        if self.part.outage is None:
            return course
        from_ns, until_ns = _outage_ns(self.part.outage)
        return course.unrolled(max(self.span_ns + SETTLE_NS, until_ns + 1)).with_blackout(from_ns, until_ns - from_ns)

    def _draws(self, number: int) -> Draws:
        return Draws(self.seed).within(f"device/{number}")

    def _kept(self, sensors: tuple[Sensor, ...]) -> int:
        """How many requests a device will have, roughly."""
        return min(BLOCK, 16 + sum(self.span_ns // sensor.period_ns for sensor in sensors))

    def _times(self, number: int) -> LaneTimes:
        """The cloud's times for one device's requests."""
        found = self._cloud_times.get(number)
        if found is None:
            draws = self._draws(number).within("cloud").generator
            found = self._cloud_times[number] = self.parts[0].cloud.drawn_from(
                draws, kept=self._kept(self.parts[0].sensors)
            )
        return found

    def setup(self, number: int) -> Setup:
        """The world of one device, which begins to look at a moment of its own."""
        draws, parts = self._draws(number), self.parts[number % len(self.parts)]
        share = {"none": 0.0, "even": number * _GOLDEN % 1.0}.get(self.part.stagger)
        if share is None:
            share = float(draws.generator("stagger").random())
        sensors = tuple(replace(each, phase_ns=each.phase_ns + int(share * each.period_ns)) for each in parts.sensors)
        return setup_of(
            parts,
            f"device {number}",
            draws,
            self.courses[self.part.cell_of(number)],
            lambda: self.server,
            seed=int(draws.generator("seed").integers(1, 1 << 31)),
            sensors=sensors,
            kept=self._kept(sensors),
        )

    def device(self, number: int, policy: str, prices: r.Prices) -> Device:
        """One device on the fleet's clock."""
        setup = self.setup(number)
        chosen = by_name(policy, setup.table)
        recorder, link = Recorder(setup, chosen), self.links[self.part.cell_of(number)]
        body = build(setup, chosen, prices, clock=self.clock, watch=recorder.see, link=link, device=number)
        if setup.gauges is not None:
            setup.gauges().attach(body)
        return Device(setup, recorder, body)


@dataclass(slots=True)
class _Watching:
    """How many replicas there are and who waits, looked at every 100 ms while the cameras run."""

    fleet: Fleet
    replica_ns: int = 0
    replicas_max: int = 0
    waiting_max: int = 0
    busy_ns: int = 0
    _before: int = 0

    def look(self) -> None:
        cloud, clock = self.fleet.counting.cloud, self.fleet.clock
        ready = cloud.replicas_ready
        self.replica_ns += max(ready, self._before) * BUCKET_NS if clock.now_ns else 0
        self._before, self.replicas_max = ready, max(self.replicas_max, ready)
        self.waiting_max = max(self.waiting_max, cloud.waiting)
        self.busy_ns = cloud.busy_until_ns(clock.now_ns)
        if clock.now_ns < self.fleet.span_ns:
            clock.at(clock.now_ns + BUCKET_NS, self.look)


def steps_of(scenario: Scenario) -> int:
    """How often `run` tells its progress: once a virtual second of each size."""
    return sum(_seconds(scenario) for _ in (scenario.fleet.devices if scenario.fleet else ()))


def _seconds(scenario: Scenario) -> int:
    longest = max(span_ns(scenario, group) for group in scenario.group)
    return -(-(longest + SETTLE_NS) // r.SECOND)


def run(
    scenario: Scenario,
    profile: Profile,
    *,
    policy: str = "ours",
    seed: int = 0,
    price: int = 0,
    twins: bool = False,
    progress: Progress = lambda count: None,
) -> dict[str, Any]:
    """Every size of the scenario's fleet, one after the other. `twins`: run each device alone as well, to tell what is late above
    that; `progress` is told of each virtual second."""
    part, prices = scenario.fleet, scenario.price[price].prices()
    if part is None:
        raise UsageError(f"scenario '{scenario.name}' has no [fleet]")
    sizes = []
    for devices in part.devices:
        fleet = Fleet(scenario, profile, devices, seed)
        sizes.append(run_size(fleet, policy, prices, twins=twins, progress=progress)[0])
    saturated = [row["devices"] for row in sizes if row["cloud"]["saturated"]]
    return {
        "scenario": scenario.name,
        "policy": policy,
        "seed": seed,
        "deadline_ms": fleet.deadline_ns / r.MS,
        "seconds": fleet.span_ns / r.SECOND,
        "outage": None if part.outage is None else {"at_s": part.outage.at_s, "for_s": part.outage.for_s},
        "saturates_at": min(saturated, default=None),
        "sizes": sizes,
    }


def run_size(
    fleet: Fleet, policy: str, prices: r.Prices, *, twins: bool = False, progress: Progress = lambda count: None
) -> tuple[dict[str, Any], list[Run]]:
    """One size: what is said of it, and what came of each device."""
    began_s, clock, watching = time.perf_counter(), fleet.clock, _Watching(fleet)
    clock.at(0, watching.look)
    devices = [fleet.device(number, policy, prices) for number in range(fleet.devices)]
    end_ns = fleet.span_ns + SETTLE_NS
    for moment in range(r.SECOND, end_ns + r.SECOND, r.SECOND):
        clock.run(min(moment, end_ns))
        progress(1)
    runs = [each.recorder.run(policy, each.body) for each in devices]
    row = {
        "devices": fleet.devices,
        "cells": len(fleet.courses),
        **_figures(devices, runs, prices),
        "cloud": _cloud(fleet, watching),
        "reconnection": _reconnection(fleet),
    }
    if twins:
        row["late_above_device_only"] = sum(
            late_above(each.setup, made, run_alone(each.setup, by_name(DEVICE_ONLY), prices))
            for each, made in zip(devices, runs, strict=True)
        )
    row |= {"events": clock.events, "wall_s": round(time.perf_counter() - began_s, 1)}
    return row, runs


def _figures(devices: list[Device], runs: list[Run], prices: r.Prices) -> dict[str, Any]:
    """Means over all requests of all devices; the 0.99 quantile says of how many the slowest hundredth is."""
    told = np.sort(np.concatenate([np.where(made.told_ns < 0, NEVER_NS, made.told_ns) for made in runs]))
    requests = max(1, len(told))

    def quantile_ms(share: float) -> float | None:
        value = int(told[min(int(share * len(told)), len(told) - 1)]) if len(told) else NEVER_NS
        return None if value >= NEVER_NS else round(value / r.MS, 2)

    def mean(values: list[float], digits: int = 3) -> float:
        return round(sum(values) / requests, digits)

    pairs = list(zip(devices, runs, strict=True))
    return {
        "requests": len(told),
        "late": int(sum(made.late.sum() for made in runs)),
        "p50_ms": quantile_ms(0.5),
        "p99_ms": quantile_ms(0.99),
        "p999_ms": quantile_ms(0.999),
        "remote": mean([made.source.count("remote") for made in runs], 5),
        "reserves": mean([int(made.reserve.sum()) for made in runs], 5),
        "cost_mj": mean([float(made.cost_mj(prices, each.setup.table).sum()) for each, made in pairs]),
        "energy_mj": mean([float(made.energy_mj.sum()) + made.probe_mj for made in runs]),
        "money": mean([float(made.money(each.setup.table).sum()) for each, made in pairs], 9),
        "agreement": mean([int(made.agrees.sum()) for made in runs], 5),
        "uplink_bytes": mean([float(made.up_bytes.sum()) + made.probe_bytes for made in runs], 1),
        "probes": sum(made.probes for made in runs),
    }


def _cloud(fleet: Fleet, watching: _Watching) -> dict[str, Any]:
    server, came = fleet.counting, sum(fleet.counting.came.values())
    waits: NDArray[np.float64] = np.array(server.waits_ns or [0]) / r.MS
    refused = server.refused.get("overloaded", 0) / max(1, came)
    wait_p99_ms = float(np.quantile(waits, 0.99))
    return {
        "came": came,
        "answered": server.answered,
        "refused": dict(sorted(server.refused.items())),
        "refused_share": round(refused, 5),
        "utilisation": round(watching.busy_ns / max(1, watching.replica_ns), 4),
        "replicas_max": watching.replicas_max,
        "waiting_max": watching.waiting_max,
        "queue_mean_ms": round(float(waits.mean()), 3),
        "queue_p99_ms": round(wait_p99_ms, 3),
        "saturated": refused > REFUSED_MAX or wait_p99_ms * r.MS > WAIT_MAX * fleet.deadline_ns,
    }


def _reconnection(fleet: Fleet) -> dict[str, Any] | None:
    """What arrived at the cloud, requests and probes together, per 100 ms: before the outage, and the most after it."""
    if fleet.part.outage is None:
        return None
    from_ns, until_ns = _outage_ns(fleet.part.outage)
    arrived: dict[int, int] = {}
    for link in fleet.links:
        assert isinstance(link.up, Shared)
        for bucket, count in link.up.arrived.items():
            arrived[bucket] = arrived.get(bucket, 0) + count

    def per_bucket(begin_ns: int, end_ns: int) -> list[int]:
        return [arrived.get(bucket, 0) for bucket in range(begin_ns // BUCKET_NS, end_ns // BUCKET_NS)]

    before = per_bucket(from_ns // 2, from_ns) or [0]
    after = per_bucket(until_ns, min(until_ns + AFTER_NS, fleet.span_ns)) or [0]
    usual = sum(before) / len(before)
    back = next((at for at in range(len(after)) if np.mean(after[at : at + 5]) >= BACK_SHARE * usual), None)
    first = from_ns - min(from_ns, 2 * r.SECOND)
    return {
        "usual_per_100ms": round(usual, 2),
        "usual_max_per_100ms": max(before),
        "peak_per_100ms": max(after),
        "peak_over_usual": round(max(after) / usual, 3) if usual else None,
        "back_after_ms": None if back is None else back * BUCKET_NS // r.MS,
        "from_s": first / r.SECOND,
        "per_100ms": per_bucket(first, min(until_ns + AFTER_NS, fleet.span_ns)),
    }


def _outage_ns(outage: OutagePart | None) -> tuple[int, int]:
    """From when until when; never, without one."""
    if outage is None:
        return NEVER_NS, NEVER_NS
    from_ns = round(outage.at_s * r.SECOND)
    return from_ns, from_ns + round(outage.for_s * r.SECOND)
