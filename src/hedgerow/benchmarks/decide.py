"""How long one decision takes: a new fact, a new deadline and a new link state before every call.

`p50_us` and `p99_us` time the decision itself: from what is believed to the arm (view and policy, one vectorised pass).
`step_*` time the whole step of an arriving request: reserve, decision, records, dispatch.
"""

import gc
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hedgerow.core import Arm, ArmTable, Core, CrossStep, LocalModel, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.choosing import Choosing
from hedgerow.core.policies import Choice, Policy, View, by_name
from hedgerow.core.records import MS

_WARM_UP = 200


def wide_table(arms: int) -> ArmTable:
    """`arms` arms: two local models and, for the rest, crossings of many sizes and agreements."""
    small = _local("small", 30.0, 0.8)
    big = _local("big", 160.0, 1.0)
    found = [Arm(f"local:{each.name}", (RunStep("device", each.name, 0, 2, each.tail_median_ns[0]),), each.quality)
             for each in (small, big)]  # fmt: skip
    for number in range(max(0, arms - len(found))):
        crossing = CrossStep("cloud", f"jpeg:{number}", 4_000 + 300 * number, 2 * MS, 4 * MS, decode_ns=MS)
        share = 1.0 - 0.5 / (number + 2)
        found.append(Arm(f"cloud:big:{number}", (crossing, RunStep("cloud", "big", 0, 2, 15 * MS)), share))
    return ArmTable(tuple(found[:arms]), (small, big))


def _local(name: str, total_ms: float, quality: float) -> LocalModel:
    part = int(total_ms * MS / 3)
    return LocalModel(
        name,
        "cpu",
        quality,
        (part,) * 3,
        (part * 5 // 4,) * 3,
        (3 * part, 2 * part, part),
        (4 * part, 3 * part, 2 * part),
    )


@dataclass
class _Timed:
    """Times the pass from beliefs to choice inside the running core, without changing it."""

    policy: Policy
    choosing: Choosing
    taken_ns: list[int]

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def uses_reserve(self) -> bool:
        return self.policy.uses_reserve

    def view(self, *arguments: Any) -> View:
        self._begun = time.perf_counter_ns()
        return self.choosing.view(*arguments)

    def choose(self, view: View) -> Choice | None:
        choice = self.policy.choose(view)
        self.taken_ns.append(time.perf_counter_ns() - self._begun)
        return choice

    def __getattr__(self, name: str) -> Any:
        return getattr(self.choosing, name)


def bench_decide(arms: int = 64, count: int = 3000, seed: int = 1) -> dict[str, float]:
    """Drive a real core through `count` requests; returns microseconds."""
    random = np.random.default_rng(seed)
    alone = r.Limits(audit_share=0.0)  # an audit's run would need a lane of its own here
    core = Core(wide_table(arms), policy=by_name("ours"), streams=[Stream("camera", 150 * MS)], limits=alone)
    timed = _Timed(core.policy, core._choosing, [])
    core.policy, core._choosing = timed, timed  # type: ignore[assignment]
    core.step(r.TimerFired(), now_ns=0)
    _answer(core, core.step(r.RequestArrived(0, "camera", 0), now_ns=0), 0, 0)
    core.step(r.ProbeAnswered(1, 20 * MS, 24 * MS, 8192), now_ns=60 * MS)
    now, steps = 1000 * MS, []
    gc.collect()
    gc.disable()
    try:
        for number in range(1, count + _WARM_UP + 1):
            now += 50 * MS
            deadline = int(150 * MS - random.integers(0, 20 * MS))
            event = r.RequestArrived(number, "camera", now - int(random.integers(0, 5 * MS)), deadline)
            begun = time.perf_counter_ns()
            outcome = core.step(event, now_ns=now)
            steps.append(time.perf_counter_ns() - begun)
            now = _answer(core, outcome, now, int(random.integers(20 * MS, 60 * MS)))
    finally:
        gc.enable()
    chosen, whole = (np.array(times[_WARM_UP:]) / 1e3 for times in (timed.taken_ns, steps))
    figures = {"p50_us": (chosen, 50), "p99_us": (chosen, 99), "step_p50_us": (whole, 50), "step_p99_us": (whole, 99)}
    rounded = {name: round(float(np.percentile(times, share)), 1) for name, (times, share) in figures.items()}
    return {**rounded, "arms": arms, "decisions": len(chosen)}


def _answer(core: Core, outcome: r.Outcome, now: int, passed: int) -> int:
    """Carry out what was asked with given times: a new fact about the link for the next decision."""
    for action in outcome.actions:
        if isinstance(action, r.Encode):
            now += 2 * MS
            sent = core.step(r.EncodeDone(action.lane, action.job, 9_000, 2 * MS), now_ns=now)
            if any(isinstance(each, r.Send) for each in sent.actions):
                core.step(r.ChunkAcked(action.request, 1, 1000), now_ns=now + passed // 2)
                now += passed
                core.step(r.AnswerArrived(action.request, 1, 4000, 0, MS, 15 * MS), now_ns=now)
        elif isinstance(action, r.Run):
            model = core.table.local(action.model)
            now += model.tail_median_ns[action.first]
            core.step(r.RunDone(action.lane, action.job, action.last, model.segment_median_ns), now_ns=now)
    return now
