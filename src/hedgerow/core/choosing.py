"""From a request and the beliefs to what a policy may look at, and to the record of what it chose.

One vectorised pass: each new sample of a link times what each arm takes of it, summed in a fixed order, and then the samples
together against the request's own limits. Buffers are made once; elementwise products and ordered sums only, so every processor gives the same bits.
"""

from collections.abc import Collection, Mapping

import numpy as np

from hedgerow.core.arms import ArmTable, Flags, Floats, RunStep
from hedgerow.core.beliefs import LOST_NS, LinkBelief
from hedgerow.core.budgets import Budgets
from hedgerow.core.certificate import Mode
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Plan
from hedgerow.core.insurance import Insurance, Insured, insurance, insured
from hedgerow.core.link import Link
from hedgerow.core.policies import Choice, View
from hedgerow.core.records import Decision, Limits, Prices


class Choosing:
    """The arm table prepared for quick decisions; `fits` maps each local model that fits to its latest start."""

    def __init__(
        self, table: ArmTable, limits: Limits, prices: Prices, links: Mapping[str, Link], desks: Mapping[str, Desk],
        timer_ns: int = 0,
    ) -> None:  # fmt: skip
        self.table, self.prices, self._seed, self._timer_ns = table, prices, limits.seed, timer_ns
        self._insurances: dict[str, Insurance] = {}
        self._links, self._desks, self._first = links, desks, next(iter(links.values()), None)
        self.whole = {
            column: table.local(arm.model) for column, arm in enumerate(table.arms) if _is_whole(arm.steps, table)
        }
        self._needs = {
            name: np.array([arm.crossing is not None and arm.crossing.link == name for arm in table.arms])
            for name in links
        }
        full = sum((row for name, row in table.amounts.items() if name.startswith("lane:")), np.zeros(len(table.arms)))
        self._refining: Floats | None = full * table.refines if table.refines.any() else None
        self._lanes = {name[5:]: row for name, row in table.amounts.items() if name.startswith("lane:")}
        rows, width = len(self._first.belief.samples) if self._first else 1, len(LinkBelief.COLUMNS)
        self._beliefs: Floats = np.zeros((rows, width * len(links)))  # samples x resources; the links' own memory
        self._amounts: Floats = np.zeros((width * len(links), len(table.arms)))  # resources x arms
        for place, (name, link) in enumerate(links.items()):
            columns = slice(place * width, (place + 1) * width)
            self._amounts[columns] = table.rows(LinkBelief.COLUMNS, name)
            link.belief.attach(self._beliefs[:, columns])
        self._products, self._beyond = np.zeros(self._amounts.shape), np.zeros((rows, len(table.arms)))
        self._nothing = np.zeros(len(table.arms))
        self._fixed_ns: list[float] = (table.busy_ns + table.cloud_ns).tolist()
        self._even, self._samples = np.ones(1), self._beliefs[:, :width]
        self._busy_mj = table.busy_ns * (table.energy.active_mw * 1e-9) + table.crosses * table.energy.radio_tail_mj
        money = table.up_bytes * (table.money_per_mb * 1e-6) + table.cloud_ns * (table.money_per_cloud_s * 1e-9)
        self._priced: Floats = money * prices.money_mj + table.disagreement * prices.disagreement_mj
        self._made: tuple[float, float, Floats, Floats] | None = None
        self._admitted: Flags = np.ones(len(table.arms), dtype=np.bool_)
        self._ends = [_run_to_their_ends(arm.steps, table) for arm in table.arms]
        self._answering: dict[
            tuple[str, ...], Flags
        ] = {}  # by the models that may answer: the arms that run no other to its end

    def admit(self, mode: Mode) -> None:
        """From now on offer only arms that never hold a lane for longer, between two joints, than this mode bears."""
        for column, arm in enumerate(self.table.arms):
            held = [self.table.held_ns(step) for step in arm.steps]
            self._admitted[column] = all(longest <= mode.blocking_ns(lane) for lane, longest in held if longest)

    def view(
        self, flight: Flight, allowed: Collection[str], fits: Mapping[str, int], own_start_ns: int | None,
        budgets: Budgets, now_ns: int, in_flight: int = 0,
    ) -> View:  # fmt: skip
        """Everything a policy may look at for this request. The arrays are valid until the next call.

        `allowed`: the local models that may answer it; `fits`: those that do so in time for sure, with their latest starts.
        """
        table = self.table
        left = float((flight.expires_ns if flight.background else flight.due_ns) - now_ns)
        available = left if own_start_ns is None else float(own_start_ns - now_ns)
        link = self._first
        _, _, energy, cost = self._costs(link, budgets.energy_price)
        admissible = table.busy_ns <= available
        admissible &= self._admitted
        if self._refining is not None:  # one that could never come to its end in time is no better than its exit alone
            admissible &= self._refining <= left
        for name, each in self._links.items():
            if not each.open_for_requests:
                admissible &= ~self._needs[name]
        if budgets.bytes_left < float("inf"):
            admissible &= table.up_bytes <= budgets.bytes_left
        if not flight.background:
            admissible &= self._only_by(tuple(allowed))
            for column, model in self.whole.items():
                name = model.name
                admissible[column] = name in fits or (flight.guaranteed and name in allowed and admissible[column])
        plan, weights = (
            flight.plan,
            self._even if link is None else link.weights(now_ns),
        )  # before: it may change a sample
        return View(
            table, network_ns=self._network_ns(), device_ns=self._device_ns(now_ns), weights=weights,
            admissible=admissible, energy_mj=energy, cost_mj=cost, available_ns=available, time_left_ns=left,
            reserve_energy_mj=table.energy.busy_mj(plan.median_ns) if plan else 0.0,
            reserve_quality=plan.model.quality if plan else 0.0,
            prices=self.prices, request=flight.request, now_ns=now_ns, deadline_ns=flight.deadline_ns,
            samples=self._samples, in_flight=in_flight, battery_fraction=budgets.battery_fraction,
            celsius=budgets.celsius, seed=self._seed, insured=self._insured(plan, available, left), parts=not flight.background,
        )  # fmt: skip

    def _only_by(self, allowed: tuple[str, ...]) -> Flags:
        """The arms of which no other model's answer can come from this device: (arms,)."""
        found = self._answering.get(allowed)
        if found is None:
            found = self._answering[allowed] = np.array([ends <= set(allowed) for ends in self._ends], dtype=np.bool_)
        return found

    def _insured(self, plan: Plan | None, available_ns: float, left_ns: float) -> Insured | None:
        """What stands in for each arm; None where nothing does."""
        if plan is None:
            return None
        found = self._insurances.get(plan.model.name)
        if found is None:
            found = self._insurances[plan.model.name] = insurance(self.table, self.prices, plan)
        return insured(self.table, found, plan, available_ns - self._timer_ns, left_ns - self._timer_ns)

    def _costs(self, link: Link | None, energy_price: float) -> tuple[float, float, Floats, Floats]:
        """(rate, energy price, energy, cost) of the arms at the link's present rate; made anew only when these change."""
        rate = 0.0 if link is None else link.belief.latest()[1]
        if self._made is None or (rate, energy_price) != self._made[:2]:
            table = self.table
            energy = self._busy_mj + table.up_bytes * (rate * table.energy.radio_mw * 1e-9)
            self._made = (rate, energy_price, energy, energy * energy_price + self._priced)
        return self._made

    def _network_ns(self) -> Floats:
        """Time that each arm spends beyond the device in each belief sample, (samples, arms); only new samples are made."""
        for link in self._links.values():
            for row in link.belief.changed:
                np.multiply(self._beliefs[row, :, None], self._amounts, out=self._products)
                np.add.reduce(self._products, axis=0, out=self._beyond[row])
            link.belief.changed.clear()
        return self._beyond

    def _device_ns(self, now_ns: int) -> Floats:
        """Time that each arm spends on the device, waiting for the lane included: (arms,)."""
        wait, total = 0, self._nothing
        for name, amounts in self._lanes.items():
            desk = self._desks.get(name)
            factor = 1.0 if desk is None else desk.belief.factor()
            wait = max(wait, 0 if desk is None else desk.busy_for_ns(now_ns))
            total = amounts * factor if total is self._nothing else total + amounts * factor
        return total + float(wait) if wait else total

    def decision(
        self, flight: Flight, choice: Choice | None, view: View, own_start_ns: int | None, now_ns: int
    ) -> Decision:
        """The record of a choice: what was expected of it, all counted from capture."""
        plan = flight.plan
        median = p90 = bound = float(plan.median_ns if plan else 0)
        cost, probability, propensity = 0.0, 0.0, 1.0
        if choice is not None:
            arm, propensity = choice.arm, choice.propensity
            cost, probability = choice.cost_mj, choice.reserve_probability
            crossing = self.table.arms[arm].crossing
            if crossing is None:
                median = p90 = bound = float(view.device_ns[arm])
            else:
                own = float(view.device_ns[arm])
                latency = [beyond + own for beyond in view.network_ns[:, arm].tolist()]
                median, p90 = _quantiles(latency, view.weights.tolist(), 0.5, 0.9)
                fixed = self._fixed_ns[arm]
                flight.predicted_network_ns = max(1.0, median - fixed)
                ratio = self._links[crossing.link].belief.bound.bound()
                bound = min(fixed + flight.predicted_network_ns * ratio, LOST_NS)
        age = now_ns - flight.captured_ns
        slack = (flight.due_ns if own_start_ns is None else own_start_ns) - now_ns
        return Decision(
            flight.request, flight.arm_name, flight.decided, plan.name if plan else "",
            round(slack / 1e6, 4), round(cost, 4), round((age + median) / 1e6, 4), round((age + p90) / 1e6, 4),
            round((age + bound) / 1e6, 4), round(probability, 4) if probability else probability, round(propensity, 6),
        )  # fmt: skip


def _is_whole(steps: tuple[object, ...], table: ArmTable) -> bool:
    """Whether an arm is nothing but a local model from end to end: then its local plan is the arm."""
    only = steps[0]
    if len(steps) != 1 or not isinstance(only, RunStep) or only.tier != "device":
        return False
    return only.first == 0 and only.last == table.local(only.model).last


def _run_to_their_ends(steps: tuple[object, ...], table: ArmTable) -> set[str]:
    """The models that an arm runs to their ends here: a gate may let such an answer stand, and a hold may end with it."""
    runs = [step for step in steps if isinstance(step, RunStep) and step.tier == "device"]
    return {step.model for step in runs if step.last == table.local(step.model).last}


def _quantiles(values: list[float], weights: list[float], *shares: float) -> list[float]:
    """Quantiles at these shares, in ascending order; the weights have sum 1."""
    wanted, found, reached = list(shares), [], 0.0
    pairs = sorted(zip(values, weights, strict=True))
    for value, weight in pairs:
        reached += weight
        while reached >= wanted[0]:
            found.append(value)
            del wanted[0]
            if not wanted:
                return found
    return found + [pairs[-1][0]] * len(wanted)
