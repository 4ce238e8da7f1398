"""How long a lane takes: segment and encode times as they were measured, alike from one request to the next, and slower
when the lane is hot or has a noisy neighbour.

Rules it keeps:

1. The time of (request, piece of work) is a function of the seed alone, idle and loaded: every policy and the device-only
   twin meet the same times. Only heat depends on what a policy did, and the neighbour on when it was done.
2. Each time has the measured distribution: quantiles at 50, 90, 99 and 99.9 % as in the profile, between them log-linear
   in the exceeded share (an exponential tail), never above the largest seen. Below the median, where a profile says nothing,
   the spread is that of the half above (at most half of the median).
3. Times of one request are alike, and so are those of its neighbours, by a Gaussian copula: z = sqrt(c) f + sqrt(1 - c) e,
   f an AR(1) process over requests (coefficient `persistence`) shared by all work of the lane, e independent. The Spearman
   correlation k requests apart is 6/pi asin(c persistence^k / 2). `c` is fitted for each model so that a whole run's 0.999
   quantile is the measured one.
4. A slower device adds (factor - 1) x the idle median, as `planning.arms.Tiers` does. A bound can be exceeded: that is for
   the core to tell.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import RAW_SAMPLE, ArmTable, CrossStep, LocalModel
from hedgerow.core.records import SECOND
from hedgerow.errors import UsageError
from hedgerow.planning.arms import Tiers, cloud_segments_ns
from hedgerow.profiling.profile import ModelProfile, Profile
from hedgerow.profiling.times import SAMPLES_FOR_QUANTILE, IdleAndLoaded, Times

Floats = NDArray[np.float64]
Streams = Callable[[str], np.random.Generator]
"""Gives the random generator of a name; the same name gives the same numbers (`draws.Draws.generator`)."""

BLOCK = 1024
_SHARES = (0.5, 0.1, 0.01, 0.001)
_NORMAL = NormalDist()
_GRID: Floats = np.unique(np.concatenate([np.linspace(-5.0, 5.0, 401), [_NORMAL.inv_cdf(1 - s) for s in _SHARES]]))
_DEPTH: Floats = np.array([-math.log(0.5 * math.erfc(z / math.sqrt(2))) for z in _GRID])  # -log of the exceeded share
_FIT_DRAWS = 20_000
_FIT_STEPS = 7
_CORRELATION_MAX = 0.95


def quantile_curve(times: Times, *, extra_ns: float = 0.0, scale: float = 1.0) -> Floats:
    """The value (ns) at each point of the standard normal grid, so that normal draws become times by interpolation."""
    values = [float(each) for each in (times.median_ns, times.p90_ns, times.p99_ns, times.p999_ns)]
    depths = [-math.log(share) for share in _SHARES]
    lowest = max(values[0] - (values[1] - values[0]), 0.5 * values[0])
    if times.samples > SAMPLES_FOR_QUANTILE:
        values.append(float(times.max_ns))
        depths.append(math.log(times.samples + 1))
    curve: Floats = np.interp(_DEPTH, [0.0, *depths], [lowest, *values]) * scale + extra_ns
    return curve


def quantile_at(times: Times, normal: float) -> int:
    """The value (ns) at one draw of the standard normal, for what is no lane's work: timers, cancellations."""
    return round(float(np.interp(normal, _GRID, quantile_curve(times))))


@dataclass(frozen=True, slots=True)
class Work:
    """One chain of pieces (a model's segments, or one encoder): a curve for each piece, quiet and beside a busy process,
    and how much of their spread the pieces share."""

    idle: tuple[Floats, ...]
    loaded: tuple[Floats, ...]
    correlation: float


def correlation_of(curves: Sequence[Floats], whole: Floats) -> float:
    """How much the pieces must share for the 0.999 quantile of their sum to be that of `whole`; 0 to 0.95.

    By bisection over 20,000 fixed draws: the more they share the longer is the sum's tail.
    """
    random = np.random.default_rng(0)
    shared, own = random.standard_normal(_FIT_DRAWS), random.standard_normal((len(curves), _FIT_DRAWS))
    goal = float(np.interp(_NORMAL.inv_cdf(0.999), _GRID, whole))
    low, high = 0.0, _CORRELATION_MAX
    for _ in range(_FIT_STEPS):
        middle = (low + high) / 2
        z = math.sqrt(middle) * shared + math.sqrt(1 - middle) * own
        total = np.sum([np.interp(row, _GRID, curve) for row, curve in zip(z, curves, strict=True)], axis=0)
        low, high = (middle, high) if float(np.quantile(total, 0.999)) < goal else (low, middle)
    return (low + high) / 2


def encode_key(model: str, joint: int, codec: str) -> str:
    """The name of an encoder's times: of a raw sample they are every model's."""
    return f"encode:{'' if joint == RAW_SAMPLE else model}@{joint}:{codec}"


def decode_key(model: str, joint: int, codec: str) -> str:
    """The name of the decoder's times on the other side."""
    return f"decode:{'' if joint == RAW_SAMPLE else model}@{joint}:{codec}"


def size_key(model: str, joint: int, codec: str) -> str:
    """The name of the payload's sizes, drawn likewise."""
    return f"bytes:{'' if joint == RAW_SAMPLE else model}@{joint}:{codec}"


def _size_work(median: int, p90: int) -> Work:
    spread = math.log(max(p90, median, 1) / max(median, 1)) / _NORMAL.inv_cdf(0.9)
    curve: Floats = max(median, 1) * np.exp(np.clip(_GRID, -3.0, 3.0) * spread)
    return Work((curve,), (curve,), 0.0)


class LaneTimes:
    """The drawn times of one lane. `request` counts this lane's requests from 0 (any order near the newest is quick)."""

    def __init__(
        self, works: Mapping[str, Work], streams: Streams, *, persistence: float = 0.9, kept: int = BLOCK,
        stems: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:  # fmt: skip
        """`kept`: how many rows of a block stay in memory, where fewer requests than BLOCK will ever be asked for. `stems`: of each
        branch its trunk and the last segment that they share, which takes for a request what it takes the trunk."""
        if not 0 <= persistence < 1:
            raise UsageError(f"the persistence of lane times is {persistence:g}: give 0 up to, but below, 1")
        self._works, self._streams, self._persistence, self._kept = works, streams, persistence, kept
        self._stems = dict(stems or {})
        self._shared: list[Floats] = []
        self._last_factor: float | None = None
        self._factor_draws = streams("factor")
        self._blocks: dict[tuple[str, bool], dict[int, list[tuple[int, ...]]]] = {}

    @classmethod
    def of_profile(
        cls, profile: Profile, streams: Streams, *, device_factor: float = 1.0, persistence: float = 0.9
    ) -> "LaneTimes":
        """The device's lane as measured, or one `device_factor` times as slow."""
        tiers = Tiers(device_factor=device_factor)
        works: dict[str, Work] = {}
        for model in profile.models:
            times = [segment.time for segment in model.segments]
            alike = correlation_of(
                [quantile_curve(each.idle) for each in times], quantile_curve(model.segments[0].tail.idle)
            )
            works[model.name] = _work(times, alike, tiers)
        for each in profile.crossings:
            works[encode_key(each.model, each.joint, each.codec)] = _work([each.encode], 0.5, tiers)
            works[size_key(each.model, each.joint, each.codec)] = _size_work(each.bytes_median, each.bytes_p90)
        return cls(works, streams, persistence=persistence, stems=_stems(profile.models))

    @classmethod
    def of_cloud(
        cls, profile: Profile, streams: Streams, *, cloud_factor: float = 1.0, persistence: float = 0.9
    ) -> "LaneTimes":
        """The cloud's times: the medians that the arm table has, with the spread that this machine showed."""
        works: dict[str, Work] = {}
        for model in profile.models:
            curves = []
            for told_ns, segment in zip(cloud_segments_ns(profile, model), model.segments, strict=True):
                idle = segment.time.idle
                curves.append(quantile_curve(idle, scale=cloud_factor * told_ns / max(idle.median_ns, 1)))
            works[model.name] = Work(tuple(curves), tuple(curves), 0.5)
        for each in profile.crossings:
            curve = (quantile_curve(each.decode, scale=cloud_factor),)
            works[decode_key(each.model, each.joint, each.codec)] = Work(curve, curve, 0.5)
        return cls(works, streams, persistence=persistence, stems=_stems(profile.models))

    @classmethod
    def of_table(
        cls, table: ArmTable, streams: Streams, *, correlation: float = 0.3, persistence: float = 0.9
    ) -> "LaneTimes":
        """Where there is no profile: medians from the table, 0.999 quantiles a margin of 10 % below its bounds, and no time above them."""
        works: dict[str, Work] = {}
        for model in table.locals:
            pairs = zip(model.segment_median_ns, model.segment_bound_ns, strict=True)
            curves = tuple(_from_bound(median, bound) for median, bound in pairs)
            works[model.name] = Work(curves, curves, correlation)
        for arm in table.arms:
            for position, step in enumerate(arm.steps):
                if isinstance(step, CrossStep):
                    curve = (_from_bound(step.encode_median_ns, step.encode_bound_ns),)
                    works[encode_key(*arm.sends(position), step.codec)] = Work(curve, curve, correlation)
                    works[size_key(*arm.sends(position), step.codec)] = _size_work(step.up_bytes, step.up_bytes)
        return cls(works, streams, persistence=persistence, stems=_stems(table.locals))

    def drawn_from(self, streams: Streams, *, kept: int = BLOCK) -> "LaneTimes":
        """Another lane of the same distributions (which are shared, not copied), drawn from other streams."""
        return LaneTimes(self._works, streams, persistence=self._persistence, kept=min(kept, BLOCK), stems=self._stems)

    def segments_ns(self, request: int, model: str, first: int, last: int, *, loaded: bool = False) -> tuple[int, ...]:
        """The times (ns) of segments first..last of `model` for this request; UsageError for a model without times."""
        return self._row(request, model, loaded)[first : last + 1]

    def encode_ns(self, request: int, model: str, joint: int, codec: str, *, loaded: bool = False) -> int:
        """The time (ns) to encode what is alive at `joint` (-1: the raw sample); UsageError for an unknown crossing."""
        return self._row(request, encode_key(model, joint, codec), loaded)[0]

    def decode_ns(self, request: int, model: str, joint: int, codec: str) -> int:
        """The same for the decoder, of `of_cloud` times."""
        return self._row(request, decode_key(model, joint, codec), False)[0]

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        """The size (bytes) of what is alive at `joint` in `codec`: median and 0.9 quantile as measured, log-normal between."""
        return self._row(request, size_key(model, joint, codec), False)[0]

    def block(self, number: int, name: str, *, loaded: bool = False) -> NDArray[np.int64]:
        """(BLOCK, pieces): the times of requests number * BLOCK up to the next block, for sweeps."""
        work = self._works.get(name)
        if work is None:
            raise UsageError(f"no times of '{name}'; there are: {', '.join(self._works)}")
        curves = work.loaded if loaded else work.idle
        own = self._streams(f"{name}/{number}").standard_normal((len(curves), BLOCK))
        z = math.sqrt(work.correlation) * self._factor(number) + math.sqrt(1 - work.correlation) * own
        found = np.array([np.interp(row, _GRID, curve) for row, curve in zip(z, curves, strict=True)])
        rounded: NDArray[np.int64] = np.maximum(found.T.round(), 1.0).astype(np.int64)
        if name in self._stems:
            trunk, shared = self._stems[name]
            rounded[:, : shared + 1] = self.block(number, trunk, loaded=loaded)[:, : shared + 1]
        return rounded

    def _row(self, request: int, name: str, loaded: bool) -> tuple[int, ...]:
        number, place = divmod(request, BLOCK)
        try:
            return self._blocks[name, loaded][number][place]
        except (KeyError, IndexError):
            count = self._kept if place < self._kept else BLOCK
            rows = [tuple(row) for row in self.block(number, name, loaded=loaded)[:count].tolist()]
            kept = self._blocks.setdefault((name, loaded), {})
            kept.pop(number - 2, None)
            kept[number] = rows
            return rows[place]

    def _factor(self, number: int) -> Floats:
        """The shared process over the requests of one block; drawn in order, so that the blocks join."""
        while len(self._shared) <= number:
            draws = self._factor_draws.standard_normal(BLOCK)
            keep, fresh = self._persistence, math.sqrt(1 - self._persistence**2)
            value = self._last_factor
            row = []
            for draw in draws.tolist():
                value = draw if value is None else keep * value + fresh * draw
                row.append(value)
            self._last_factor = value
            self._shared.append(np.array(row))
        return self._shared[number]


def _stems(models: Sequence[ModelProfile] | Sequence[LocalModel]) -> dict[str, tuple[str, int]]:
    return {model.name: (model.trunk, model.shared) for model in models if model.trunk}


def _work(times: Sequence[IdleAndLoaded], correlation: float, tiers: Tiers) -> Work:
    extras = [tiers.median_ns(each) - each.median_ns for each in times]
    idle = tuple(quantile_curve(each.idle, extra_ns=extra) for each, extra in zip(times, extras, strict=True))
    loaded = tuple(quantile_curve(each.loaded, extra_ns=extra) for each, extra in zip(times, extras, strict=True))
    return Work(idle, loaded, correlation)


def _from_bound(median_ns: int, bound_ns: int) -> Floats:
    p999 = max(bound_ns / 1.1, float(median_ns))
    steps = [round(median_ns + (p999 - median_ns) * share) for share in (0.1, 0.4, 1.0)]
    return quantile_curve(
        Times(10 * SAMPLES_FOR_QUANTILE, median_ns, steps[0], steps[1], steps[2], max(bound_ns, steps[2]))
    )


class Neighbour:
    """Another process that comes and goes: busy for exponential times of mean `busy_ns`, away for means of `away_ns`.

    Drawn in time alone, so it is the same for every policy. In the long run it is busy busy / (busy + away) of the time.
    """

    def __init__(self, generator: np.random.Generator, *, busy_ns: float, away_ns: float) -> None:
        if not (busy_ns > 0 and away_ns > 0):
            raise UsageError("a noisy neighbour's mean times, busy and away, must both be above 0")
        self._generator, self._means = generator, (away_ns, busy_ns)
        self._turns = [0]  # even places: it leaves (or is away at first); odd: it comes

    def is_busy(self, now_ns: int) -> bool:
        """Whether it computes at this moment (0 or later)."""
        while self._turns[-1] <= now_ns:
            for wait in self._generator.exponential(1.0, 64).tolist():
                mean = self._means[(len(self._turns) + 1) % 2]
                self._turns.append(self._turns[-1] + max(round(wait * mean), 1))
        return bisect_right(self._turns, now_ns) % 2 == 0


@dataclass(slots=True)
class Heat:
    """A lane's temperature: one thermal mass that nears ambient + rise while busy and ambient while idle.

    Exact between events: T(t) = target + (T - target) exp(-t / time_constant). At `throttle_at_c` the lane slows by `slowdown`
    until it has cooled to `release_at_c`. Call `worked` when a job ends, in order of time; idle time is what lies between.
    `throttled_ns` is how long it has computed while slowed, in all.
    """

    ambient_c: float = 25.0
    rise_c: float = 60.0
    time_constant_ns: float = 60.0 * SECOND
    throttle_at_c: float = 75.0
    release_at_c: float = 70.0
    slowdown: float = 1.5
    celsius: float = field(default=math.nan)
    throttled: bool = False
    throttled_ns: int = 0
    _until_ns: int = 0

    def __post_init__(self) -> None:
        if not (self.time_constant_ns > 0 and self.slowdown >= 1 and self.release_at_c <= self.throttle_at_c):
            raise UsageError(
                "a lane's heat needs a time constant above 0, a slowdown of 1 or more, and a release at or below the throttle"
            )
        if math.isnan(self.celsius):
            self.celsius = self.ambient_c

    def worked(self, start_ns: int, end_ns: int) -> None:
        """The lane was idle up to `start_ns` and busy from then to `end_ns`; what lies before the last call's end is ignored."""
        self.rest(start_ns)
        if self.throttled:
            self.throttled_ns += max(end_ns - self._until_ns, 0)
        self._move(end_ns, self.ambient_c + self.rise_c)

    def rest(self, now_ns: int) -> float:
        """The temperature (degrees Celsius) at `now_ns` when the lane has been idle since the last call."""
        self._move(now_ns, self.ambient_c)
        return self.celsius

    def factor(self, now_ns: int) -> float:
        """What a job that starts now takes longer by."""
        self.rest(now_ns)
        return self.slowdown if self.throttled else 1.0

    def _move(self, now_ns: int, target_c: float) -> None:
        span = now_ns - self._until_ns
        if span <= 0:
            return
        self.celsius = target_c + (self.celsius - target_c) * math.exp(-span / self.time_constant_ns)
        self._until_ns = now_ns
        if self.celsius >= self.throttle_at_c:
            self.throttled = True
        elif self.celsius <= self.release_at_c:
            self.throttled = False


@dataclass(slots=True)
class Lane:
    """A lane as the simulated device has it: drawn times, and what makes them longer at this moment.

    Load and heat are those at a job's start: a job is short beside both.
    """

    times: LaneTimes
    heat: Heat | None = None
    neighbour: Neighbour | None = None

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]:
        """What each of segments first..last takes (ns) for this request when they start now."""
        loaded = self.neighbour is not None and self.neighbour.is_busy(now_ns)
        found = self.times.segments_ns(request, model, first, last, loaded=loaded)
        factor = 1.0 if self.heat is None else self.heat.factor(now_ns)
        return found if factor == 1.0 else tuple(round(each * factor) for each in found)

    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int:
        """What encoding takes (ns) when it starts now."""
        loaded = self.neighbour is not None and self.neighbour.is_busy(now_ns)
        found = self.times.encode_ns(request, model, joint, codec, loaded=loaded)
        factor = 1.0 if self.heat is None else self.heat.factor(now_ns)
        return round(found * factor)

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        """How large this request's encoded payload is."""
        return self.times.payload_bytes(request, model, joint, codec)

    def worked(self, start_ns: int, end_ns: int) -> None:
        """Tell the lane when a job ran; call it once a job has ended."""
        if self.heat is not None:
            self.heat.worked(start_ns, end_ns)
