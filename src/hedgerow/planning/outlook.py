"""What the core would see of each arm on a steady link: the same figures, put into the same `View` for the same policy.

One belief sample stands for the link: a steady one has no spread. The device is idle, the deadline counts from now, and the
reserve is the local model that the core would hold (`core.reserves.to_hold`). What stands in for an arm whose head has run is
counted as the core counts it (`core/insurance.py`), so that both state one cost.
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.arms import ArmTable, Flags, Floats, LocalModel, RunStep
from hedgerow.core.flight import Plan
from hedgerow.core.insurance import Insured, insurance, insured
from hedgerow.core.policies import View
from hedgerow.core.records import MS, Margins, Prices
from hedgerow.core.reserves import to_hold
from hedgerow.errors import UsageError

_LARGEST = 1e7


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """A steady link: uplink in Mbit/s, round trip and the cloud's queue in ms. UsageError unless they can be."""

    uplink_mbps: float
    rtt_ms: float
    queue_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.uplink_mbps <= _LARGEST:
            raise UsageError(f"an uplink of {self.uplink_mbps:g} Mbit/s cannot be planned for: give a number above 0")
        if not (0 <= self.rtt_ms <= _LARGEST and 0 <= self.queue_ms <= _LARGEST):
            raise UsageError(f"a round trip of {self.rtt_ms:g} ms cannot be planned for: give 0 or more")

    def ns_per_unit(self, kind: str) -> float:
        """What one unit of a resource takes (a trip waits in the cloud's queue too); lanes and clouds run as profiled."""
        by_kind = {"bytes": 8e3 / self.uplink_mbps, "trips": (self.rtt_ms + self.queue_ms) * MS}
        return by_kind.get(kind, 1.0)


def latency_ns(table: ArmTable, link: LinkFigures) -> Floats:
    """Time to the answer of each arm, (arms,)."""
    total = np.zeros(len(table.arms))
    for name, row in table.amounts.items():
        total += row * link.ns_per_unit(name.partition(":")[0])
    return total


def energy_mj(table: ArmTable, link: LinkFigures) -> Floats:
    """The device's energy for each arm, (arms,): its processor while busy, its radio while sending and after."""
    radio_mj_per_byte = link.ns_per_unit("bytes") * table.energy.radio_mw * 1e-9
    used = table.busy_ns * (table.energy.active_mw * 1e-9) + table.up_bytes * radio_mj_per_byte
    return used + table.crosses * table.energy.radio_tail_mj


def money_mj(table: ArmTable, prices: Prices) -> Floats:
    """What each arm costs in money, in mJ at the given price, (arms,)."""
    money = table.up_bytes * (table.money_per_mb * 1e-6) + table.cloud_ns * (table.money_per_cloud_s * 1e-9)
    return money * prices.money_mj


def fitting(table: ArmTable, due_ns: int, margins: Margins) -> list[LocalModel]:
    """The local models that the calendar of an idle lane admits, the quickest first.

    Any but the shortest must leave room for what may come, and so for one timer's lateness.
    """
    shortest = min((model.tail_bound_ns[0] for model in table.locals), default=0)
    found = []
    for model in table.locals:
        bound = model.tail_bound_ns[0]
        if bound + (margins.timer_ns if bound > shortest else 0) <= due_ns:
            found.append(model)
    return sorted(found, key=lambda model: model.tail_median_ns[0])


def whole_model(table: ArmTable, column: int) -> LocalModel | None:
    """The local model that this arm is, from its input to its end; None for a remote arm and for one of several steps."""
    only = table.arms[column].steps
    return table.local(only[0].model) if len(only) == 1 and isinstance(only[0], RunStep) else None


def view_of(
    table: ArmTable, link: LinkFigures, *, deadline_ms: float, prices: Prices, margins: Margins
) -> tuple[View, LocalModel | None]:
    """What the core's policy would look at for one request that arrives now, and the reserve it would hold."""
    if not 0 < deadline_ms <= _LARGEST:
        raise UsageError(f"a deadline of {deadline_ms:g} ms cannot be kept: give a number above 0")
    due_ns = int(deadline_ms * MS) - margins.deliver_ns
    fits = fitting(table, due_ns, margins)
    reserve = to_hold(fits, due_ns)
    fallback = reserve or min(table.locals, key=lambda model: model.tail_bound_ns[0], default=None)
    needs_ns = reserve.tail_bound_ns[0] if reserve else Plan(fallback, 0).likely_ns if fallback else 0
    available_ns = float(due_ns - needs_ns if needs_ns <= due_ns else due_ns)
    busy = sum((row for name, row in table.amounts.items() if name.startswith("lane:")), np.zeros(len(table.arms)))
    admissible: Flags = (table.busy_ns <= available_ns) & (busy * table.refines <= float(due_ns))
    for column in range(len(table.arms)):
        model = whole_model(table, column)
        if model is not None:
            admissible[column] = model in fits or (reserve is not None and admissible[column])
    energy = energy_mj(table, link)
    view = View(
        table=table,
        network_ns=(latency_ns(table, link) - busy)[None, :],
        device_ns=busy,
        weights=np.ones(1),
        admissible=admissible,
        energy_mj=energy,
        cost_mj=energy + (money_mj(table, prices) + prices.disagreement_mj * table.disagreement),
        available_ns=available_ns,
        time_left_ns=float(due_ns),
        reserve_energy_mj=table.energy.busy_mj(fallback.tail_median_ns[0]) if fallback else 0.0,
        reserve_quality=fallback.quality if fallback else 0.0,
        prices=prices,
        insured=_insured(table, prices, margins, fallback, available_ns, due_ns),
    )
    return view, reserve


def _insured(
    table: ArmTable, prices: Prices, margins: Margins, fallback: LocalModel | None, available_ns: float, due_ns: int
) -> Insured | None:
    """What stands in for each arm; None where no local model does."""
    if fallback is None:
        return None
    plan, late_ns = Plan(fallback, 0), margins.timer_ns
    return insured(table, insurance(table, prices, plan), plan, available_ns - late_ns, float(due_ns) - late_ns)
