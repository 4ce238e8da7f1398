"""The worlds that the learned policy is trained in: drawn links, deadlines, devices, clouds and prices, each from its number.

Rules: the links are cellular drives that are given, and generated ones; a recorded link whose radio is Wi-Fi is refused, for what
is shipped is fitted to none. Of the drives, in the order of their file names, each third one (the 3rd, 6th, ...) is held out: never
trained on and never looked at while training. Models are those of the shipped profile, with exits, a copy and gates drawn for it
(`gating.py`). A world depends on seed and number alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hedgerow.core.arms import ArmTable
from hedgerow.core.records import MS, Prices
from hedgerow.errors import UsageError
from hedgerow.planning.arms import arm_table
from hedgerow.profiling.profile import Profile
from hedgerow.simulation import scenario as scenarios
from hedgerow.simulation.cells import Cell, Unit, build, load_courses
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.learning.gating import gated
from hedgerow.simulation.scenario import CloudPart, DevicePart, GroupPart, PricePart, Scenario, TariffPart
from hedgerow.simulation.world import Setup

HELD_OUT_EVERY: Final = 3
WIFI: Final = ("wi", "802.11")
GENERATED_SHARE: Final = 0.4
REQUESTS: Final = 250
_GENERATED_ROWS: Final = 300


@dataclass(frozen=True)
class World:
    """One setup and what things are worth in it; `prices` are alternatives, the first is the one that an episode has."""

    setup: Setup
    prices: tuple[Prices, ...]

    @property
    def base_mj(self) -> float:
        """What a request costs on the device alone, by the table: the unit of reward."""
        return local_base_mj(self.setup, self.prices[0])


def local_base_mj(setup: Setup, prices: Prices) -> float:
    """Cost of the cheapest local model that meets the shortest deadline by its median, or of the quickest."""
    table: ArmTable = setup.table
    deadline = min(stream.deadline_ns for stream in setup.streams)
    fits = [model for model in table.locals if model.tail_median_ns[0] <= deadline]
    fits = fits or [min(table.locals, key=lambda model: model.tail_median_ns[0])]
    return min(
        table.energy.busy_mj(model.tail_median_ns[0]) + prices.disagreement_mj * (1.0 - model.quality) for model in fits
    )


def drives(folder: Path | str) -> tuple[list[Course], list[Course]]:
    """(training, held out): the cellular drives of a folder; its Wi-Fi links are left alone. UsageError when none are left."""
    every = [course for course in load_courses(folder) if not is_wifi(course)]
    if len(every) < HELD_OUT_EVERY:
        raise UsageError(f"{folder} has {len(every)} cellular links; training needs {HELD_OUT_EVERY} or more")
    held = every[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    return [course for place, course in enumerate(every) if (place + 1) % HELD_OUT_EVERY], held


def is_wifi(course: Course) -> bool:
    """Whether a link is of the kind that nothing may be fitted to."""
    return course.radio.lower().startswith(WIFI) or course.name.lower().startswith(WIFI)


class Worlds:
    """Worlds by number, over these drives (none: generated links alone)."""

    def __init__(self, courses: Sequence[Course], *, seed: int = 0, requests: int = REQUESTS) -> None:
        wrong = [course.name for course in courses if is_wifi(course)]
        if wrong:
            raise UsageError(f"{wrong[0]} is a Wi-Fi link: the learned policy is not fitted to such")
        self._courses, self._draws, self._requests = list(courses), Draws(seed).within("learning"), requests
        self._profile: Profile = scenarios.load("standard").load_profile()
        self._table = arm_table(self._profile)

    def world(self, number: int) -> World:
        """The world of this number, always the same."""
        random = self._draws.generator(f"world/{number}")
        factor = _between(random, 1.0, 5.0)
        quickest_ms = factor * min(model.tail_bound_ns[0] for model in self._table.locals) / MS
        if self._courses and random.random() >= GENERATED_SHARE:
            course = self._courses[int(random.integers(len(self._courses)))]
            course = course.looped().shifted(int(random.integers(0, course.end_ns)) // MS * MS)
            deadline_ms = _between(random, 80.0, 200.0)
        else:
            course = generated(random, f"generated-{number}")
            usual_ms = float(np.median(course.round_trip_ns)) / MS
            deadline_ms = 0.6 * quickest_ms + usual_ms * _between(random, 0.9, 2.5)
        deadline_ms = max(1.4 * quickest_ms + 6.0, deadline_ms)
        period_ms = max(30.0, deadline_ms * _between(random, 0.5, 1.8))
        scenario = self._scenario(random, factor, deadline_ms, period_ms)
        unit = Unit(Cell("drawn", course.radio, deadline_ms, factor), course, int(random.integers(1 << 30)))
        prices = tuple(price.prices() for price in scenario.price)
        profile = gated(self._profile, self._draws.generator(f"gates/{number}"))
        return World(build(scenario, profile, unit), prices)

    def _scenario(self, random: np.random.Generator, factor: float, deadline_ms: float, period_ms: float) -> Scenario:
        group = GroupPart("drawn", ("",), (deadline_ms,), (factor,), period_ms=period_ms)
        device = DevicePart(
            persistence=float(random.uniform(0.5, 0.95)),
            radio_mw=_between(random, 600.0, 2500.0),
            active_mw=_between(random, 2500.0, 8000.0),
        )
        return Scenario(
            format=scenarios.FORMAT,
            name="drawn",
            group=(group,),
            price=tuple(_price(random) for _ in range(3)),
            seconds=self._requests * period_ms / 1e3,
            device=device,
            cloud=CloudPart(factor=_between(random, 0.1, 0.6)),
            tariff=TariffPart(money_per_mb=1.0),
        )


def _price(random: np.random.Generator) -> PricePart:
    money = 0.0 if random.random() < 0.6 else _between(random, 300.0, 6000.0)
    return PricePart(_between(random, 250.0, 5000.0), _between(random, 8.0, 50.0), money)


def _between(random: np.random.Generator, low: float, high: float) -> float:
    """Evenly over the logarithm."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def generated(random: np.random.Generator, name: str) -> Course:
    """A link made up: round trip and rate wander (first-order autoregressions of their logarithms), with spikes and outages.

    The ranges are those of published figures (3 to 120 ms, 0.5 to 100 Mbit/s); no recorded link goes into it.
    """
    rows = _GENERATED_ROWS
    trip, rate = _between(random, 3.0, 120.0), _between(random, 0.5, 100.0)
    slow = _wander(random, rows, spread=random.uniform(0.05, 0.5), memory=random.uniform(0.8, 0.99))
    spikes = np.where(random.random(rows) < random.uniform(0.0, 0.06), np.exp(random.exponential(1.0, rows)), 1.0)
    trips = np.clip(trip * np.exp(slow) * spikes, 1.0, 3000.0) * MS
    up = rate * np.exp(_wander(random, rows, spread=random.uniform(0.1, 1.2), memory=random.uniform(0.8, 0.99)))
    up = np.clip(up, 0.02, 500.0) * 125_000.0
    frozen = random.random(rows) < random.choice((0.0, 0.005, 0.03))
    frozen[0] = False
    starts = np.arange(rows) * (200 * MS)
    return Course(name, "", starts, rows * 200 * MS, trips, up, 4.0 * up, frozen, "loop")


def _wander(
    random: np.random.Generator, rows: int, *, spread: float, memory: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    noise = random.normal(0.0, spread * (1.0 - memory**2) ** 0.5, rows)
    found = np.zeros(rows)
    found[0] = random.normal(0.0, spread)
    for row in range(1, rows):
        found[row] = memory * found[row - 1] + noise[row]
    return found
