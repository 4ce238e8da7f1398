"""What would be chosen on a given link, what else there is, and where the choice turns.

The choice is the core's: its policy is run on the view that `outlook` makes; nothing of its formula is repeated here. Costs
of the other arms come from the same policy, asked about each alone.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from hedgerow.core.arms import ArmTable, Flags, GateStep
from hedgerow.core.policies import Choice, Policy, View, by_name
from hedgerow.core.records import MS, Margins, Prices
from hedgerow.planning.outlook import LinkFigures, money_mj, view_of, whole_model
from hedgerow.planning.prune import undominated

UPLINKS_MBPS = (0.05, 2000.0)
ROUND_TRIPS_MS = (0.5, 2000.0)
NOTHING_IN_TIME = "nothing answers in time, the answer will be late or the stream's safe value"
_GRID = 80
_HALVINGS = 12


@dataclass(frozen=True, slots=True)
class ArmOutlook:
    """One arm on this link. `cost_mj` is what the policy expects it to cost, None where it may not be chosen.

    `obstacle` says why not, or what is wrong with it although it may; `on_front`: no other admissible arm is as good in
    latency, energy and agreement.
    """

    name: str
    latency_ms: float
    energy_mj: float
    up_bytes: int
    quality: float
    cost_mj: float | None
    reserve_probability: float
    on_front: bool
    obstacle: str


@dataclass(frozen=True, slots=True)
class Turn:
    """At this value of the varied quantity, with all else as planned, the choice turns."""

    at: float
    below: str
    above: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to "what would be done on this link". `chosen` is None where no arm may be chosen."""

    link: LinkFigures
    deadline_ms: float
    chosen: str | None
    reason: str
    because: str
    reserve: str | None
    arms: tuple[ArmOutlook, ...]
    uplink_turns: tuple[Turn, ...]
    rtt_turns: tuple[Turn, ...]

    @property
    def front(self) -> tuple[ArmOutlook, ...]:
        """The arms between which latency, energy and agreement are traded."""
        return tuple(arm for arm in self.arms if arm.on_front)


def plan(
    table: ArmTable,
    uplink_mbps: float,
    rtt_ms: float,
    deadline_ms: float = 100.0,
    prices: Prices | None = None,
    *,
    margins: Margins | None = None,
    policy: str = "ours",
) -> Plan:
    """Look at every arm of `table` on a steady link and choose; UsageError for figures that cannot be."""
    prices, margins = prices or Prices(), margins or Margins()
    link, chooser = LinkFigures(uplink_mbps, rtt_ms), by_name(policy, table)

    def ask(figures: LinkFigures) -> str:
        view, _ = view_of(table, figures, deadline_ms=deadline_ms, prices=prices, margins=margins)
        choice = deepcopy(chooser).choose(view)  # one that learns is asked as if nothing had happened yet
        return "none" if choice is None else table.arms[choice.arm].name

    view, reserve = view_of(table, link, deadline_ms=deadline_ms, prices=prices, margins=margins)
    choice = deepcopy(chooser).choose(view)
    alone = [_alone(chooser, view, column) for column in range(len(table.arms))]
    return Plan(
        link=link,
        deadline_ms=deadline_ms,
        chosen=None if choice is None else table.arms[choice.arm].name,
        reason="no arm may be chosen" if choice is None else choice.reason.value,
        because=_because(view, choice, alone, deadline_ms, reserved=reserve is not None, policy=chooser.name),
        reserve=None if reserve is None else reserve.name,
        arms=_outlooks(view, alone, deadline_ms, reserved=reserve is not None),
        uplink_turns=_turns(lambda mbps: ask(replace(link, uplink_mbps=mbps)), UPLINKS_MBPS),
        rtt_turns=_turns(lambda ms: ask(replace(link, rtt_ms=ms)), ROUND_TRIPS_MS),
    )


def _alone(policy: Policy, view: View, column: int) -> Choice | None:
    """What the policy says of this arm if there were no other; None where it may not be chosen."""
    only: Flags = np.zeros(len(view.table.arms), dtype=np.bool_)
    only[column] = view.admissible[column]
    return deepcopy(policy).choose(replace(view, admissible=only))


def _outlooks(view: View, alone: list[Choice | None], deadline_ms: float, *, reserved: bool) -> tuple[ArmOutlook, ...]:
    table, front = view.table, pareto_front(view)
    found = []
    for column, arm in enumerate(table.arms):
        mine, obstacle = alone[column], _obstacle(view, column, deadline_ms, reserved=reserved)
        if mine is None and view.admissible[column]:
            obstacle = "the policy never takes it"
        found.append(
            ArmOutlook(
                name=arm.name,
                latency_ms=round(float(view.latency_ns(column)[0]) / MS, 3),
                energy_mj=round(float(view.energy_mj[column]), 3),
                up_bytes=round(float(table.up_bytes[column])),
                quality=round(arm.quality, 4),
                cost_mj=None if mine is None else round(mine.cost_mj, 3),
                reserve_probability=0.0 if mine is None else round(mine.reserve_probability, 4),
                on_front=bool(front[column]),
                obstacle=obstacle,
            )
        )
    return tuple(sorted(found, key=lambda each: (each.cost_mj is None, each.cost_mj or 0.0, each.name)))


def pareto_front(view: View) -> Flags:
    """(arms,): admissible, and no other admissible arm is as good in latency, energy and agreement, as they are shown."""
    columns = np.flatnonzero(view.admissible)
    front: Flags = np.zeros(len(view.table.arms), dtype=np.bool_)
    if len(columns):
        latency_ms, energy_mj = (view.network_ns[0] + view.device_ns) / MS, view.energy_mj
        figures = np.vstack([latency_ms.round(3), energy_mj.round(3), -view.table.quality.round(4)])
        front[columns] = undominated(figures[:, columns])
    return front


def _obstacle(view: View, column: int, deadline_ms: float, *, reserved: bool) -> str:
    """Why an arm may not be chosen, or would not help, in words; "" for neither."""
    table, latency_ns = view.table, float(view.latency_ns(column)[0])
    model = whole_model(table, column)
    stand_in = "the reserve" if reserved else "the fastest model (no reserve fits)"
    if not view.admissible[column]:
        if model is not None:
            return f"its bound of {model.tail_bound_ns[0] / MS:.1f} ms is beyond the deadline of {deadline_ms:g} ms"
        if table.refines[column] and view.device_ns[column] > view.time_left_ns:
            return f"behind its gates it would end {view.device_ns[column] / MS:.1f} ms from now, beyond the deadline"
        return (
            f"it holds the device for {table.busy_ns[column] / MS:.1f} ms, but {stand_in} has to start"
            f" within {view.available_ns / MS:.1f} ms of the request"
        )
    gated = any(isinstance(step, GateStep) for step in table.arms[column].steps)
    if gated and table.is_remote[column]:  # its own answer stands in, from the gate on
        late = latency_ns > view.time_left_ns
        return f"what it asks for comes after the deadline of {deadline_ms:g} ms: its own answer stands" if late else ""
    if table.is_remote[column] and latency_ns > view.time_left_ns:
        instead = "the reserve's is delivered" if reserved else f"no reserve fits: {NOTHING_IN_TIME}"
        return f"its answer comes after the deadline of {deadline_ms:g} ms: {instead}"
    if table.is_remote[column] and latency_ns > view.available_ns:
        return f"{stand_in} starts after {view.available_ns / MS:.1f} ms, before its answer"
    return ""


def _because(
    view: View, choice: Choice | None, alone: list[Choice | None], deadline_ms: float, *, reserved: bool, policy: str
) -> str:
    """The chosen arm's cost in its parts, against the next best."""
    if choice is None and view.admissible.any():
        return f"none of the arms that policy '{policy}' takes may be chosen: the device's own plan answers"
    if choice is None:
        return f"no local model's bound fits {deadline_ms:g} ms: {NOTHING_IN_TIME}"
    table, column = view.table, choice.arm
    energy = float(view.energy_mj[column])
    money = float(money_mj(view.table, view.prices)[column])
    parts = [f"energy {energy:.1f}"]
    parts += [f"money {money:.1f}"] if money else []
    parts += [f"disagreement and reserve {choice.cost_mj - energy - money:.1f}"]
    text = f"{choice.cost_mj:.1f} mJ expected ({', '.join(parts)})"
    others = [each for each in alone if each is not None and each.arm != column]
    if others:
        second = min(others, key=lambda each: each.cost_mj)
        how = "next" if second.cost_mj >= choice.cost_mj else "cheaper, yet not this policy's choice:"
        text += f"; {how} {table.arms[second.arm].name} at {second.cost_mj:.1f} mJ"
    if not reserved:
        in_time = float(view.latency_ns(column)[0]) <= view.time_left_ns
        text += f"; no reserve fits: {'if it does not come, ' if in_time else ''}{NOTHING_IN_TIME}"
    return text


def _turns(ask: Callable[[float], str], span: tuple[float, float]) -> tuple[Turn, ...]:
    """Where the choice changes as one quantity grows from one end of `span` to the other, each place within 0.1 %.

    An arm that wins only between two points of the grid, with the same arm on both sides, is not seen.
    """
    grid = np.geomspace(*span, _GRID).tolist()
    names = [ask(value) for value in grid]
    found: list[Turn] = []
    for low, high, before, after in zip(grid, grid[1:], names, names[1:], strict=False):
        while before != after:
            low = _boundary(ask, low, high, before)
            following = ask(low)
            found.append(Turn(float(f"{low:.4g}"), before, following))
            before = following
    return tuple(found)


def _boundary(ask: Callable[[float], str], low: float, high: float, before: str) -> float:
    """The least value found between `low`, where the answer is `before`, and `high` at which it is another."""
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if ask(middle) == before:
            low = middle
        else:
            high = middle
    return high
