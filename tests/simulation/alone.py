"""Small worlds drawn at random, and one request of a setup run alone through the real core: what the oracles are held to."""

import random
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hedgerow.core import Arm, ArmTable, Criticality, CrossStep, GateStep, LocalModel, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.policies import Policy
from hedgerow.planning.composing import CASCADE, crossing_part
from hedgerow.simulation import world
from hedgerow.simulation.course import Course
from hedgerow.simulation.oracles import Table
from hedgerow.simulation.world import Arrival, Run, Setup
from tests.core.world import MS
from tests.simulation.small import MARGINS, PlainServer

SAMPLES = 20
SPAN_NS = 900 * MS  # of a lone request, before the link would be probed again

# energy, bytes, cloud time, quality, whether the reserve started, whether it is late, when it was told
Row = tuple[float, float, float, float, bool, bool, float]


def run_alone(setup: Setup, request: int, policy: Policy, prices: r.Prices) -> Run:
    """This request and no other, on a link that was just found open (its breaker closes on the answer to one probe)."""
    recorder = world.Recorder(setup, policy)
    body = world.build(setup, policy, prices, watch=recorder.see, planned=False)
    arrival = setup.arrivals[request]
    body.clock.now_ns = now = arrival.arrival_ns
    for action in body.core.step(r.LinkUp(setup.link), now_ns=now).actions:
        assert isinstance(action, r.Probe)
        body.core.step(r.ProbeAnswered(action.probe, MS, 2 * MS, action.payload_bytes), now_ns=now)
    body.post(r.RequestArrived(request, arrival.stream, arrival.captured_ns))
    body.clock.run(now + SPAN_NS)
    return recorder.run(policy.name, body)


def row_of(made: Run, request: int) -> Row:
    told = float(made.told_ns[request])
    return (
        float(made.energy_mj[request]), float(made.up_bytes[request]), float(made.cloud_ns[request]),
        float(made.quality[request]), bool(made.reserve[request]), bool(made.late[request]),
        np.inf if told < 0 else told,
    )  # fmt: skip


def row_in(table: Table, request: int, column: int) -> Row:
    at = (request, column)
    return (
        float(table.energy_mj[at]), float(table.up_bytes[at]), float(table.cloud_ns[at]), float(table.quality[at]),
        bool(table.reserve[at]), bool(table.late[at]), float(table.told_ns[at]),
    )  # fmt: skip


@dataclass(frozen=True)
class DrawnLanes:
    """Times that depend on the request alone, mostly below their bounds and sometimes far above."""

    table: ArmTable
    seed: int

    def _factor(self, *of: object) -> float:
        drawn = random.Random(repr((self.seed, *of)))
        return drawn.choice((0.8, 0.95, 1.0, 1.1, 1.15, 1.6, 2.5)) + drawn.random() * 0.01

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]:
        medians = self.table.local(model).segment_median_ns[first : last + 1]
        return tuple(int(each * self._factor(request, model, at)) for at, each in enumerate(medians, start=first))

    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int:
        return int(3 * MS * self._factor(request, model, joint, codec))

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        return int(9000 * self._factor(request, "bytes", model, joint, codec))


class MoodyServer(PlainServer):
    """Refuses some, computes others until too late, answers the rest."""

    def submit(self, work, clock, done) -> None:  # type: ignore[no-untyped-def]
        self.takes_ns = random.Random(work.arrival_ns).choice((2, 10, 30, 80)) * MS
        super().submit(work, clock, done)


def gated_arms(draw: random.Random, locals_: list[LocalModel], arms: list[Arm]) -> list[Arm]:
    """Each model asked first, and where it is unsure a way to another one's answer, or two: cascades, exit chains, exits before a
    split, and gates behind which the arm begins with another model's head."""
    found = []
    for model in locals_:
        run = RunStep("device", model.name, 0, model.last, model.tail_median_ns[0])
        for other in arms:
            if draw.random() < 0.35 and other.steps[0] != run:
                gate = GateStep(round(draw.uniform(0.2, 0.8), 2), 0.4)
                found.append(
                    Arm(f"cascade:{model.name}>{other.name}", (run, gate, *other.steps), round(draw.uniform(0.6, 1), 3))
                )
    if len(locals_) > 2 and found:
        first, last = locals_[draw.randrange(3)], draw.choice(found)
        if last.steps[0] != (run := RunStep("device", first.name, 0, first.last, first.tail_median_ns[0])):
            found.append(
                Arm(
                    f"cascade:{first.name},{last.name.removeprefix(CASCADE)}",
                    (run, GateStep(0.7, 0.3), *last.steps),
                    0.9,
                )
            )
    return found


def of_times(
    draw: random.Random, name: str, quality: float, medians: tuple[int, ...], bounds: tuple[int, ...]
) -> LocalModel:
    count = len(medians)
    tails, tail_bounds = [sum(medians[at:]) for at in range(count)], [0] * count
    for at in reversed(range(count)):
        tail_bounds[at] = max(bounds[at], tail_bounds[at + 1] if at + 1 < count else 0, int(tails[at] * 1.3))
    return LocalModel(name, "cpu", quality, medians, bounds, tuple(tails), tuple(tail_bounds))


def kin_of(draw: random.Random, trunk: LocalModel) -> list[LocalModel]:
    """Exits at some of its joints, a bottleneck (a longer branch), a copy in another precision."""
    found = []
    for joint in range(trunk.last):
        if draw.random() < 0.5:
            own = tuple(int(draw.uniform(0.5, 12) * MS) for _ in range(draw.choice((1, 1, 2))))
            medians = (*trunk.segment_median_ns[: joint + 1], *own)
            bounds = (*trunk.segment_bound_ns[: joint + 1], *(int(each * draw.uniform(1.1, 1.6)) for each in own))
            branch = of_times(draw, f"{trunk.name}.exit{joint}", round(draw.uniform(0.5, 1.0), 3), medians, bounds)
            found.append(replace(branch, trunk=trunk.name, shared=joint))
    if draw.random() < 0.5:
        medians = tuple(each // 2 for each in trunk.segment_median_ns)
        bounds = tuple(each // 2 for each in trunk.segment_bound_ns)
        copy = of_times(draw, f"{trunk.name}.int8", round(draw.uniform(0.5, 1.0), 3), medians, bounds)
        found.append(replace(copy, precision_of=trunk.name))
    return found


def kin_arms(draw: random.Random, trunk: LocalModel, kin: list[LocalModel]) -> list[Arm]:
    """Exit chains of one trunk, exits before a split of it, splits of branches, and precision that changes at a joint."""

    def run(model: LocalModel, first: int = 0, last: int | None = None) -> RunStep:
        end = model.last if last is None else last
        return RunStep("device", model.name, first, end, sum(model.segment_median_ns[first : end + 1]))

    def cross(model: LocalModel, joint: int) -> tuple[CrossStep, RunStep]:
        there = RunStep("cloud", model.name, joint + 1, model.last, 10 * MS)
        return CrossStep("cloud", "q", 9000, 3 * MS, draw.choice((4, 9)) * MS), there

    def gate() -> GateStep:
        return GateStep(round(draw.uniform(0.2, 0.9), 2), 0.4)

    exits, found = [each for each in kin if each.trunk], []
    if exits:
        steps: list[RunStep | GateStep | CrossStep] = [run(exits[0]), gate()]
        for before, each in pairwise(exits):
            steps += [run(each, before.shared + 1), gate()]
            joint = draw.randrange(each.shared, trunk.last)
            head = (run(trunk, each.shared + 1, joint),) if joint > each.shared else ()
            found.append(
                Arm(f"cascade:{each.name}>split:{trunk.name}@{joint}:q", (*steps, *head, *cross(trunk, joint)), 0.9)
            )
        found.append(Arm(f"exit:{trunk.name}@all", (*steps, run(trunk, exits[-1].shared + 1)), 0.9))
        found.append(
            Arm(f"exit:{trunk.name}@{exits[0].name}", (run(exits[0]), gate(), run(trunk, exits[0].shared + 1)), 0.8)
        )
        found.append(
            Arm(f"cascade:{exits[-1].name}>cloud:{trunk.name}:q", (run(exits[-1]), gate(), *cross(trunk, -1)), 0.95)
        )
        found.append(
            Arm(
                f"split:{exits[-1].name}",
                (run(exits[-1], 0, exits[-1].shared), *cross(exits[-1], exits[-1].shared)),
                0.7,
            )
        )
    for copy in kin:
        if copy.precision_of and trunk.last:
            joint = draw.randrange(trunk.last)
            found.append(
                Arm(f"split:{copy.name}>{trunk.name}@{joint}:q", (run(copy, 0, joint), *cross(trunk, joint)), 0.9)
            )
            found.append(Arm(f"local:{copy.name}", (run(copy),), copy.quality))
    return found


def drawn_table(draw: random.Random, *, with_kin: bool = False) -> ArmTable:
    """Two or three local models of several segments, each alone, split at every joint, and whole in the cloud; and gates."""
    locals_, arms = [], []
    for name, scale in (("quick", 20), ("slow", 60), ("middle", 35))[: draw.choice((2, 3))]:
        count = draw.randint(2, 5)
        medians = tuple(int(draw.uniform(0.2, 1.8) * scale / count * MS) for _ in range(count))
        bounds = tuple(int(each * draw.uniform(1.1, 1.8)) for each in medians)
        tails = [sum(medians[at:]) for at in range(count)]
        quality = round(draw.uniform(0.6, 1.0), 3)
        locals_.append(of_times(draw, name, quality, medians, bounds))
        if draw.random() < 0.8:
            arms.append(Arm(f"local:{name}", (RunStep("device", name, 0, count - 1, tails[0]),), quality))
        for joint in range(-1, count - 1):
            cross = CrossStep("cloud", "q", 9000, 3 * MS, draw.choice((4, 9)) * MS)
            there = RunStep("cloud", name, joint + 1, count - 1, 10 * MS)
            here = (RunStep("device", name, 0, joint, sum(medians[: joint + 1])),) if joint >= 0 else ()
            arms.append(Arm(f"split:{name}@{joint}", (*here, cross, there), round(draw.uniform(0.6, 1.0), 3)))
    if with_kin:
        kin = kin_of(draw, locals_[1])
        arms = [each for each in arms if draw.random() < 0.5] + kin_arms(draw, locals_[1], kin)
        locals_ += kin
    arms += gated_arms(draw, locals_, arms) if not with_kin else []
    return ArmTable(tuple(arms), tuple(locals_), money_per_mb=1.0, money_per_cloud_s=0.1)


def drawn_setup(
    seed: int, criticality: Criticality = Criticality.MISSION, count: int = 3, *, with_kin: bool = False
) -> Setup:
    """Anything between room for all and room for nothing; requests 5 s apart."""
    draw = random.Random(seed)
    table = drawn_table(draw, with_kin=with_kin)
    stream = Stream(
        "camera",
        draw.choice((15, 25, 40, 60, 80, 120, 200, 300)) * MS,
        criticality,
        period_ns=draw.choice((None, 50 * MS, 100 * MS, 400 * MS)),
        has_safe_value=draw.random() < 0.3,
        expiry_ns=400 * MS,
        capture_delay_ns=draw.choice((0, 5 * MS)),
    )
    moments = [round((1 + 5 * place + draw.random()) * 1000) * MS for place in range(count)]
    late = stream.capture_delay_ns
    arrivals = tuple(Arrival(each, each + draw.randint(0, late), "camera", draw.randrange(SAMPLES)) for each in moments)
    course = Course.steady(
        round_trip_ms=draw.choice((2, 20, 60, 150)), up_mbps=draw.choice((0, 1, 5, 40, 200)), down_mbps=20
    )
    server = draw.choice((PlainServer, MoodyServer))
    cancel = draw.choice((0, 1, 8)) * MS
    names = {crossing_part(arm.name) or f"local:{arm.model}" for arm in table.arms}
    names |= {f"local:{model.name}" for model in table.locals}
    agreement = {name: "".join(draw.choice("01") for _ in range(SAMPLES)) for name in sorted(names)}
    sure = {model.name: tuple(draw.random() for _ in range(SAMPLES)) for model in table.locals}
    lanes = DrawnLanes(table, seed)
    return Setup(
        f"drawn {seed}", table, MARGINS, (stream,), arrivals, course, lambda: lanes, server,
        limits=r.Limits(audit_share=0.0), cancel_ns=lambda request: cancel,
        agreement=agreement, confidences=sure if draw.random() < 0.9 else {},
    )  # fmt: skip
