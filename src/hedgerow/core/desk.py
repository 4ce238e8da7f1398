"""The desk of one device lane: what it does now, what waits for it, and which of these may start.

Mandatory work is a local plan of a guaranteed request; it starts when the calendar says so, or at once when there is
nothing to wait for. Everything else (heads, encoding, plans that cannot be guaranteed) is optional: it starts only if the
lane is back before the calendar needs it, and gives way at its next joint.
"""

from collections.abc import Collection, Iterable
from operator import attrgetter

from hedgerow.core import records as r
from hedgerow.core.arms import CrossStep, GateStep, LocalModel, RunStep, holder
from hedgerow.core.beliefs import LaneBelief
from hedgerow.core.flight import Flight, Job, Primary
from hedgerow.core.lanes import Forecast, backward_start, fits_behind, latest_free, latest_start, sustainable
from hedgerow.core.records import Criticality, Margins, Reason, Stream

_BY_DUE = attrgetter("due_ns")


class Desk:
    """One lane. `records` and `actions` are the core's lists of the present step; `wake_ns` is when to look again."""

    def __init__(
        self, lane: str, models: Iterable[LocalModel], margins: Margins, records: list[r.Record],
        actions: list[r.Action],
    ) -> None:  # fmt: skip
        self.lane, self._every = lane, {model.name: model for model in models}
        self.models = {name: model for name, model in self._every.items() if model.lane == lane}
        self.belief = LaneBelief()
        self.running: Job | None = None
        self.wake_ns: int | None = None
        self.stranded: list[Flight] = []  # whose arm cannot go on; the core ends it
        self._margins, self._records, self._actions = margins, records, actions
        self._forecasts: dict[str, Forecast] = {}
        self._coming: tuple[Forecast, ...] = ()  # the same
        self._asked: list[tuple[int, int]] | None = None  # of which `_put_off_ns` is the latest start, as all is now
        self._put_off_ns: int | None = None
        self._jobs = 0
        self._longest_ns = max(model.segment_longest_ns() for model in self.models.values())
        self._certified = False

    def expect(self, streams: Iterable[tuple[Stream, Collection[str], int]], longest_ns: int | None = None) -> None:
        """Keep room for what these streams may send next: each with the models that may answer it, and of how many of its
        samples one is taken. None is kept where the lane could not keep up with them anyway, unless it was certified that it
        can: then `longest_ns` is how long optional work may hold it between two joints.
        """
        found, held = {}, [0 if longest_ns is None else longest_ns]
        for each, models, keep_every in streams:
            mine = [model for name, model in self.models.items() if name in models]
            if each.period_ns and mine and each.criticality is not Criticality.BACKGROUND:
                within = each.deadline_ns - each.capture_delay_ns - self._margins.before(each)
                bound = min(model.tail_bound_ns[0] for model in mine)
                found[each.name] = Forecast(0, each.period_ns * keep_every, within, bound)
                held += [model.segment_longest_ns() for model in mine]
        self._certified = longest_ns is not None
        if self._certified:
            self._longest_ns = max(held)
        for name, forecast in found.items():
            if name in self._forecasts:
                old = self._forecasts[name]  # at a shorter distance than before, the next may come sooner as well
                sooner_ns = max(0, old.period_ns - forecast.period_ns)
                found[name] = forecast._replace(earliest_ns=old.earliest_ns - sooner_ns)
        blocking_ns = self._longest_ns + self._margins.timer_ns
        keeps_up = longest_ns is not None or sustainable(list(found.values()), blocking_ns=blocking_ns)
        self._forecasts = found if keeps_up else {}
        self._coming, self._asked = tuple(self._forecasts.values()), None

    def arrived(self, stream: str, now_ns: int) -> None:
        """The stream has sent: the next comes no sooner than its least distance from now."""
        forecast = self._forecasts.get(stream)
        if forecast is not None:
            _, period_ns, within_ns, bound_ns = forecast
            self._forecasts[stream] = Forecast(now_ns + period_ns, period_ns, within_ns, bound_ns)
            self._coming, self._asked = tuple(self._forecasts.values()), None

    def starts(self, allowed: Collection[str], others: Iterable[Flight], due_ns: int, now_ns: int) -> dict[str, int]:
        """For each of the models here that are allowed and fit with the others: its latest start for new work due then."""
        bounds = {name: model.tail_bound_ns[0] for name, model in self.models.items() if name in allowed}
        if not bounds:
            return {}
        promised = self._reservations(others, now_ns)
        behind = backward_start([each for each in promised if each[0] > due_ns])
        end = due_ns if behind is None else min(due_ns, behind)
        shortest = min(bounds.values())
        found: dict[str, int] = {}
        for name, bound in bounds.items():
            jobs = [*promised, (due_ns, bound)]
            fits = self._fits(jobs, now_ns)
            if fits and bound > shortest:  # a longer plan may not take the room of those that will come
                fits = self._may_block(jobs, 0, now_ns)
            if fits:
                found[name] = end - bound
        return found

    def _fits(self, jobs: list[tuple[int, int]], now_ns: int) -> bool:
        """Whether these can all be done in time, behind what the lane cannot leave before its next joint."""
        together, job = backward_start(jobs), self.running
        if together is None or job is None:
            return together is None or together >= now_ns
        joint_ns = (job.stopped_ns or now_ns) + job.segment_ns
        free = max(now_ns, min(job.started_ns + job.bound_ns, joint_ns)) + self._margins.timer_ns
        if not job.mandatory or not job.flight.guaranteed or job.flight.closed:
            return together >= free  # what is only likely may take its whole bound, what is answered all until its end
        # else it is one of `jobs`, and delays only those due before it
        first = backward_start([each for each in jobs if each[0] < job.flight.due_ns])
        return together >= now_ns and (first is None or first >= free)

    def busy_for_ns(self, now_ns: int) -> int:
        """How long the mandatory work that runs may still hold the lane."""
        job = self.running
        if job is None or job.cancelling or job.preempting or not job.mandatory:
            return 0
        return max(0, job.started_ns + job.bound_ns - now_ns)

    def _reservations(self, flights: Iterable[Flight], now_ns: int) -> list[tuple[int, int]]:
        """Mandatory work not yet done: the plans that wait, and what is left of the one that runs."""
        lane, found = self.lane, []
        for flight in flights:
            plan, job = flight.plan, flight.job
            if plan is None or plan.lane != lane or not (flight.guaranteed or self._counts(flight, now_ns)):
                continue
            bound = plan.bound_ns if flight.guaranteed else plan.likely_ns
            if job is not None and job.mandatory:
                bound = max(bound - (now_ns - job.started_ns), 0)
            found.append((flight.due_ns, bound))
        return found

    def _counts(self, flight: Flight, now_ns: int) -> bool:
        """Whether its plan is in the calendar: guaranteed, or likely in time for as long as it is so."""
        if flight.guaranteed or flight.plan is None:
            return flight.guaranteed
        running = flight.job is not None and flight.job.mandatory
        return flight.likely and (running or now_ns + flight.plan.median_ns <= flight.due_ns)

    def _start_ns(self, flights: list[Flight], now_ns: int) -> int | None:
        """The calendar's latest start for these requests' plans, with room for those that may come; None without any."""
        promised = self._reservations(flights, now_ns)
        if promised != self._asked:
            start = latest_start(promised, self._coming, blocking_ns=self._longest_ns, now_ns=now_ns)
            self._asked, self._put_off_ns = promised, start
        start = self._put_off_ns  # the same at every later moment until it is past
        return start if start is None or start > now_ns else now_ns

    def _may_block(self, promised: list[tuple[int, int]], busy_ns: int, now_ns: int) -> bool:
        """Whether every promise still holds if the lane is taken for so long from now; never for longer than is certified."""
        if self._certified and busy_ns > self._longest_ns:
            return False
        until = now_ns + busy_ns + self._margins.timer_ns
        return fits_behind(promised, self._coming, blocking_ns=self._longest_ns, free_ns=until, now_ns=now_ns)

    def dispatch(self, flights: Collection[Flight], now_ns: int) -> None:
        """Start what may start, stop what must give way, and note when to look again."""
        self.wake_ns, job = None, self.running
        if job is not None and (job.preempting or job.cancelling or isinstance(job.step, CrossStep)):
            return  # it gives way already, or cannot
        mine = [flight for flight in flights if not flight.closed]
        if len(mine) > 1:
            mine.sort(key=_BY_DUE)
        if job is None:
            if mine and not self._start_mandatory(mine, now_ns):
                for flight in mine:
                    if self._start_optional(flight, mine, now_ns):
                        break
            if self.running is None and len(mine) < len(flights) and not any(map(self._wants, mine)):
                for flight in flights:
                    if flight.audit is not None and self._start_audit(flight, mine, now_ns):
                        break
            job = self.running
        if job is not None and not isinstance(job.step, CrossStep):
            self._give_way(job, mine, now_ns)

    def _waiting(self, flights: Iterable[Flight], now_ns: int) -> list[Flight]:
        """Those whose plan is in the calendar and not yet started."""
        lane, counts = self.lane, self._counts
        idle = [each for each in flights if each.job is None and each.plan is not None and each.plan.lane == lane]
        return [each for each in idle if each.guaranteed or counts(each, now_ns)]

    def _waits(self, flight: Flight) -> bool:
        return flight.job is None and flight.plan is not None and flight.plan.lane == self.lane

    def _start_mandatory(self, flights: list[Flight], now_ns: int) -> bool:
        """Start the plan whose turn it is, earliest deadline first; True if one was started."""
        waiting = self._waiting(flights, now_ns)
        if not waiting:
            return False
        first = waiting[0]
        if first.eager is not None and first.guaranteed and first.primary is not Primary.WAITING:
            return self._start_plan(first, first.eager, now_ns)  # whatever the calendar says, it is its turn
        start = self._start_ns(flights, now_ns)
        if start is None:
            return False
        if not waiting[0].guaranteed and not self._may_delay_promises(waiting, now_ns):
            waiting = [each for each in waiting if each.guaranteed]
        slack = start - self._margins.timer_ns - now_ns
        if slack <= 0:
            return self._start_plan(waiting[0], waiting[0].eager or Reason.LATEST_START, now_ns)
        for flight in waiting:
            if flight.eager is not None and flight.plan is not None:
                if flight.primary is Primary.WAITING and self._start_optional(flight, flights, now_ns):
                    return True  # a safety request: what is sent first can still be advice in time
                short = flight is waiting[0] or flight.plan.model.segment_longest_ns(flight.plan.first) <= slack
                chosen = flight if short else waiting[0]
                return self._start_plan(chosen, chosen.eager or Reason.LATEST_START, now_ns)
        self.wake_ns = now_ns + slack
        return False

    def _may_delay_promises(self, waiting: list[Flight], now_ns: int) -> bool:
        """Whether the first, which is only likely in time, may run to its next joint before what is promised."""
        plan = waiting[0].plan
        start = self._start_ns([each for each in waiting if each.guaranteed], now_ns)
        longest = plan.model.segment_longest_ns(plan.first) if plan else 0
        return start is None or now_ns + longest + self._margins.timer_ns <= start

    def _start_plan(self, flight: Flight, reason: Reason, now_ns: int) -> bool:
        plan = flight.plan
        assert plan is not None
        if not flight.started:
            flight.started = True
            slack_ms = (flight.due_ns - plan.bound_ns - now_ns) / 1e6
            self._records.append(r.ReserveStarted(flight.request, plan.name, reason, slack_ms))
            if flight.guaranteed and slack_ms < 0:
                self._records.append(r.BoundExceeded(flight.request, "reserve start", -slack_ms, 0.0))
        longest = plan.model.segment_longest_ns(plan.first)
        job = self._start(flight, None, plan.model.name, (plan.first, plan.model.last), plan.bound_ns, longest, now_ns)
        self._actions.append(r.Run(self.lane, job, flight.request, plan.model.name, plan.first, plan.model.last))
        return True

    def _start_optional(self, flight: Flight, flights: list[Flight], now_ns: int) -> bool:
        """Start this request's optional work, if it has any for this lane and the calendar allows; True if started."""
        if flight.job is not None:
            return False
        if flight.arm is not None and flight.primary is Primary.WAITING:
            step = flight.arm.steps[flight.step]
            if flight.plan is not None and flight.plan.lane != self.lane and not isinstance(step, GateStep):
                if step.lane == self.lane:  # its reserve's lane could not call it back from here in time
                    self.stranded.append(flight)
                return False
            if isinstance(step, RunStep) and step.model in self.models:
                return self._start_head(flight, step, flights, now_ns)
            return (
                isinstance(step, CrossStep) and step.lane == self.lane and self._encode(flight, step, flights, now_ns)
            )
        if flight.plan is None or not self._waits(flight) or self._counts(flight, now_ns):
            return False
        longest = flight.plan.model.segment_longest_ns(flight.plan.first)
        allowed = self._may_block(self._reservations(flights, now_ns), longest, now_ns)
        return allowed and self._start_plan(flight, Reason.NOTHING_FITS, now_ns)

    def _wants(self, flight: Flight) -> bool:
        """Whether the request would rather have the lane now than later."""
        waits = flight.primary is Primary.WAITING or (flight.eager is not None and self._waits(flight))
        return waits and flight.job is None

    def _start_audit(self, flight: Flight, flights: list[Flight], now_ns: int) -> bool:
        """Run what the remote answer is compared with; True if started."""
        audit = flight.audit
        if audit is None or audit.first is None or audit.model.lane != self.lane or flight.job is not None:
            return False
        model, longest = audit.model, audit.model.segment_longest_ns(audit.first)
        if not self._may_block(self._reservations(flights, now_ns), longest, now_ns):
            return False
        part = (audit.first, model.last)
        job = self._start(flight, None, model.name, part, model.tail_bound_ns[audit.first], longest, now_ns)
        self._actions.append(r.Run(self.lane, job, flight.request, model.name, *part))
        return True

    def _start_head(self, flight: Flight, step: RunStep, flights: list[Flight], now_ns: int) -> bool:
        first = max(step.first, flight.joints.get(step.model, -1) + 1)
        bounds = self.models[step.model].segment_bound_ns[first : step.last + 1]
        if not self._may_block(self._reservations(flights, now_ns), max(bounds), now_ns):
            return False
        job = self._start(flight, step, step.model, (first, step.last), sum(bounds), max(bounds), now_ns)
        self._actions.append(r.Run(self.lane, job, flight.request, step.model, first, step.last))
        return True

    def _encode(self, flight: Flight, step: CrossStep, flights: list[Flight], now_ns: int) -> bool:
        assert flight.arm is not None
        model, joint = flight.arm.sends(flight.step)
        if joint >= 0 and not holder(self._every, model, joint, flight.joints):
            self.stranded.append(flight)  # the reserve went on past this joint: what should cross is no longer kept
            return False
        if not self._may_block(self._reservations(flights, now_ns), step.encode_bound_ns, now_ns):
            return False
        job = self._start(flight, step, model, (0, 0), step.encode_bound_ns, step.encode_bound_ns, now_ns)
        self._actions.append(r.Encode(self.lane, job, flight.request, model, joint, step.codec))
        return True

    def _start(
        self, flight: Flight, step: RunStep | CrossStep | None, model: str, part: tuple[int, int], bound_ns: int,
        segment_ns: int, now_ns: int,
    ) -> int:  # fmt: skip
        """Take the lane for a plan (`step` None) or a step; `part`: first and last segment. Returns the job's number."""
        self._jobs += 1
        # a head of the reserve's own model is a part of the reserve
        ahead = isinstance(step, RunStep) and flight.plan is not None and flight.plan.model.name == model
        mandatory = not flight.closed and self._counts(flight, now_ns) and (step is None or ahead)
        job = Job(self._jobs, flight, self.lane, step, model, *part, now_ns, bound_ns, segment_ns, mandatory)
        self.running = flight.job = job
        if step is not None:
            flight.primary = Primary.ON_LANE
        return job.job

    def _give_way(self, job: Job, flights: list[Flight], now_ns: int) -> None:
        """Preempt the running job at its next joint if waiting work with an earlier claim would else start late."""
        waiting = self._waiting(flights, now_ns)
        if job.mandatory:
            sure = job.flight.guaranteed  # what is only likely gives way to all that is promised
            waiting = [each for each in waiting if each.due_ns < job.flight.due_ns or each.guaranteed > sure]
        elif job.flight.plan is not None and self._counts(job.flight, now_ns):
            waiting.append(job.flight)  # what is only tried may not use up its own reserve's time either
        start: int | None = None
        promised = self._reservations(waiting, now_ns) if waiting else []
        if promised:
            start = latest_free(promised, self._coming, blocking_ns=self._longest_ns, now_ns=now_ns)
        if job.flight.closed and any(map(self._wants, flights)):
            start = now_ns
        if start is None:
            return
        turn = start - job.segment_ns - 2 * self._margins.timer_ns  # the wake-up may be late, and then the hand-over
        if now_ns >= turn or (not job.mandatory and any(each.eager for each in waiting if each is not job.flight)):
            job.preempting, job.stopped_ns = True, now_ns
            self._actions.append(r.Preempt(self.lane, job.job))
        else:
            self.wake_ns = turn

    def cancel(self, flight: Flight, now_ns: int) -> None:
        """The request needs the lane no more: end its job."""
        job = flight.job
        if job is not None and job.lane == self.lane and not job.cancelling:
            job.cancelling, job.stopped_ns = True, now_ns
            self._actions.append(r.Cancel(self.lane, job.job))

    def finished(self, job_number: int) -> Job | None:
        """The lane is free again; None if it was not this job that ran."""
        job = self.running
        if job is None or job.job != job_number:
            return None
        self.running = job.flight.job = None
        return job
