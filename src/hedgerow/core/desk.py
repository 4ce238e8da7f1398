"""The desk of one device lane: what it does now, what waits for it, and which of these may start.

Mandatory work is a local plan of a guaranteed request; it starts when the calendar says so, or at once when there is nothing
to wait for. Everything else (heads, encoding, plans that cannot be guaranteed) is optional: it starts only if the lane is
back before the calendar needs it, and gives way at its next joint.
"""

from collections.abc import Iterable

from hedgerow.core.arms import CrossStep, LocalModel, RunStep
from hedgerow.core.beliefs import LaneBelief
from hedgerow.core.flight import Flight, Job, Primary
from hedgerow.core.lanes import Forecast, Reservation, backward_start, fits_behind, latest_start
from hedgerow.core.records import Action, Cancel, Encode, Limits, Margins, Preempt, Reason, Record, ReserveStarted, Run


class Desk:
    """One lane. `records` and `actions` are the core's lists of the present step."""

    def __init__(
        self,
        lane: str,
        models: Iterable[LocalModel],
        margins: Margins,
        limits: Limits,
        records: list[Record],
        actions: list[Action],
    ) -> None:
        self.lane = lane
        self.models = tuple(model for model in models if model.lane == lane)
        self.belief = LaneBelief()
        self.running: Job | None = None
        self.forecasts: tuple[Forecast, ...] = ()
        self._margins, self._limits = margins, limits
        self._records, self._actions = records, actions
        self._jobs = 0
        self._longest_ns = max((model.segment_longest_ns() for model in self.models), default=0)
        self._wake_ns: int | None = None

    # ------------------------------------------------------------------------------------------------- what is promised

    def reservations(self, flights: Iterable[Flight], now_ns: int) -> list[Reservation]:
        """Mandatory work not yet done: the plans that wait, and what is left of the one that runs."""
        found = []
        for flight in flights:
            plan = flight.plan
            if plan is None or not flight.guaranteed or flight.closed or plan.model.lane != self.lane:
                continue
            bound = plan.bound_ns
            job = flight.job
            if job is not None and job.mandatory:
                bound = max(bound - (now_ns - job.started_ns), 0)
            found.append(Reservation(flight.request, flight.due_ns, bound, plan.model.segment_longest_ns(plan.first)))
        return found

    def free_ns(self, due_ns: int, now_ns: int) -> int:
        """The moment by which the lane can have turned to work that is due at `due_ns`."""
        job = self.running
        if job is None or (job.mandatory and job.flight.due_ns <= due_ns):
            return now_ns  # earlier mandatory work is in the reservations itself
        return max(now_ns, min(job.started_ns + job.bound_ns, now_ns + job.segment_ns)) + self._margins.timer_ns

    def own_start(self, reservations: list[Reservation], due_ns: int, bound_ns: int, now_ns: int) -> int | None:
        """The latest start of new work among the reservations; None if it does not fit with them."""
        mine = Reservation(-1, due_ns, bound_ns, 0)
        together = [*reservations, mine]
        start = backward_start(together)
        if start is None or start < self.free_ns(due_ns, now_ns):
            return None
        later = [each for each in reservations if each.due_ns > due_ns]
        behind = backward_start(later)
        return min(due_ns, behind if behind is not None else due_ns) - bound_ns

    def start_ns(self, reservations: list[Reservation], now_ns: int) -> int | None:
        """The calendar's latest start, forecasts included."""
        return latest_start(reservations, self.forecasts, blocking_ns=self._longest_ns, now_ns=now_ns)

    # -------------------------------------------------------------------------------------------------- what is started

    def dispatch(self, flights: Iterable[Flight], now_ns: int) -> None:
        """Start what may start, stop what must give way, and note when to look again."""
        mine = [flight for flight in flights if not flight.closed]
        mine.sort(key=_due)
        self._wake_ns = None
        if self.running is not None:
            self._give_way(mine, now_ns)
        else:
            self._start_next(mine, now_ns)

    def wake_ns(self) -> int | None:
        return self._wake_ns

    def _start_next(self, flights: list[Flight], now_ns: int) -> None:
        reservations = self.reservations(flights, now_ns)
        start = self.start_ns(reservations, now_ns)
        waiting = [each for each in flights if self._waits(each) and each.guaranteed]
        if waiting and start is not None:
            slack = start - now_ns - self._margins.timer_ns
            if slack <= 0:
                return self._start_plan(waiting[0], waiting[0].eager or Reason.LATEST_START, start, now_ns)
            for flight in waiting:
                if flight.eager is not None and flight.plan is not None:
                    if flight.primary is Primary.WAITING and self._start_optional(flight, reservations, now_ns):
                        return None  # a safety request: what is sent first can still be advice in time
                    first = flight is waiting[0] or flight.plan.model.segment_longest_ns(flight.plan.first) <= slack
                    chosen = flight if first else waiting[0]
                    return self._start_plan(chosen, chosen.eager or Reason.LATEST_START, start, now_ns)
        for flight in flights:
            if self._start_optional(flight, reservations, now_ns):
                return None
        if start is not None:
            self._wake_ns = start - self._margins.timer_ns
        return None

    def _waits(self, flight: Flight) -> bool:
        plan = flight.plan
        return plan is not None and plan.model.lane == self.lane and flight.job is None

    def _start_plan(self, flight: Flight, reason: Reason, start_ns: int, now_ns: int) -> None:
        plan = flight.plan
        assert plan is not None
        if not flight.started:
            flight.started = True
            slack_ms = (start_ns - now_ns) / 1e6
            self._records.append(ReserveStarted(flight.request, plan.name, reason, slack_ms))
        longest = plan.model.segment_longest_ns(plan.first)
        self._start(flight, None, plan.model.name, plan.first, plan.model.last, plan.bound_ns, longest, now_ns)

    def _start_optional(self, flight: Flight, reservations: list[Reservation], now_ns: int) -> bool:
        """Start this request's optional work, if it has any for this lane and the calendar allows; True if started."""
        step = flight.arm.steps[flight.step] if flight.arm and flight.primary is Primary.WAITING else None
        if flight.job is not None:
            return False
        if isinstance(step, RunStep) and step.tier == "device" and step.lane == self.lane:
            model = next(each for each in self.models if each.name == step.model)
            first = max(step.first, flight.joints.get(step.model, -1) + 1)
            segment = max(model.segment_bound_ns[first : step.last + 1])
            bound = sum(model.segment_bound_ns[first : step.last + 1])
            if self._may_block(reservations, segment, now_ns):
                self._start(flight, step, step.model, first, step.last, bound, segment, now_ns)
                return True
        elif isinstance(step, CrossStep) and step.lane == self.lane:
            if self._may_block(reservations, step.encode_bound_ns, now_ns):
                self._start_encode(flight, step, now_ns)
                return True
        elif step is None and not flight.guaranteed and self._waits(flight) and flight.plan is not None:
            longest = flight.plan.model.segment_longest_ns(flight.plan.first)
            if self._may_block(reservations, longest, now_ns):
                self._start_plan(flight, Reason.NOTHING_FITS, now_ns, now_ns)
                return True
        return False

    def _may_block(self, reservations: list[Reservation], busy_ns: int, now_ns: int) -> bool:
        until = now_ns + busy_ns + self._margins.timer_ns
        return fits_behind(reservations, self.forecasts, busy_until_ns=until, now_ns=now_ns)

    def _start(
        self,
        flight: Flight,
        step: RunStep | CrossStep | None,
        model: str,
        first: int,
        last: int,
        bound_ns: int,
        segment_ns: int,
        now_ns: int,
    ) -> None:
        self._jobs += 1
        mandatory = step is None and flight.guaranteed
        job = Job(self._jobs, flight, self.lane, step, model, first, last, now_ns, bound_ns, segment_ns, mandatory)
        self.running = flight.job = job
        if step is not None:
            flight.primary = Primary.ON_LANE
        if not isinstance(step, CrossStep):
            self._actions.append(Run(self.lane, job.job, flight.request, model, first, last))

    def _start_encode(self, flight: Flight, step: CrossStep, now_ns: int) -> None:
        assert flight.arm is not None
        model, joint = flight.arm.sends(flight.step)
        bound = step.encode_bound_ns
        self._start(flight, step, model, 0, 0, bound, bound, now_ns)
        self._actions.append(Encode(self.lane, self._jobs, flight.request, model, joint, step.codec))

    def _give_way(self, flights: list[Flight], now_ns: int) -> None:
        """Preempt the running job at its next joint when waiting work with an earlier claim would otherwise start late."""
        job = self.running
        assert job is not None
        if job.preempting or job.cancelling:
            return
        waiting = [
            each
            for each in flights
            if each is not job.flight and each.guaranteed and self._waits(each)
            if not job.mandatory or each.due_ns < job.flight.due_ns
        ]
        start = self.start_ns(self.reservations(waiting, now_ns), now_ns)
        if start is None:
            return
        turn = start - job.segment_ns - self._margins.timer_ns
        eager = not job.mandatory and any(each.eager is not None for each in waiting)
        if eager or now_ns >= turn:
            job.preempting = True
            if not isinstance(job.step, CrossStep):
                self._actions.append(Preempt(self.lane, job.job))
        else:
            self._wake_ns = turn

    def cancel(self, flight: Flight) -> None:
        """The request needs the lane no more: end its job."""
        job = flight.job
        if job is not None and job.lane == self.lane and not job.cancelling:
            job.cancelling = True
            self._actions.append(Cancel(self.lane, job.job))

    def finished(self, job_number: int) -> Job | None:
        """The lane is free again; None if it was not this job that ran."""
        job = self.running
        if job is None or job.job != job_number:
            return None
        self.running = job.flight.job = None
        return job


def _due(flight: Flight) -> int:
    return flight.due_ns
