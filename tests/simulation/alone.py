"""Small worlds drawn at random, and one request of a setup run alone through the real core: what the oracles are held to."""

import random
from dataclasses import dataclass

import numpy as np

from hedgerow.core import Arm, ArmTable, Criticality, CrossStep, GateStep, LocalModel, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.policies import Policy
from hedgerow.simulation import world
from hedgerow.simulation.answering import crossing_name
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
                    Arm(f"{model.name}>{other.name}", (run, gate, *other.steps), round(draw.uniform(0.6, 1), 3))
                )
    if len(locals_) > 2 and found:
        first, last = locals_[draw.randrange(3)], draw.choice(found)
        if last.steps[0] != (run := RunStep("device", first.name, 0, first.last, first.tail_median_ns[0])):
            found.append(Arm(f"{first.name}>{last.name}", (run, GateStep(0.7, 0.3), *last.steps), 0.9))
    return found


def drawn_table(draw: random.Random) -> ArmTable:
    """Two or three local models of several segments, each alone, split at every joint, and whole in the cloud; and gates."""
    locals_, arms = [], []
    for name, scale in (("quick", 20), ("slow", 60), ("middle", 35))[: draw.choice((2, 3))]:
        count = draw.randint(2, 5)
        medians = tuple(int(draw.uniform(0.2, 1.8) * scale / count * MS) for _ in range(count))
        bounds = tuple(int(each * draw.uniform(1.1, 1.8)) for each in medians)
        tails = [sum(medians[at:]) for at in range(count)]
        tail_bounds = [0] * count
        for at in reversed(range(count)):
            tail_bounds[at] = max(bounds[at], tail_bounds[at + 1] if at + 1 < count else 0, int(tails[at] * 1.3))
        quality = round(draw.uniform(0.6, 1.0), 3)
        locals_.append(LocalModel(name, "cpu", quality, medians, bounds, tuple(tails), tuple(tail_bounds)))
        if draw.random() < 0.8:
            arms.append(Arm(f"local:{name}", (RunStep("device", name, 0, count - 1, tails[0]),), quality))
        for joint in range(-1, count - 1):
            cross = CrossStep("cloud", "q", 9000, 3 * MS, draw.choice((4, 9)) * MS)
            there = RunStep("cloud", name, joint + 1, count - 1, 10 * MS)
            here = (RunStep("device", name, 0, joint, sum(medians[: joint + 1])),) if joint >= 0 else ()
            arms.append(Arm(f"split:{name}@{joint}", (*here, cross, there), round(draw.uniform(0.6, 1.0), 3)))
    arms += gated_arms(draw, locals_, arms)
    return ArmTable(tuple(arms), tuple(locals_), money_per_mb=1.0, money_per_cloud_s=0.1)


def drawn_setup(seed: int, criticality: Criticality = Criticality.MISSION, count: int = 3) -> Setup:
    """Anything between room for all and room for nothing; requests 5 s apart."""
    draw = random.Random(seed)
    table = drawn_table(draw)
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
    names = {crossing_name(arm) or f"local:{arm.model}" for arm in table.arms}
    names |= {f"local:{model.name}" for model in table.locals}
    agreement = {name: "".join(draw.choice("01") for _ in range(SAMPLES)) for name in sorted(names)}
    sure = {model.name: tuple(draw.random() for _ in range(SAMPLES)) for model in table.locals}
    lanes = DrawnLanes(table, seed)
    return Setup(
        f"drawn {seed}", table, MARGINS, (stream,), arrivals, course, lambda: lanes, server,
        limits=r.Limits(audit_share=0.0), cancel_ns=lambda request: cancel,
        agreement=agreement, confidences=sure if draw.random() < 0.9 else {},
    )  # fmt: skip
