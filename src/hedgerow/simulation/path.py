"""One request alone in the world under one arm: what the core would do, told again in closed form.

Nothing is stepped: the moments follow from one another (a head, its preemption at a joint, the encoder, the crossing, the latest
start, the hold), so a table of every request under every arm takes a second.
"""

from collections.abc import Collection

from hedgerow.core.arms import CrossStep, GateStep, LocalModel, RunStep
from hedgerow.core.flight import Plan
from hedgerow.simulation.alone import Alone, Asked, Crossed, Told, Way
from hedgerow.simulation.transfer import NEVER_NS


def own(alone: Alone, asked: Asked, disagreement_mj: float) -> Told | None:
    """What the core does when its policy wants no arm: its own plan, at once. None for background, which waits."""
    if asked.plan is None:
        return None
    plan = alone.cheapest([asked.plan, *asked.fits], disagreement_mj)[0] if asked.guaranteed else asked.plan
    return run_whole(alone, asked, plan)


def run_whole(alone: Alone, asked: Asked, plan: Plan) -> Told:
    """A local plan from arrival to answer."""
    path = Path(alone, asked, Way(-1, (), plan.model, False), 0.0)
    path.plan, path.eager = plan, True
    return path.insure()


def follow(alone: Alone, asked: Asked, way: Way, disagreement_mj: float) -> Told | None:
    """One request under one arm; None where the core does not offer it."""
    offered = alone.offered(asked, way)
    if way.whole is not None and not asked.background:
        if not asked.guaranteed:  # only what the core itself would run stands here
            stands = asked.plan is not None and way.whole is asked.plan.model
            return run_whole(alone, asked, alone.whole[way.whole.name]) if stands else None
        if any(plan.model is way.whole for plan in asked.fits):
            return run_whole(alone, asked, alone.whole[way.whole.name])
    return Path(alone, asked, way, disagreement_mj).walk() if offered else None


class Path:
    """The way of one request under one arm; `at` is the moment up to which it is told, the lane being free then."""

    __slots__ = (
        "alone", "asked", "at", "disagreement_mj", "eager", "ended", "joints", "place", "plan", "refused", "result", "straight",
        "told", "way",
    )  # fmt: skip

    def __init__(self, alone: Alone, asked: Asked, way: Way, disagreement_mj: float) -> None:
        self.alone, self.asked, self.way, self.disagreement_mj = alone, asked, way, disagreement_mj
        self.at, self.place, self.told, self.straight = asked.now_ns, 0, Told(), True
        self.plan = asked.plan
        self.eager = asked.safety or asked.likely or (asked.plan is not None and not asked.guaranteed)
        self.joints: dict[str, int] = {}
        self.result: LocalModel | None = None
        self.ended: set[str] = set()  # the models that have run to their ends
        self.refused = ""  # the model whose answer a gate did not let stand

    # ------------------------------------------------------------------------------------------------------ how it ends

    def _local(self, moment: int) -> Told:
        """Told its own answer, or the safe value where there is none yet."""
        told = self.told
        told.told_ns, told.late = moment, self.result is None or moment > self.asked.deadline_ns
        if not told.late and self.result is not None:
            told.quality = self.alone.local_quality(self.way, self.asked, self.result.name)
        return told

    def _remote(self, moment: int) -> Told:
        told = self.told
        told.told_ns, told.late = moment, moment > self.asked.deadline_ns
        if not told.late:
            told.quality = self.alone.remote_quality(self.way, self.asked)
        return told

    def _busy(self, took_ns: int) -> None:
        self.told.energy_mj += self.alone.energy.busy_mj(took_ns)

    def _cancelled(self, times: Collection[int], moment: int) -> None:
        """A job that began at `at` is cancelled: until its next joint, within the cancellation's own time."""
        end = self.at
        for took in times:
            end += took
            if end >= moment:
                break
        self._busy(min(max(end, moment), moment + self.alone.cancel_ns(self.asked.number)) - self.at)

    @property
    def _ends_ns(self) -> int:
        """When it ends although nothing happens."""
        held = self.result is not None or self.asked.stream.has_safe_value
        return self.asked.hold_ns if held and not self.asked.background else NEVER_NS

    # -------------------------------------------------------------------------------------------------- what may start

    def _counted_ns(self) -> int:
        """The bound with which its plan is in the calendar; 0 if it is not there."""
        plan, asked = self.plan, self.asked
        if plan is None:
            return 0
        if asked.guaranteed:
            return plan.bound_ns
        return plan.likely_ns if asked.likely and self.at + plan.median_ns <= asked.due_ns else 0

    def _may_block(self, busy_ns: int) -> bool:
        return self.asked.background or self.alone.may_block(self.asked, self._counted_ns(), busy_ns, self.at)

    def _step(self) -> RunStep | CrossStep | None:
        """The arm's next step that is not done already; None behind the last, and where a gate has stopped it."""
        while self.place < len(self.way.steps):
            step = self.way.steps[self.place]
            if isinstance(step, GateStep):
                model = self.alone.table.arms[self.way.column].before(self.place)
                if model in self.ended and self.alone.stops(self.asked, step, model):
                    self.place = len(self.way.steps)
                    return None
                self.refused = model
            elif not (isinstance(step, RunStep) and self.joints.get(step.model, -1) >= step.last):
                return step
            self.place += 1
        return None

    # ---------------------------------------------------------------------------------------------------- from step to step

    def walk(self) -> Told:
        """Heads and encoder, each if the calendar lets it; else the reserve first."""
        while (step := self._step()) is not None:
            if self.at >= self._ends_ns:
                return self._local(self.at)
            counted = self._counted_ns()
            latest = self.alone.start_ns(self.asked, counted, self.at) - self.alone.timer_ns if counted else NEVER_NS
            if counted and self.at >= latest:
                return self.insure()
            if isinstance(step, RunStep):
                first = max(step.first, self.joints.get(step.model, -1) + 1)
                longest = self.alone.longest_ns(step.model, first, step.last)
            else:
                first, longest = 0, step.encode_bound_ns
                if self.way.sends[1] >= 0 and not self.alone.holds(*self.way.sends, self.joints):
                    return (
                        self._local(self.at) if self.plan is None else self.insure()
                    )  # the reserve went past this joint
            if not self._may_block(longest):
                if not counted:
                    return self.told if self.result is None else self._local(self._ends_ns)
                self.at = self.at if self.eager else latest
                return self.insure()
            ended = self._run(step, first, longest) if isinstance(step, RunStep) else self._encode(step)
            if ended is not None:
                return ended
        if self.result is not None:
            return self._local(self.at)
        return self.insure() if self.plan is not None else self.told

    def _run(self, step: RunStep, first: int, longest: int) -> Told | None:
        """A head, until its end or the joint at which it gives way to its own reserve."""
        asked, counted, plan = self.asked, self._counted_ns(), self.plan
        times = self.alone.segments_ns(asked, step.model, first, step.last, self.at)
        end, last = self.at + sum(times), step.last
        if counted and plan is not None and plan.model.name != step.model:
            turn = self.alone.turn_ns(asked, counted, longest, self.at)
            if turn < end:
                self.straight = False
                end, last = self.at, first - 1
                for took in times:
                    end, last = end + took, last + 1
                    if end >= turn:
                        break
        if (limit := self._ends_ns) < end:
            self._cancelled(times[: last - first + 1], limit)
            return self._local(limit)
        self._busy(end - self.at)
        self.at = end
        self._came_to(step.model, last)
        if self.plan is not None and plan is not None:
            self._replan(plan)
        return self._local(self.at) if self._settled() else None

    def _came_to(self, name: str, last: int) -> None:
        """A run of this model has ended at this joint: what it leaves for its kin, and whether its answer stands for now."""
        table = self.alone.table
        for kin, joint in table.left_by(name, last):
            self.joints[kin] = max(self.joints.get(kin, -1), joint)
        model, held = table.local(name), self.result
        if last == model.last:
            self.ended.add(name)
            if held is None or model.quality >= held.quality or held.name == self.refused:
                self.result = model
            plan, self.plan = self.plan, None
            if plan is not None and self._keeps(plan, name):
                self.plan = plan

    def _keeps(self, plan: Plan, ended: str) -> bool:
        """`core.flight.Flight.keeps_plan`."""
        if (
            not self.asked.guaranteed
            or not self._surpassed_by(plan.model)
            or self.at + plan.bound_ns > self.asked.due_ns
        ):
            return False
        return self._step() is not None and self.refused == ended

    def _surpassed_by(self, model: LocalModel) -> bool:
        return self.result is None or model.quality > self.result.quality

    def _settled(self) -> bool:
        """Whether its own answer is delivered now (`core.Core._settle`), the arm not being under way beyond the device."""
        if self.result is None or self.plan is not None:
            return False
        if self._step() is None:
            return True
        arm = self.alone.table.arms[self.way.column]
        if arm.refines:
            better = self.alone.table.local(arm.model).quality > self.result.quality
            return not better and self.result.name != self.refused
        return self.asked.safety

    def _replan(self, plan: Plan) -> None:
        """`core.reserves.Reserves.at_joint`."""
        candidates = [plan]
        for name, joint in self.joints.items():
            model = self.alone.table.local(name)
            if joint < model.last and self._surpassed_by(model) and model.tail_bound_ns[joint + 1] <= plan.bound_ns:
                candidates.insert(0, Plan(model, joint + 1))
        if len(candidates) > 1:
            self.plan, priced = self.alone.cheapest(candidates, self.disagreement_mj)
            self.told.priced |= priced

    def _encode(self, step: CrossStep) -> Told:
        """The encoder, which nothing stops, and the crossing behind it."""
        asked, alone = self.asked, self.alone
        took = alone.lanes.encode_ns(asked.number, *self.way.sends, step.codec, self.at)
        if (limit := self._ends_ns) < self.at + took:
            self._cancelled((took,), limit)
            return self._local(limit)
        self._busy(took)
        self.at += took
        if self.straight:
            self.told.sent_ns = self.at
        useful = self.at + asked.available_ns - (self.at - asked.now_ns) if asked.background else asked.due_ns
        crossed = alone.cross(asked, self.way, self.at, useful)
        self.told.energy_mj += crossed.radio_mj
        self.told.up_bytes, self.told.cloud_ns = crossed.up_bytes, crossed.cloud_ns
        return self._await(crossed)

    def _await(self, crossed: Crossed) -> Told:
        """It has been sent: its answer, or the reserve at its latest start."""
        asked, moment = self.asked, crossed.ends_ns
        if self.plan is None:
            if min(moment, self._ends_ns) == moment and crossed.answered:
                return self._remote(moment)
            if self.result is not None or asked.stream.has_safe_value:
                return self._local(max(self.at, min(moment, self._ends_ns)) if self.result else self._ends_ns)
            self.told.quality = 1.0  # a background request tries again: what that costs is left out
            return self.told
        counted, start = self._counted_ns(), self.at
        if counted and not self.eager:
            start = max(start, self.alone.start_ns(asked, counted, self.at) - self.alone.timer_ns)
        elif not counted and not self._may_block(self.plan.model.segment_longest_ns(self.plan.first)):
            start = moment
        if moment < start or (moment == start and not counted):
            if crossed.answered:
                return self._remote(moment)
            if asked.guaranteed and self.result is None:
                found = self.alone.fitting(asked, moment)
                self.plan, priced = self.alone.cheapest([self.plan, *found], self.disagreement_mj)
                self.told.priced |= priced
            self.at = moment
            return self.insure(crossed)
        self.at = start
        return self.insure(crossed)

    def insure(self, crossed: Crossed | None = None) -> Told:
        """The local plan now, to its end or until the remote answer comes; then the hold."""
        asked, plan = self.asked, self.plan
        assert plan is not None
        self.told.reserve, self.straight = self.way.remote, False
        times = self.alone.segments_ns(asked, plan.model.name, plan.first, plan.model.last, self.at)
        done = self.at + sum(times)
        moment = NEVER_NS if crossed is None else crossed.ends_ns
        answers = crossed is not None and crossed.answered and moment > self.at and not asked.safety
        if answers and moment < min(done, self._ends_ns):
            self._cancelled(times, moment)
            return self._remote(moment)
        if (limit := self._ends_ns) < done:
            self._cancelled(times, limit)
            return self._local(limit)
        self._busy(done - self.at)
        self.at = done
        self._came_to(plan.model.name, plan.model.last)
        if crossed is None:
            return self._local(done) if done >= asked.hold_ns or self._settled() else self.walk()
        if asked.safety or done >= asked.hold_ns or moment <= done:
            return self._local(done)
        return self._remote(moment) if answers and moment < asked.hold_ns else self._local(min(moment, asked.hold_ns))
