"""Which arms can never be the best choice, and which trade-offs are left.

An arm is dominated if another one takes no more of every resource, holds the device's lane no longer (median, bound and
longest piece), and agrees at least as often. Latency, energy and money are sums of resources with weights that are never
negative, so whatever the link, the load and the prices are, the other arm is as good or better. Of equals the first stays.
(A policy may find an arm cheaper for coming too late, when the reserve agrees more often than it does; none is kept for that.)
"""

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Flags, Floats, GateStep, RunStep
from hedgerow.errors import UsageError

Columns = NDArray[np.intp]


def footprints(table: ArmTable) -> Floats:
    """What each arm takes, (quantities, arms): every resource of the table, lane bounds, 1 - quality, and the same of the answers
    that come from a part of what is sent."""
    bounds = np.array([_lane_bounds_ns(arm, table) for arm in table.arms], dtype=np.float64).T
    parts = 1.0 - table.prefixes[1]
    return np.vstack([*table.amounts.values(), *table.spent.values(), bounds, 1.0 - table.quality, parts])


def _lane_bounds_ns(arm: Arm, table: ArmTable) -> tuple[float, float]:
    """(bound of all its device work, bound of its longest piece that cannot be interrupted)."""
    total, longest = 0, 0
    for step in arm.steps:
        if isinstance(step, RunStep) and step.tier == "device":
            local = table.local(step.model)
            pieces = local.segment_bound_ns[step.first : step.last + 1]
            total += local.tail_bound_ns[step.first] if step.last == local.last else sum(pieces)
            longest = max(longest, *pieces)
        elif isinstance(step, CrossStep):
            total += step.encode_bound_ns
            longest = max(longest, step.encode_bound_ns)
    return float(total), float(longest)


def undominated(amounts: Floats) -> Flags:
    """(quantities, arms), less is better -> (arms,): True where no other arm is as good in all; of equals the first."""
    count = amounts.shape[1]
    keep = np.ones(count, dtype=np.bool_)
    for column in range(count):
        mine = amounts[:, column : column + 1]
        as_good: Flags = np.all(amounts <= mine, axis=0)
        better: Flags = as_good & np.any(amounts < mine, axis=0)
        equal_before: Flags = as_good & ~better
        equal_before[column:] = False
        keep[column] = not (better.any() or equal_before.any())
    return keep


def dominator(amounts: Floats, column: int) -> int | None:
    """The arm that dominates `column`, itself undominated; None if there is none."""
    mine = amounts[:, column : column + 1]
    as_good: Flags = np.all(amounts <= mine, axis=0)
    better: Flags = as_good & np.any(amounts < mine, axis=0)
    better[:column] |= as_good[:column]
    for each in np.flatnonzero(better & undominated(amounts)):
        return int(each)
    return None


def pruned(table: ArmTable, *, arms_max: int) -> ArmTable:
    """The same table without dominated arms and with at most `arms_max`; all local models stay."""
    keep = np.flatnonzero(undominated(footprints(table)))
    if len(keep) > arms_max:
        keep = _most_useful(table, keep, arms_max)
    return subset(table, [int(each) for each in keep])


def subset(table: ArmTable, columns: list[int]) -> ArmTable:
    """The table with these arms only."""
    return ArmTable(
        tuple(table.arms[column] for column in columns),
        table.locals,
        table.energy,
        table.money_per_mb,
        table.money_per_cloud_s,
    )


_UPLINKS_MBPS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
_ROUND_TRIPS_MS = (1.0, 20.0, 60.0, 150.0)
_DISAGREEMENT_MJ = (50.0, 500.0, 2000.0, 20000.0)
_TIME_MJ_PER_MS = (0.0, 0.3, 3.0)


def _most_useful(table: ArmTable, columns: Columns, arms_max: int) -> Columns:
    """The `arms_max` of `columns` that come nearest to the top over a grid of links and prices; whole local models first.

    Each kind of arm keeps the best of its own: half of the places are shared among the kinds before all compete for the rest, or
    one with many variants (every gate before every codec) would fill the table alone.
    """
    if arms_max < 1:
        raise UsageError(f"a table keeps at least one arm, not {arms_max}")
    best_rank = np.full(len(columns), np.inf)
    for mbps in _UPLINKS_MBPS:
        for trip_ms in _ROUND_TRIPS_MS:
            sending_ns = table.up_bytes[columns] * (8e3 / mbps)
            latency_ms = (table.busy_ns[columns] + table.cloud_ns[columns] + sending_ns) / 1e6
            latency_ms += trip_ms * table.crosses[columns]
            energy_mj = table.busy_ns[columns] * (table.energy.active_mw * 1e-9)
            energy_mj += sending_ns * (table.energy.radio_mw * 1e-9)
            for price in _DISAGREEMENT_MJ:
                for time_price in _TIME_MJ_PER_MS:
                    cost = energy_mj + price * (1.0 - table.quality[columns]) + time_price * latency_ms
                    ranks = cost.argsort(kind="stable").argsort(kind="stable")
                    best_rank = np.minimum(best_rank, ranks)
    kinds = [kind(table.arms[column]) for column in columns]
    best_rank[[each == "local" for each in kinds]] = -1.0
    order = best_rank.argsort(kind="stable").tolist()
    share, taken = arms_max // (2 * len(set(kinds))), dict.fromkeys(kinds, 0)
    assured = []
    for place in order:
        taken[kinds[place]] += 1
        if kinds[place] == "local" or taken[kinds[place]] <= share:
            assured.append(place)
    kept = [*assured, *(place for place in order if place not in set(assured))][:arms_max]
    chosen: Columns = columns[np.sort(kept)]
    return chosen


def kind(arm: Arm) -> str:
    """What sort of arm: local, or what crosses (the raw sample or a joint's tensors, of one precision or two), gated or not."""
    gated = any(isinstance(step, GateStep) for step in arm.steps)
    crossing = next((place for place, step in enumerate(arm.steps) if isinstance(step, CrossStep)), None)
    if crossing is None:
        return "exits" if gated else "local"
    model, joint = arm.sends(crossing)
    head = arm.steps[0]
    mixed = not gated and isinstance(head, RunStep) and head.model != model
    return f"{'gated ' if gated else ''}{'cloud' if joint < 0 else 'mixed split' if mixed else 'split'}"
