"""What the learned policy sees of a view: a few figures an arm and a few for all, the same for any table, price, device or deadline.

Rules: times are shares of the time that is left, costs of what the cheapest local arm costs, so that a network trained in some
worlds means the same in others; every figure is clipped or squashed; belief samples enter only by weighted sums and quantiles,
so their number does not matter; elementwise products and ordered sums only, so that every processor gives the same bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import ArmTable, Floats
from hedgerow.core.policies import View
from hedgerow.core.policies.expecting import expected, present

SLOTS, LOCAL_SLOTS = 16, 4
OWN = (
    *("expected", "above_best", "cost", "energy", "disagreement", "needed", "missed"),
    *("slack_25", "slack_50", "slack_75", "slack_90", "slack_newest", "nearly_needed", "broadly_needed"),
    *("remote", "sending", "device", "passes", "reserve_price", "gain"),
)
SHARED = (
    *("available", "trip", "trip_median", "trip_change", "rate_change", "lost", "prior", "newest_weight"),
    *("in_flight", "quickest_local", "battery", "celsius", "remote_share"),
)
_SHARES = (0.25, 0.5, 0.75, 0.9)
_LOST_NS = 5e9  # a trip of this much came from no answer
_NEAR, _BROAD = 0.15, 0.5  # of the time left: how softly the reserve's start is drawn
_COST_MAX = 4.0
_STEPS_PER_MJ = 1e6
Columns = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Seen:
    """`columns` (slots,) of the table that are scored; `own` (features, slots); `shared` (features,)."""

    columns: Columns
    own: Floats
    shared: Floats


def seen(view: View) -> Seen | None:
    """The arms worth scoring and what is told of them; None when no arm is admissible."""
    cost, needed = expected(view)
    columns = candidates(view, cost)
    if not len(columns):
        return None
    own = _own(view, columns, cost[columns], needed[columns], local_cost(view))
    return Seen(columns, own, _shared(view))


def candidates(view: View, cost: Floats) -> Columns:
    """At most SLOTS admissible arms in the table's order: the cheapest local ones and those of least expected cost."""
    table, rounded = view.table, np.rint(cost * _STEPS_PER_MJ)
    order = np.argsort(rounded, kind="stable")
    order = order[view.admissible[order]]
    if len(order) <= SLOTS:
        return np.sort(order)
    local = ~table.is_remote[order]
    kept = local & (np.cumsum(local) <= LOCAL_SLOTS)
    kept[np.flatnonzero(~kept)[: SLOTS - int(kept.sum())]] = True
    return np.sort(order[kept])


def local_cost(view: View) -> float:
    """What the cheapest local arm costs (mJ): of those admissible, else of all, else what the reserve would."""
    local = ~view.table.is_remote
    for allowed in (local & view.admissible, local):
        if allowed.any():
            return max(float(view.cost_mj[allowed].min()), 1e-6)
    reserve = view.reserve_energy_mj + view.prices.disagreement_mj * (1.0 - view.reserve_quality)
    return max(reserve, float(view.cost_mj.min()), 1e-6)


def _own(view: View, columns: Columns, cost: Floats, needed: Floats, base: float) -> Floats:
    table, prices = view.table, view.prices
    left, share = max(view.time_left_ns, 1.0), view.weights[:, None]
    latency = view.network_ns[:, columns] + view.device_ns[columns]
    slack = np.clip((view.available_ns - latency) / left, -2.0, 1.0)
    remote = table.is_remote[columns].astype(np.float64)
    over = cost / base
    sending = table.up_bytes[columns] * (float(view.samples[present(view), 1]) / left)
    soft = [np.add.reduce(np.clip(0.5 - slack / width, 0.0, 1.0) * share, axis=0) * remote for width in (_NEAR, _BROAD)]
    rows = (
        np.clip(over, 0.0, 2 * _COST_MAX),
        np.clip(over - over.min(), 0.0, _COST_MAX),
        np.clip(view.cost_mj[columns] / base, 0.0, _COST_MAX),
        np.clip(view.energy_mj[columns] / base, 0.0, _COST_MAX),
        np.clip(table.disagreement[columns] * (prices.disagreement_mj / base), 0.0, _COST_MAX),
        needed,
        np.add.reduce((latency > view.time_left_ns) * share, axis=0),
        *quantiles(-slack, view.weights, _SHARES),
        -slack[present(view)],
        *soft,
        remote,
        sending / (1.0 + sending),
        np.clip(view.device_ns[columns] / left, 0.0, 2.0),
        passing(table)[columns],
        remote * min((prices.reserve_mj + view.reserve_energy_mj) / base, _COST_MAX),
        np.clip(
            (table.quality[columns] - view.reserve_quality) * (prices.disagreement_mj / base), -_COST_MAX, _COST_MAX
        ),
    )
    return np.array(rows)


def _shared(view: View) -> Floats:
    left, table = max(view.time_left_ns, 1.0), view.table
    newest, trips = present(view), view.samples[:, 0]
    trip, rate = view.samples[newest, :2].tolist()
    usual_trip, usual_rate = quantiles(view.samples[:, :2], view.weights, (0.5,))[0].tolist()
    local = view.device_ns[~table.is_remote]
    quickest = float(local.min()) if len(local) else left
    figures = (
        min(max(view.available_ns / left, 0.0), 1.0),
        trip / (left + trip),
        usual_trip / (left + usual_trip),
        trip / max(trip + usual_trip, 1.0),
        rate / max(rate + usual_rate, 1e-9),
        float(np.add.reduce(view.weights * (trips >= _LOST_NS))),
        float(view.weights[0]),
        float(view.weights[newest]),
        min(view.in_flight / 4.0, 2.0),
        quickest / (left + quickest),
        min(max(view.battery_fraction, 0.0), 1.0),
        min(max(view.celsius / 100.0, -1.0), 2.0),
        float((view.admissible & table.is_remote).sum()) / len(table.arms),
    )
    return np.array(figures)


def quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[Floats]:
    """Weighted quantiles of each column of (samples, columns): the least value that this share of the weight reaches."""
    order, columns = np.argsort(values, axis=0, kind="stable"), np.arange(values.shape[1])
    ordered, reached = values[order, columns], np.cumsum(weights[order], axis=0)
    last = len(values) - 1
    places = [np.minimum(np.add.reduce(reached < share - 1e-9, axis=0), last) for share in shares]
    return [ordered[place, columns] for place in places]


def passing(table: ArmTable) -> Floats:
    """(arms,): the share of an arm's samples that no gate stops before they cross; 1 for one that never crosses."""
    sent = np.zeros(len(table.arms))
    for name, row in table.amounts.items():
        sent += row if name.startswith("bytes:") else 0.0
    crosses = sent > 0.0
    return np.where(crosses, table.up_bytes / np.where(crosses, sent, 1.0), 1.0)
