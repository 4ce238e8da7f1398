"""The clairvoyants: what the best possible choice of each request would have cost, had it known the link's future.

Two of them, each a bound that no policy can go below while requests do not get into each other's way; they find lane and link
idle for every request, which only favours them:

- rule-bound: must arm the same reserve as everybody (latest start, timer, hold and all), so it shows what choosing can gain;
- free: holds nothing in reserve and still answers in time.

Rules: lane, link and server times are those that the policies meet; an arm is judged by the same calibrated quality and the
same sum. What the core would do with an arm is told again here in closed form, and held equal to the real core, request by
request, by tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.core import records as r
from hedgerow.core.arms import Arm, CrossStep, Floats, LocalModel, RunStep
from hedgerow.core.flight import Plan
from hedgerow.simulation.body import ACK_BYTES, OPENING_BYTES, OVERTIME_NS, Ended, LaneTimes, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.transfer import NEVER_NS, Direction
from hedgerow.simulation.world import Setup

NOT_ALLOWED = np.inf


@dataclass(frozen=True)
class Table:
    """Realised parts of cost of every request under every arm, (requests, arms); energy is infinite where it is not allowed.

    `free_*`: the same without any reserve, infinite where the answer would be late.
    """

    energy_mj: Floats
    up_bytes: Floats
    cloud_ns: Floats
    quality: Floats
    reserve: NDArray[np.bool_]
    late: NDArray[np.bool_]
    latency_ns: Floats
    free_energy_mj: Floats

    def _sum(self, energy: Floats, quality: Floats, prices: r.Prices, setup: Setup) -> Floats:
        table = setup.table
        money = self.up_bytes * (table.money_per_mb * 1e-6) + self.cloud_ns * (table.money_per_cloud_s * 1e-9)
        found: Floats = energy + money * prices.money_mj + prices.disagreement_mj * (1.0 - quality)
        return found

    def cost_mj(self, prices: r.Prices, setup: Setup) -> Floats:
        """(requests, arms): the realised cost under the reserve rule, infinite where it does not allow the arm."""
        return self._sum(self.energy_mj, self.quality, prices, setup) + prices.reserve_mj * self.reserve

    def rule_bound(self, prices: r.Prices, setup: Setup) -> tuple[Floats, NDArray[np.intp]]:
        """(cost of each request, the arm taken) of the clairvoyant that holds the reserve."""
        cost = self.cost_mj(prices, setup)
        arm = cost.argmin(axis=1)
        return cost[np.arange(len(arm)), arm], arm

    def free(self, prices: r.Prices, setup: Setup) -> tuple[Floats, NDArray[np.intp]]:
        """The same without a reserve; a request that no arm answers in time costs what the rule-bound one pays."""
        cost = self._sum(self.free_energy_mj, np.broadcast_to(setup.table.quality, self.quality.shape), prices, setup)
        arm = cost.argmin(axis=1)
        best = cost[np.arange(len(arm)), arm]
        bound, _ = self.rule_bound(prices, setup)
        return np.minimum(best, bound), arm


@dataclass(slots=True)
class _Crossed:
    """What became of one arm's crossing: moments; NEVER_NS when no answer comes."""

    answer_ns: int
    radio_mj: float
    up_bytes: int
    cloud_ns: int


class _Alone:
    """One request on an idle device, link and cloud."""

    def __init__(self, setup: Setup, lanes: LaneTimes) -> None:
        self.setup, self.table, self.lanes = setup, setup.table, lanes
        self.energy = setup.table.energy
        self.timer = setup.margins.timer_ns

    def cross(
        self, arm: Arm, request: int, from_ns: int, useful_ns: int, links: tuple[Direction, Direction]
    ) -> _Crossed:
        """Send at `from_ns` on an idle link."""
        crossing = arm.crossing
        assert crossing is not None
        position = arm.steps.index(crossing)
        model, joint = arm.sends(position)
        run = arm.beyond(position)
        up, down = links
        up.forget()
        down.forget()
        size = self.lanes.payload_bytes(request, model, joint, crossing.codec)
        sending = up.sending_ns(size + OPENING_BYTES, from_ns)
        _, done = up.send(size + OPENING_BYTES, from_ns, ACK_BYTES + OPENING_BYTES)
        gives_up = useful_ns + OVERTIME_NS
        radio = self.energy.radio_mj(min(sending, gives_up - from_ns))
        lost = _Crossed(NEVER_NS, radio, size, 0)
        if done >= gives_up:
            return lost
        ended, clock = [], Clock()
        clock.now_ns = done
        server = self.setup.server()
        work = Work(0, request, 1, model, joint, run.last, crossing.codec, done, useful_ns)

        def told(what: Ended) -> None:
            ended.append((clock.now_ns, what))

        server.submit(work, clock, told)
        clock.run(gives_up)
        if not ended or ended[0][1].fault:
            return lost
        moment, what = ended[0]
        arrival = down.send(what.answer_bytes, moment)[1]
        return _Crossed(arrival if arrival <= gives_up else NEVER_NS, radio, size, what.decode_ns + what.compute_ns)


def table_of(setup: Setup, prices: r.Prices) -> Table:
    """Every arm of every request of this setup, each alone in the world; prices only tell which reserve a head leaves."""
    return tables_of(setup, (prices,))[0]


def tables_of(setup: Setup, prices: Sequence[r.Prices]) -> list[Table]:
    """The same under each of several prices, of which only that of disagreement matters here; equal ones share a table."""
    shape = (len(setup.arrivals), len(setup.table.arms))
    found = {each.disagreement_mj: _empty(shape) for each in prices}
    alone = _Alone(setup, setup.lanes())
    links = (Direction(setup.course, up=True), Direction(setup.course, up=False))
    streams = {stream.name: stream for stream in setup.streams}
    for request, arrival in enumerate(setup.arrivals):
        stream = streams[arrival.stream]
        deadline = arrival.captured_ns + stream.deadline_ns
        due = deadline - setup.margins.before(stream)
        _judge(found, alone, links, request, arrival.arrival_ns, deadline, due)
    return [found[each.disagreement_mj] for each in prices]


def _empty(shape: tuple[int, int]) -> Table:
    return Table(
        np.full(shape, NOT_ALLOWED), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_),
        np.zeros(shape, np.bool_), np.full(shape, np.inf), np.full(shape, NOT_ALLOWED),
    )  # fmt: skip


def _plans(alone: _Alone, now: int, due: int) -> tuple[list[LocalModel], Plan | None]:
    """(the local models that fit an idle lane, the reserve that the core would hold)."""
    bounds = {model.name: model.tail_bound_ns[0] for model in alone.table.locals}
    shortest = min(bounds.values())
    fits = []
    for model in alone.table.locals:
        more = alone.timer if bounds[model.name] > shortest else 0
        if now + bounds[model.name] + more <= due:
            fits.append(model)
    reserve = min(fits, key=lambda model: model.tail_median_ns[0], default=None)
    return fits, None if reserve is None else Plan(reserve, 0)


def _judge(
    tables: dict[float, Table], alone: _Alone, links: tuple[Direction, Direction], request: int, now: int, deadline: int,
    due: int,
) -> None:  # fmt: skip
    table = alone.table
    fits, plan = _plans(alone, now, due)
    names = {model.name for model in fits}
    available = due - plan.bound_ns - now if plan is not None else due - now
    for column, arm in enumerate(table.arms):
        if not table.is_remote[column]:
            for found in tables.values():
                _local(found, alone, request, column, now, deadline, plan, available, names)
            continue
        head, sent = _here(alone, arm, request, now)
        crossed = alone.cross(arm, request, sent, due, links)
        for disagreement_mj, found in tables.items():
            reserve = None if plan is None else _cheaper(alone, plan, head, disagreement_mj)
            guarded = table.busy_ns[column] <= available
            _remote(found, alone, request, column, now, deadline, due, reserve, crossed, sent, guarded)


def _local(
    found: Table, alone: _Alone, request: int, column: int, now: int, deadline: int, plan: Plan | None, available: int,
    names: set[str],
) -> None:  # fmt: skip
    """A local arm: one that fits for sure, or one that is tried while a quicker model is held in reserve."""
    table = alone.table
    model = table.local(table.arms[column].model)
    took = sum(alone.lanes.segments_ns(request, model.name, 0, model.last, now))
    in_time = now + took <= deadline
    energy = alone.energy.busy_mj(took)
    if in_time:
        found.free_energy_mj[request, column] = energy
    if model.name in names or plan is None:
        quality = model.quality if in_time else 0.0
    elif table.busy_ns[column] > available:
        return
    elif took <= available:  # only tried, and in time to spare the reserve
        quality = model.quality
    else:
        energy += alone.energy.busy_mj(available - took)
        took = available + sum(alone.lanes.segments_ns(request, plan.model.name, 0, plan.model.last, now))
        energy += alone.energy.busy_mj(took - available)
        in_time = now + took <= deadline
        quality = plan.model.quality if in_time else 0.0
    found.energy_mj[request, column], found.latency_ns[request, column] = energy, took
    found.late[request, column], found.quality[request, column] = not in_time, quality


def _remote(
    found: Table, alone: _Alone, request: int, column: int, now: int, deadline: int, due: int, plan: Plan | None,
    crossed: _Crossed, sent: int, guarded: bool,
) -> None:  # fmt: skip
    """A remote arm whose crossing is known, with the reserve that its head leaves."""
    table, energy = alone.table, alone.energy
    answer, busy = crossed.answer_ns, energy.busy_mj(sent - now)
    found.up_bytes[request, column], found.cloud_ns[request, column] = crossed.up_bytes, crossed.cloud_ns
    quality = float(table.quality[column])
    if answer <= deadline:
        found.free_energy_mj[request, column] = busy + crossed.radio_mj
    if plan is None:
        _unguarded(found, request, column, now, deadline, answer, busy + crossed.radio_mj, quality)
    if plan is None or not guarded:
        return
    start = max(due - plan.bound_ns - alone.timer, sent)
    spent, latency = busy + crossed.radio_mj, answer
    if answer <= start:
        found.latency_ns[request, column] = answer - now
        found.energy_mj[request, column], found.quality[request, column] = spent, quality
        return
    took = sum(alone.lanes.segments_ns(request, plan.model.name, plan.first, plan.model.last, start))
    done, held = start + took, deadline - alone.setup.margins.deliver_ns - alone.timer
    found.reserve[request, column] = True
    if answer < done:
        stops = min(done, answer + alone.setup.cancel_ns(request), _joint_after(alone, plan, request, start, answer))
        found.energy_mj[request, column] = spent + energy.busy_mj(stops - start)
        found.quality[request, column] = quality if answer <= deadline else 0.0
        found.late[request, column] = answer > deadline
    else:
        latency = answer if answer <= max(held, done) else max(held, done)
        remote = answer <= held
        found.energy_mj[request, column] = spent + energy.busy_mj(took)
        in_time = latency <= deadline
        found.quality[request, column] = (quality if remote else plan.model.quality) if in_time else 0.0
        found.late[request, column] = not in_time
    found.latency_ns[request, column] = latency - now


def _unguarded(
    found: Table, request: int, column: int, now: int, deadline: int, answer: int, spent: float, quality: float
) -> None:
    """No reserve fits: an arm stands for itself, and the best that a local run at once could add costs nothing here."""
    in_time = answer <= deadline
    found.energy_mj[request, column] = spent
    found.quality[request, column] = quality if in_time else 0.0
    found.late[request, column] = not in_time
    found.latency_ns[request, column] = answer - now


def _here(alone: _Alone, arm: Arm, request: int, now: int) -> tuple[tuple[str, int] | None, int]:
    """((model, joint) of the head if there is one, the moment at which the payload is encoded)."""
    head = None
    for position, step in enumerate(arm.steps):
        if isinstance(step, RunStep) and step.tier == "device":
            now += sum(alone.lanes.segments_ns(request, step.model, step.first, step.last, now))
            head = (step.model, step.last)
        elif isinstance(step, CrossStep):
            model, joint = arm.sends(position)
            now += alone.lanes.encode_ns(request, model, joint, step.codec, now)
            break
    return head, now


def _cheaper(alone: _Alone, plan: Plan, head: tuple[str, int] | None, disagreement_mj: float) -> Plan:
    """The reserve after the head: from its joint, where that is the cheaper insurance."""
    if head is None:
        return plan
    model, joint = alone.table.local(head[0]), head[1]
    if joint >= model.last or model.tail_bound_ns[joint + 1] > plan.bound_ns:
        return plan

    def cost(each: Plan) -> float:
        return alone.energy.busy_mj(each.median_ns) + disagreement_mj * (1.0 - each.model.quality)

    return min(Plan(model, joint + 1), plan, key=cost)


def _joint_after(alone: _Alone, plan: Plan, request: int, start: int, moment: int) -> int:
    end = start
    for took in alone.lanes.segments_ns(request, plan.model.name, plan.first, plan.model.last, start):
        end += took
        if end >= moment:
            return end
    return end


def share_of_one_arm(arms: Iterator[NDArray[np.intp]], width: int) -> float:
    """The largest share of requests for which one and the same arm was taken."""
    counts = np.zeros(width)
    for each in arms:
        counts += np.bincount(each, minlength=width)
    return float(counts.max() / counts.sum()) if counts.sum() else 1.0
