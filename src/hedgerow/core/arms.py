"""What can be done: arms as lists of steps, compiled to a matrix of resources x arms.

A step is a row of facts, so exits, cascades, more tiers and progressive sending only add steps:

    RunStep    run segments first..last of a model on a tier (on a device: on a lane)
    CrossStep  encode what is alive, cross a link in a codec
    GateStep   stop here with the local answer if its confidence is at least this

Compilation turns an arm into amounts of named resources ("lane:cpu" ns, "bytes:cloud", "trips:cloud", "tier:cloud" ns,
"queue:cloud"); a belief gives each resource a value in ns; their product, summed in a fixed order, is the arm's latency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
RAW_SAMPLE = -1  # the "joint" before the preparation


@dataclass(frozen=True, slots=True)
class RunStep:
    """Segments `first..last` (inclusive; 0 is the preparation) of `model`. `tier` "device" runs on `lane`."""

    tier: str
    model: str
    first: int
    last: int
    median_ns: int
    lane: str = "cpu"


@dataclass(frozen=True, slots=True)
class CrossStep:
    """Encode on `lane`, send `up_bytes` (median) over `link`; `decode_ns` is spent on the other side.

    `prefixes`: for rising shares of the payload, how often an answer from that first part agrees; none: it is all or nothing.
    """

    link: str
    codec: str
    up_bytes: int
    encode_median_ns: int
    encode_bound_ns: int
    decode_ns: int = 0
    down_bytes: int = 0
    lane: str = "cpu"
    prefixes: tuple[tuple[float, float], ...] = ()

    def least_bytes(self, size: int, quality: float) -> int:
        """The least part of a payload of `size` bytes whose answer agrees more often than `quality`; 0: none of it does."""
        return next((ceil(share * size) for share, agrees in self.prefixes if agrees > quality), 0)

    def quality_of(self, share: float) -> float:
        """How often an answer from this share of a payload agrees: as from the largest that was measured within it."""
        return max((agrees for measured, agrees in self.prefixes if measured <= share), default=0.0)


@dataclass(frozen=True, slots=True)
class GateStep:
    """Deliver the local answer here if its confidence is at least `at_least`; calibration saw `stop_share` stop."""

    at_least: float
    stop_share: float


Step = RunStep | CrossStep | GateStep


@dataclass(frozen=True, slots=True)
class Arm:
    """One complete way to answer; `quality` is its calibrated agreement with the task's reference (share), `crossing` the first
    link crossing, or None for a local arm."""

    name: str
    steps: tuple[Step, ...]
    quality: float
    crossing: CrossStep | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        crossing = next((step for step in self.steps if isinstance(step, CrossStep)), None)
        object.__setattr__(self, "crossing", crossing)

    @property
    def refines(self) -> bool:
        """It is a local arm that may stop at a gate: what it does behind one can only make an answer better that is there."""
        return self.crossing is None and any(isinstance(step, GateStep) for step in self.steps)

    @property
    def model(self) -> str:
        """The model that gives the final answer."""
        return next(step.model for step in reversed(self.steps) if isinstance(step, RunStep))

    def before(self, position: int) -> str:
        """The model whose answer the gate at `position` looks at."""
        return next((step.model for step in reversed(self.steps[:position]) if isinstance(step, RunStep)), "")

    def sends(self, position: int) -> tuple[str, int]:
        """(model, joint) whose living tensors the crossing at `position` carries; joint -1 is the raw sample."""
        run = self.beyond(position)
        return run.model, run.first - 1

    def beyond(self, position: int) -> RunStep:
        """The run on the other side of the crossing at `position`."""
        for step in self.steps[position:]:
            if isinstance(step, RunStep):
                return step
        raise LookupError(f"arm '{self.name}' runs nothing after its step {position}")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model on one device lane. All times in ns, indexed by segment.

    `tail_*_ns[i]` are of segments i..end run together: their 0.999 quantile under load plus margin is less than the
    sum of the segments' own bounds, which only serve as blocking.

    Kin: segments 0..`shared` are those of the model `trunk` (an exit, a bottleneck: a branch of it); `precision_of` names the model
    of which this is a copy in another precision, with the same joints.
    """

    name: str
    lane: str
    quality: float
    segment_median_ns: tuple[int, ...]
    segment_bound_ns: tuple[int, ...]
    tail_median_ns: tuple[int, ...]
    tail_bound_ns: tuple[int, ...]
    trunk: str = field(default="", kw_only=True)
    shared: int = field(default=-1, kw_only=True)
    precision_of: str = field(default="", kw_only=True)

    @property
    def last(self) -> int:
        return len(self.segment_median_ns) - 1

    def kept_by(self, other: "LocalModel", last: int) -> int:
        """The last joint of this model at which a run of `other` up to its joint `last` leaves tensors; -1: at none.

        What both share are the trunk's segments, and a run keeps the tensors where it ends, a branch also those at the joint
        where it leaves its trunk.
        """
        if other.name == self.name:
            return last
        if (other.trunk or other.name) != (self.trunk or self.name):
            return -1
        left = min(last, other.shared) if other.trunk else last
        return left if not self.trunk or left <= self.shared else -1

    def alike(self, other: "LocalModel") -> bool:
        """Whether they are the same model in two precisions: one may go on at a joint where the other stopped."""
        return other.name != self.name and (self.precision_of or self.name) == (other.precision_of or other.name)

    def segment_longest_ns(self, first: int = 0) -> int:
        """The longest that the lane can be held between two joints, from segment `first` on."""
        return max(self.segment_bound_ns[first:])


@dataclass(frozen=True, slots=True)
class Energy:
    """How energy is modelled: busy time above idle, and the radio by the time it sends plus a tail per request."""

    active_mw: float = 4000.0
    radio_mw: float = 1200.0
    radio_tail_mj: float = 2.0

    def busy_mj(self, busy_ns: float) -> float:
        return self.active_mw * busy_ns * 1e-9

    def radio_mj(self, sending_ns: float) -> float:
        return self.radio_mw * sending_ns * 1e-9 + self.radio_tail_mj


def _amounts(step: Step) -> dict[str, float]:
    """What one step takes of each resource."""
    match step:
        case RunStep(tier="device"):
            return {f"lane:{step.lane}": step.median_ns}
        case RunStep():
            return {f"tier:{step.tier}": step.median_ns}
        case CrossStep():
            return {
                f"lane:{step.lane}": step.encode_median_ns,
                f"bytes:{step.link}": step.up_bytes,
                f"trips:{step.link}": 1.0,
                f"tier:{step.link}": step.decode_ns,
            }
        case GateStep():
            return {}


@dataclass
class ArmTable:
    """Arms, the local models behind the reserves, and the matrix made of them (float64; a column is an arm).

    `amounts[name]` (arms,): what each arm takes of a resource when all its steps run. `spent[name]` (arms,): the same with
    the steps behind a gate weighted by the share that passes it. `prefixes` (2, most, arms): shares of each arm's payload and how
    often an answer from such a first part agrees (1 and 0 where fewer were measured).
    """

    arms: tuple[Arm, ...]
    locals: tuple[LocalModel, ...]
    energy: Energy = field(default_factory=Energy)
    money_per_mb: float = 0.0
    money_per_cloud_s: float = 0.0

    def __post_init__(self) -> None:
        _check(self.arms, self.locals)
        self._named = {model.name: model for model in self.locals}
        names = sorted({name for arm in self.arms for step in arm.steps for name in _amounts(step)})
        self.amounts: dict[str, Floats] = {name: np.zeros(len(self.arms)) for name in names}
        self.spent: dict[str, Floats] = {name: np.zeros(len(self.arms)) for name in names}
        for column, arm in enumerate(self.arms):
            share = 1.0
            for step in arm.steps:
                for name, amount in _amounts(step).items():
                    self.amounts[name][column] += amount
                    self.spent[name][column] += share * amount
                if isinstance(step, GateStep):
                    share *= 1.0 - step.stop_share
        self.quality: Floats = np.array([arm.quality for arm in self.arms], dtype=np.float64)
        self.disagreement: Floats = 1.0 - self.quality
        self.busy_ns, self.up_bytes, self.cloud_ns = (self._all(kind) for kind in ("lane", "bytes", "tier"))
        self.is_remote: Flags = np.array([arm.crossing is not None for arm in self.arms], dtype=np.bool_)
        self.refines: Flags = np.array([arm.refines for arm in self.arms], dtype=np.bool_)
        self.crosses: Floats = np.array(
            [_crossing_share(arm) for arm in self.arms]
        )  # (arms,): of what share of requests
        self.prefixes = _prefixes(self.arms)
        self._left = {model.name: _left_by(model, self.locals) for model in self.locals}

    def _all(self, kind: str) -> Floats:
        """What is spent of all resources of one kind, summed in the order of their names: (arms,)."""
        total = np.zeros(len(self.arms))
        for name, row in self.spent.items():
            if name.startswith(f"{kind}:"):
                total += row
        return total

    def rows(self, kinds: Sequence[str], where: str) -> Floats:
        """The amounts of these kinds of resource at one link: (kinds, arms); zeros where no arm takes any."""
        nothing = np.zeros(len(self.arms))
        return np.array([self.amounts.get(f"{kind}:{where}", nothing) for kind in kinds])

    def held_ns(self, step: Step) -> tuple[str, int]:
        """(lane, longest time by its bounds that this step holds it between two joints); 0 where it holds none."""
        match step:
            case RunStep(tier="device"):
                return step.lane, max(self.local(step.model).segment_bound_ns[step.first : step.last + 1])
            case CrossStep():
                return step.lane, step.encode_bound_ns
            case _:
                return "", 0

    def local(self, model: str) -> LocalModel:
        return self._named[model]

    def left_by(self, model: str, last: int) -> tuple[tuple[str, int], ...]:
        """(model, joint) of all exact kin that a run of `model` up to joint `last` takes so far; itself first."""
        return self._left[model][last]


def holder(models: Mapping[str, LocalModel], model: str, joint: int, reached: Mapping[str, int]) -> str:
    """Whose tensors at `joint` an arm may go on with as `model`, of what has been `reached`: its own (those of exact kin are), else
    those of a copy in another precision; "" if nobody stands there."""
    if reached.get(model, -1) == joint:
        return model
    mine = models[model]
    return next((name for name, at in reached.items() if at == joint and mine.alike(models[name])), "")


def _left_by(model: LocalModel, every: Sequence[LocalModel]) -> tuple[tuple[tuple[str, int], ...], ...]:
    """For each joint at which a run of `model` may end: what kin it leaves tensors for, and where."""
    others = [model, *(each for each in every if each.name != model.name)]
    found = [[(each.name, each.kept_by(model, last)) for each in others] for last in range(model.last + 1)]
    return tuple(tuple((name, joint) for name, joint in row if joint >= 0) for row in found)


def _prefixes(arms: Sequence[Arm]) -> Floats:
    each = [() if arm.crossing is None else arm.crossing.prefixes for arm in arms]
    found = np.zeros((2, max(map(len, each), default=0), len(arms)))
    found[0] = 1.0
    for column, prefixes in enumerate(each):
        for place, pair in enumerate(prefixes):
            found[:, place, column] = pair
    return found


def _crossing_share(arm: Arm) -> float:
    share = 1.0
    for step in arm.steps:
        if isinstance(step, CrossStep):
            return share
        share *= 1.0 - step.stop_share if isinstance(step, GateStep) else 1.0
    return 0.0


def _check(arms: Sequence[Arm], locals_: Sequence[LocalModel]) -> None:
    if not arms:
        raise UsageError("an arm table needs at least one arm")
    if len({arm.name for arm in arms}) != len(arms):
        raise UsageError("two arms have the same name")
    known, lanes = {model.name for model in locals_}, {model.lane for model in locals_}
    if not locals_:
        raise UsageError("an arm table needs at least one local model: nothing else can stand in reserve")
    for model in locals_:
        lengths = {len(model.segment_bound_ns), len(model.tail_median_ns), len(model.tail_bound_ns)}
        if lengths != {len(model.segment_median_ns)}:
            raise UsageError(f"local model '{model.name}' has times for unequal numbers of segments")
        trunk = next((each for each in locals_ if each.name == model.trunk), None)
        if model.trunk and (trunk is None or trunk.trunk or not 0 <= model.shared < min(trunk.last, model.last)):
            raise UsageError(
                f"local model '{model.name}' shares segments 0 to {model.shared} of '{model.trunk}', which cannot be"
            )
    for arm in arms:
        if not any(isinstance(step, RunStep) for step in arm.steps):
            raise UsageError(f"arm '{arm.name}' runs nothing")
        for step in arm.steps:
            if isinstance(step, RunStep) and step.tier == "device" and step.model not in known:
                raise UsageError(f"arm '{arm.name}' runs '{step.model}' on the device, which has no local times for it")
            if isinstance(step, CrossStep) and step.lane not in lanes:
                raise UsageError(f"arm '{arm.name}' encodes on lane '{step.lane}', which no local model has")
