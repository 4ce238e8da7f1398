"""Which arm: one small interface, one file a policy. A policy can be foolish, never late: the core holds the reserve.

A policy sees a `View` (arrays over arms and belief samples) and returns a `Choice`. It is deterministic and picklable; it
keeps no clock. One that learns from how its own choices went (`Learns`) is told by the core; one that randomises draws by
`chance.draw(view.seed, "policy", view.request)`, so that a replay draws the same, and states its propensity in the choice.
`by_name` gives a fresh one, `names` all of them. A module here that has a `POLICY` is one; the others are what policies are
made of (`checking`: the check that each passes; `guarding`: what keeps a faulty one from costing an answer).
"""

import importlib
import pkgutil
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np

from hedgerow.core.arms import ArmTable, Flags, Floats
from hedgerow.core.insurance import Insured
from hedgerow.core.quick import quicken
from hedgerow.core.records import Prices, Reason
from hedgerow.errors import UsageError


@dataclass(slots=True)
class View:
    """What a policy may look at for one request.

    `network_ns` (samples, arms): time beyond the device, were the world as in that sample; `weights` (samples,), in sum 1; `device_ns` (arms,): time on the
    device. Their sum is the time from now to the answer. `cost_mj` (arms,): energy, money and the price of the arm's own disagreement. `admissible` (arms,):
    the reserve fits and the lane and link are free for it. `available_ns`: until the reserve would start; `time_left_ns`: until the answer is useless.
    `reserve_*`: what needing the reserve costs and gives; `insured`: the same arm by arm, with what a head that has run makes of it, the timer's lateness
    taken off (None: as `reserve_*` for all). `samples` (samples, 3): the first link's belief, round trip in ns (the cloud's queue included), ns per byte and
    cloud time over planned; `in_flight`: requests under way but this; `parts`: whether a part of a payload may be answered.
    """

    table: ArmTable
    network_ns: Floats
    device_ns: Floats
    weights: Floats
    admissible: Flags
    energy_mj: Floats
    cost_mj: Floats
    available_ns: float
    time_left_ns: float
    reserve_energy_mj: float
    reserve_quality: float
    prices: Prices
    request: int = 0
    now_ns: int = 0
    deadline_ns: int = 0  # a moment
    samples: Floats = field(default_factory=lambda: np.zeros((1, 3)))
    in_flight: int = 0
    battery_fraction: float = 1.0
    celsius: float = 0.0
    seed: int = 0
    insured: Insured | None = None
    parts: bool = True

    def latency_ns(self, arm: int) -> Floats:
        """Time from now to this arm's answer in each sample: (samples,)."""
        latency: Floats = self.network_ns[:, arm] + self.device_ns[arm]
        return latency


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm's column, what it is expected to cost (mJ), how likely it is to need the reserve, and with what probability
    this policy would have chosen it in this view (1 for one that does not randomise)."""

    arm: int
    reason: Reason
    cost_mj: float = 0.0
    reserve_probability: float = 0.0
    propensity: float = 1.0


quicken(Choice)


@dataclass(frozen=True, slots=True)
class Feedback:
    """How a remote attempt ended: `latency_ns` from the decision to its answer (late ones too); None: none came."""

    request: int
    arm: int
    latency_ns: int | None


class Policy(Protocol):
    """`uses_reserve` False asks the core for no reserve at all: only fit for comparisons."""

    name: str
    uses_reserve: bool

    def choose(self, view: View) -> Choice | None:
        """The arm to start, or None when no admissible arm is wanted; never an inadmissible one."""
        ...


@runtime_checkable
class Learns(Protocol):
    """What a policy offers besides if it learns from its own choices."""

    def learn(self, feedback: Feedback) -> None:
        """One of its remote attempts has ended."""
        ...


ONLY = "only:"
_ALIASES = {"hedgerow": "ours"}  # the name in comparisons with others, and the name among ourselves


def names() -> tuple[str, ...]:
    """Every policy that `by_name` knows, each once, in alphabetical order; ours is called "hedgerow" among the others.

    "only:ARM", the fixed policy of one arm, is one for each arm of a table: `only_names(table)`.
    """
    return tuple(sorted({_COMPARED.get(name, name) for name in _found()}))


def only_names(table: ArmTable) -> tuple[str, ...]:
    """The fixed policies of this table's arms, one an arm, in its order."""
    return tuple(ONLY + arm.name for arm in table.arms)


def by_name(name: str, table: ArmTable | None = None) -> Policy:
    """A fresh policy of that name; UsageError lists the known ones. With `table`, an arm that "only:" names must be in it."""
    if name.startswith(ONLY) and name != ONLY:
        if table is not None and name not in only_names(table):
            raise UsageError(f"no arm '{name[len(ONLY) :]}'; there are: {', '.join(arm.name for arm in table.arms)}")
        fixed: Policy = importlib.import_module(f"{__name__}.only_one").OnlyOne(name[len(ONLY) :])
        return fixed
    found = _found()
    if _ALIASES.get(name, name) not in found:
        raise UsageError(f"no policy '{name}'; there are: {', '.join(names())}, only:ARM")
    return deepcopy(found[_ALIASES.get(name, name)])


_COMPARED = {mine: compared for compared, mine in _ALIASES.items()}


@cache
def _found() -> dict[str, Policy]:
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    every: list[Policy] = []
    for module in modules:
        every += [module.POLICY, *getattr(module, "VARIANTS", ())] if hasattr(module, "POLICY") else []
    return {policy.name: policy for policy in every}
