"""Which local plan stands in reserve for a request: what fits the calendars, what is cheapest, what a joint makes possible.

Only what the present mode allows a stream counts. Nothing here starts, stops or ends anything; the core does.
"""

from collections.abc import Collection, Iterable, Mapping

from hedgerow.core.arms import ArmTable, LocalModel
from hedgerow.core.budgets import Budgets
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Plan
from hedgerow.core.insurance import cost_mj
from hedgerow.core.modes import Modes
from hedgerow.core.records import Criticality, Prices

ROOM = 2  # a whole model is held before its branches if it takes at most this part of the time that is left


def to_hold(fits: Iterable[LocalModel], left_ns: float) -> LocalModel | None:
    """Of models that fit, the one to hold for a request with so much time left: the quickest, which leaves the network most time.

    An exit is the quickest, and the worst, of its kin. It is held only where a whole model would leave the network less than half of
    the time; once a head has run, the joint may make it the better reserve all the same (`at_joint`).
    """
    quickest: LocalModel | None = None
    whole: LocalModel | None = None
    for model in fits:
        if quickest is None or model.tail_median_ns[0] < quickest.tail_median_ns[0]:
            quickest = model
        if not model.trunk and (whole is None or model.tail_median_ns[0] < whole.tail_median_ns[0]):
            whole = model
    return quickest if whole is None or left_ns < ROOM * whole.tail_bound_ns[0] else whole


class Reserves:
    """`flights` and `desks` are the core's own, by request and by lane."""

    def __init__(
        self, table: ArmTable, prices: Prices, budgets: Budgets, modes: Modes, flights: Mapping[int, Flight],
        desks: Mapping[str, Desk],
    ) -> None:  # fmt: skip
        self._table, self._prices, self._budgets, self._modes = table, prices, budgets, modes
        self._flights, self._desks = flights, tuple(desks.values())
        self._whole = {model.name: Plan(model, 0) for model in table.locals}

    def whole(self, model: LocalModel) -> Plan:
        """The plan that runs all of it."""
        return self._whole[model.name]

    def allowed(self, flight: Flight) -> list[Plan]:
        """Every model that may answer it now, from the sample on."""
        return [self._whole[model.name] for model in self._modes.reserves(flight.stream.name)]

    def starts(self, flight: Flight, others: Collection[Flight], now_ns: int) -> dict[str, int]:
        """The latest start for this request of each local model that fits with the others."""
        allowed, due_ns = self._modes.allowance(flight.stream.name).reserves, flight.due_ns
        if len(self._desks) == 1:
            return self._desks[0].starts(allowed, others, due_ns, now_ns)
        found: dict[str, int] = {}
        for desk in self._desks:
            found.update(desk.starts(allowed, others, due_ns, now_ns))
        return found

    def held(self, flight: Flight, fits: Collection[str], now_ns: int) -> Plan | None:
        """Of models that fit, the one to hold; where the device's own answer is delivered anyway, the best."""
        if flight.stream.criticality is Criticality.SAFETY:
            return self.cheapest([self._whole[name] for name in fits])
        model = to_hold([self._whole[name].model for name in fits], flight.due_ns - now_ns)
        return None if model is None else self._whole[model.name]

    def cheapest(self, plans: Collection[Plan]) -> Plan | None:
        """Of plans that fit, the one of least energy and disagreement."""
        price = self._budgets.energy_price
        return min(plans, key=lambda plan: cost_mj(self._table, self._prices, plan, price), default=None)

    def best(self, flight: Flight, plan: Plan, now_ns: int) -> Plan:
        """The best local answer that still fits, now that nothing else is waited for."""
        if flight.started or flight.job is not None or not flight.guaranteed:
            return plan
        others = [each for each in self._flights.values() if each is not flight]
        found = [self._whole[name] for name in self.starts(flight, others, now_ns)]
        return self.cheapest([plan, *found]) or plan

    def at_joint(self, flight: Flight, plan: Plan) -> Plan:
        """Its plan, or one that goes on from a retained tensor if that is the cheaper insurance now."""
        candidates = [plan]
        for name, joint in flight.joints.items():
            model = self._table.local(name)
            allowed = name in self._modes.allowance(flight.stream.name).reserves
            shorter = (
                allowed
                and flight.surpassed_by(model)
                and joint < model.last
                and model.tail_bound_ns[joint + 1] <= plan.bound_ns
            )
            if shorter and model.lane == plan.lane:
                candidates.insert(0, Plan(model, joint + 1))  # of equals the one that goes on
        return self.cheapest(candidates) or plan
