"""The one door: `step` takes an event and a moment, and gives records (what was decided, why) and actions (what to do).

The rules it keeps:

1. Every request that arrives is delivered exactly once, whatever the network does.
2. A safety or mission request gets a reserve: a local plan that fits, together with all others in flight, from as late
   as it may start. An arm whose reserve does not fit is not chosen.
3. The reserve starts when the calendar says so, or at once when there is nothing left to wait for.
4. The remote answer is delivered (mission), attached as advice (safety) or, when it comes too late, only learned from.
5. Time is an argument and never runs back; nothing grows past its limit.
"""

from collections.abc import Iterable, Mapping
from typing import assert_never

from hedgerow.core import records as r
from hedgerow.core.arbitrating import Arbitrating
from hedgerow.core.arbitration import Arbitration
from hedgerow.core.arms import ArmTable, CrossStep
from hedgerow.core.audit import Audits
from hedgerow.core.breaker import Signal
from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.certificate import Certificate, Governor
from hedgerow.core.choosing import Choosing
from hedgerow.core.desk import Desk
from hedgerow.core.flight import NEVER_NS, Flight, Job, Primary, Rules
from hedgerow.core.link import Link
from hedgerow.core.modes import Modes
from hedgerow.core.policies import Choice, Learns, Policy
from hedgerow.core.records import Criticality, Reason, Source, Status
from hedgerow.core.reserves import Reserves
from hedgerow.core.reuse import Reuse
from hedgerow.core.sending import Sending
from hedgerow.core.watching import Watch
from hedgerow.errors import UsageError


class Core:
    """Decides for one device. `table` is what can be done; all other settings have measured or modest defaults."""

    def __init__(
        self, table: ArmTable, *, policy: Policy, streams: Iterable[r.Stream] = (), limits: r.Limits | None = None,
        margins: r.Margins | None = None, prices: r.Prices | None = None, budgets: BudgetSettings | None = None,
        certificate: Certificate | None = None, arbitration: Arbitration | None = None,
    ) -> None:  # fmt: skip
        self.table, self.policy = table, policy
        self.limits, self.margins = limits or r.Limits(), margins or r.Margins()
        self.prices = prices or r.Prices()
        if len(table.arms) > self.limits.arms_max:
            raise UsageError(f"{len(table.arms)} arms are more than the limit of {self.limits.arms_max}")
        self._records: list[r.Record] = []
        self._actions: list[r.Action] = []
        self._now_ns = 0
        self._wake_ns: int | None = None
        self._clocks_ns = NEVER_NS  # when `_look_at_clocks` has something to do
        self._flights: dict[int, Flight] = {}
        self._last_request = -1
        self._rules = Rules(self.margins, policy.uses_reserve, self.limits.unanswered_wait_ns)
        self._budgets = Budgets(budgets or BudgetSettings())
        out = (self._records, self._actions)
        links = sorted({arm.crossing.link for arm in table.arms if arm.crossing is not None})
        learn = policy.learn if isinstance(policy, Learns) else None
        self._links = {name: Link(name, self.limits, *out, learn, place) for place, name in enumerate(links)}
        lanes = sorted({model.lane for model in table.locals})
        self._desks = {lane: Desk(lane, table.locals, self.margins, *out) for lane in lanes}
        whole = tuple(
            model for model in table.locals if not model.trunk and policy.uses_reserve
        )  # an exit is a poor judge
        self._audits = Audits(self.limits, whole, self._links, *out)
        self._choosing = Choosing(table, self.limits, self.prices, self._links, self._desks, self.margins.timer_ns)
        self._modes = Modes(table, self.limits, certificate, self._records)
        self._reserves = Reserves(table, self.prices, self._budgets, self._modes, self._flights, self._desks)
        self._sending = Sending(
            table, self.limits, self.margins, self._budgets, self._links, *out, uses_reserve=policy.uses_reserve
        )
        self._watch = Watch(table, self._desks, self._modes.governor, self._records)
        self._reuse = Reuse(self._links, self._records)
        self._in_force = self._modes.mode
        self._arbiter = Arbitrating(arbitration, self.limits, self._records)
        for stream in (*streams, *(certificate.streams if certificate else ())):
            self._open_stream(stream)

    def step(self, event: r.Event, *, now_ns: int) -> r.Outcome:
        """Take one event at `now_ns` (never less than before: UsageError); returns what was decided and what to do."""
        if now_ns < self._now_ns:
            raise UsageError(f"time ran back from {self._now_ns} to {now_ns} ns")
        self._now_ns, records, actions = now_ns, self._records, self._actions
        records.clear()
        actions.clear()
        self._take(event)  # what it refuses has changed nothing but the time
        if self._wake_ns and now_ns > self._wake_ns:
            self._watch.compare(-1, "timer", now_ns - self._wake_ns, self.margins.timer_ns, self._now_ns)
        self._look_at_clocks()
        if self._modes.governor is not None:
            self._look_at_modes(self._modes.governor)
        flights = self._flights.values()
        for desk in self._desks.values():
            desk.dispatch(flights, now_ns)
            if desk.stranded:
                self._end_stranded(desk)
        self._wake_ns = self._next_wake_ns()
        return r.Outcome(tuple(records), tuple(actions))

    def next_wakeup_ns(self) -> int | None:
        """The moment at which `TimerFired` must come, or None; the only timer there is."""
        return self._wake_ns

    @property
    def in_flight(self) -> int:
        """Requests of which something is still under way."""
        return len(self._flights)

    @property
    def mode(self) -> str:
        """The certificate's mode that is in force and proven; empty without one."""
        return self._modes.proven

    def _next_wake_ns(self) -> int | None:
        wake = self._clocks_ns
        for desk in self._desks.values():
            if desk.wake_ns is not None and desk.wake_ns < wake:
                wake = desk.wake_ns
        if self._modes.governor is not None:
            due = self._modes.governor.due_ns()
            wake = due if due is not None and due < wake else wake
        return None if wake == NEVER_NS else wake

    def _next_clock_ns(self) -> int:
        """The first moment at which a link or a request wants to be looked at although nothing happens."""
        first = NEVER_NS
        for flight in self._flights.values():
            if flight.look_ns < first:
                first = flight.look_ns
        for link in self._links.values():
            moment = link.look_ns()
            if moment is not None and moment < first:
                first = moment
        return first

    def _end_stranded(self, desk: Desk) -> None:
        """End the arms that cannot go on at this desk; then every desk looks again."""
        while desk.stranded:
            self._primary_ended(desk.stranded.pop())
            for each in self._desks.values():  # its reserve may be another lane's
                each.dispatch(self._flights.values(), self._now_ns)
        self._clocks_ns = self._next_clock_ns()

    def _take(self, event: r.Event) -> None:
        match event:
            case r.RequestArrived():
                self._arrive(event)
            case r.RunDone() | r.EncodeDone() | r.JobEnded():
                self._from_lane(event)
            case r.ChunkAcked() | r.AnswerArrived() | r.RemoteFailed():
                self._from_afar(event)
            case r.TimerFired():
                pass  # its moment is looked at whatever comes first
            case r.RequestWithdrawn():
                if event.request in self._flights:
                    self._deliver(self._flights[event.request], Status.DROPPED, Source.NONE, Reason.WITHDRAWN)
            case r.ProbeAnswered() | r.ProbeLost():
                if not any(link.probed(event, self._now_ns) for link in self._links.values()):
                    self._records.append(r.Ignored(type(event).__name__, -1))
            case r.LinkUp():
                self._link(event.link).up(self._now_ns)
            case r.LinkDown():
                self._link(event.link).signal(Signal.DOWN, self._now_ns)
            case r.Compared():
                for flight in self._audits.compared(event):
                    self._forget_if_done(flight)
            case r.TrustRestored():
                self._audits.restore(self._link(event.link))
            case r.CloudReport():
                self._link(event.link).belief.set_queue(event.queue_ns)
            case r.BatteryLevel():
                self._budgets.battery_fraction = event.fraction
            case r.Temperature():
                self._budgets.celsius = event.celsius
                self._modes.temperature(event.celsius, self._now_ns)
            case r.Throttled():
                self._modes.throttled(event.share, self._now_ns)
            case r.DeliveryTook():
                self._watch.compare(event.request, "delivery", event.duration_ns, self.margins.deliver_ns, self._now_ns)
                if event.late and self._modes.governor is not None:
                    how = f"request {event.request} was handed over too late"
                    self._modes.governor.broken(how, self._now_ns, event.captured_ns)
            case r.StreamOpened():
                self._open_stream(event.stream)
            case _:
                assert_never(event)

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise UsageError(f"no link '{name}'; there are: {', '.join(self._links) or 'none'}")
        return self._links[name]

    def _open_stream(self, stream: r.Stream) -> None:
        self._modes.open(stream)
        self._take_up_mode()

    def _take_up_mode(self) -> None:
        """Let the desks and the choice of arms follow what the streams may count on now."""
        mode = self._in_force = self._modes.mode
        for lane, desk in self._desks.items():
            desk.expect(self._modes.expected(), None if mode is None else mode.blocking_ns(lane))
        if mode is not None:
            self._choosing.admit(mode)

    def _look_at_modes(self, governor: Governor) -> None:
        """Take the step between modes that is due; after one, what waits gets a reserve that the new mode allows."""
        governor.look(self._now_ns)
        if governor.mode is self._in_force:
            return
        self._take_up_mode()
        self._reuse.forget()
        for flight in list(self._flights.values()):
            allowed = self._modes.reserves(flight.stream.name)
            if flight.plan is None or flight.started or flight.job is not None or flight.plan.model in allowed:
                continue
            allowed_now = [] if flight.result else self._reserves.allowed(flight)
            flight.plan = min(allowed_now, key=lambda each: each.bound_ns, default=None)
            name = flight.plan.name if flight.plan else ""
            self._records.append(r.ReserveChosen(flight.request, name, Reason.MODE_CHANGED, 0))
            if flight.plan is None:
                (self._settle if flight.remote_pending else self._primary_ended)(flight)
        self._clocks_ns = self._next_clock_ns()

    def _arrive(self, event: r.RequestArrived) -> None:
        stream = self._modes.streams.get(event.stream)
        if stream is None:
            raise UsageError(f"no stream '{event.stream}'; open it first")
        if event.request <= self._last_request:
            raise UsageError(f"request {event.request} is not newer than {self._last_request}")
        if event.captured_ns > self._now_ns:
            raise UsageError("a sample cannot be captured after it arrives: captured_ns is in the future")
        self._last_request = event.request
        deadline = event.captured_ns + (stream.deadline_ns if event.deadline_ns is None else event.deadline_ns)
        flight = Flight(event.request, stream, event.captured_ns, deadline, deadline - self.margins.before(stream))
        flight.wind(self._rules)
        self._arbiter.arrived(flight, event)
        for what, measured_ns, bound_ns in self._modes.assumptions(event, self._now_ns) if self._modes.governor else ():
            self._watch.compare(event.request, what, measured_ns, bound_ns, self._now_ns)
        taken, flight.promised = self._modes.arrived(event, self._now_ns), self._modes.promises(stream)
        self._flights[event.request] = flight
        for desk in self._desks.values() if taken else ():
            desk.arrived(stream.name, self._now_ns)
        if taken and self._reuse.take_up(event, flight, self._now_ns):
            self._deliver(flight, Status.ANSWERED, Source.REUSED, Reason.SCENE_UNCHANGED)
            return
        full = len(self._flights) - len(self._audits.flights) > self.limits.requests_in_flight_max
        others = self._flights.values() if full and taken and not flight.background else ()
        yields = next((each for each in others if each.may_yield), None)
        if yields is not None:
            self._deliver(yields, Status.SPOOLED, Source.NONE, Reason.LIMIT_REACHED)
        if not taken or (full and yields is None):
            self._end_without(flight, Reason.LIMIT_REACHED if taken else Reason.LOWER_RATE, Status.DROPPED)
        else:
            self._decide(flight)

    def _decide(self, flight: Flight) -> None:
        """Choose the reserve, then the arm; both are noted with their reasons."""
        now = self._now_ns
        for link in self._links.values():
            link.wanted_ns = now
        self._budgets.fill(now)
        fits: dict[str, int] = {}
        if self.policy.uses_reserve and not flight.background:
            fits = self._make_room(flight)
            flight.plan = self._reserves.held(flight, fits, now)
            if flight.plan is None:
                plans = self._reserves.allowed(flight)
                flight.guaranteed = not plans
                flight.plan = min(plans, key=lambda plan: plan.bound_ns, default=None)
        own_start = fits.get(flight.plan.model.name) if flight.plan else None
        if flight.plan is not None and own_start is None and now + flight.plan.likely_ns <= flight.due_ns:
            own_start = flight.due_ns - flight.plan.likely_ns  # unproven, yet likely: then it is not put off at all
            flight.eager, flight.likely = Reason.NOTHING_FITS, True
        allowed = self._modes.allowance(flight.stream.name).reserves
        view = self._choosing.view(flight, allowed, fits, own_start, self._budgets, now, len(self._flights) - 1)
        if not self.policy.uses_reserve:
            view.admissible = self.table.is_remote
        choice = self.policy.choose(view)
        self._begin(flight, choice, fits)
        self._records.append(self._choosing.decision(flight, choice, view, own_start, now))
        if flight.plan is not None:
            reason, latest = flight.eager or Reason.LATEST_START, 0 if flight.eager or own_start is None else own_start
            self._records.append(r.ReserveChosen(flight.request, flight.plan.name, reason, latest))
        elif flight.primary is Primary.NONE:
            self._give_up(flight)

    def _make_room(self, flight: Flight) -> dict[str, int]:
        """The latest start for this request of each local model that fits.

        When nothing fits, older unstarted requests of the same stream that only wait for the lane give way: the newest
        sample wins, and each that is dropped is told.
        """
        others = [each for each in self._flights.values() if each is not flight]
        fits = self._reserves.starts(flight, others, self._now_ns)
        if fits:
            return fits
        older = [each for each in others if each.stream.name == flight.stream.name and each.only_waits]
        kept = [each for each in others if each not in older]
        if not older or not self._reserves.starts(flight, kept, self._now_ns):
            return fits  # it would not fit even if they all made room
        while older and not fits:  # what is dropped may end the mode, and with it the reserves that were allowed
            self._deliver(older.pop(0), Status.DROPPED, Source.NONE, Reason.NEWER_SAMPLE)
            fits = self._reserves.starts(flight, others, self._now_ns)
        return fits

    def _begin(self, flight: Flight, choice: Choice | None, fits: Mapping[str, int]) -> None:
        """Set the flight on its way along the chosen arm; a whole local run that fits is the local plan, started at once.

        One that does not fit by its bounds is only tried, like any other arm, while the reserve waits behind it.
        """
        if choice is not None:
            arm, whole = self.table.arms[choice.arm], self._choosing.whole.get(choice.arm)
            flight.arm_name, flight.decided = arm.name, choice.reason
            flight.column, flight.decided_ns = choice.arm, self._now_ns
            if whole is None or whole.name not in fits:
                flight.arm = arm
                flight.advance()
            else:
                flight.plan, flight.eager = self._reserves.whole(whole), Reason.LOCAL_CHOSEN
        elif flight.plan is not None:
            flight.plan = self._reserves.best(flight, flight.plan, self._now_ns)
            flight.arm_name, flight.eager = flight.plan.name, Reason.LOCAL_CHOSEN
            closed = self._links and not any(link.open_for_requests for link in self._links.values())
            flight.decided = Reason.LINK_CLOSED if closed else Reason.ONLY_LOCAL_ADMISSIBLE
        elif flight.stream.has_safe_value and not flight.background:
            flight.decided = Reason.SAFE_VALUE_ONLY
        if not flight.guaranteed:
            flight.decided = Reason.NOTHING_FITS
        if flight.stream.criticality is Criticality.SAFETY:
            flight.eager = Reason.SAFETY_CLASS

    def _from_lane(self, event: r.RunDone | r.EncodeDone | r.JobEnded) -> None:
        """A job has ended: free its lane, learn from it and go on. Ignored if it was not this job that ran."""
        job = self._desks[event.lane].finished(event.job)
        if job is None:
            self._records.append(r.Ignored(type(event).__name__, -1))
            return
        flight, busy_ns = job.flight, self._now_ns - job.started_ns
        if job.cancelling:
            self._watch.compare(
                flight.request, "cancellation", self._now_ns - job.stopped_ns, self.margins.cancel_ns, self._now_ns
            )
        if isinstance(event, r.RunDone):
            busy_ns = sum(event.segment_ns)
            self._watch.ran(job, event, self._now_ns)
        elif isinstance(event, r.EncodeDone):
            busy_ns = event.duration_ns
            self._watch.compare(flight.request, "encode", busy_ns, job.bound_ns, self._now_ns)
        energy_mj = self.table.energy.busy_mj(busy_ns)
        flight.energy_mj += energy_mj
        self._budgets.spend(energy_mj=energy_mj)
        if flight.closed:
            self._audits.ran(job, event)
            self._forget_if_done(flight)
        elif isinstance(event, r.RunDone):
            self._run_done(job, event)
        elif isinstance(event, r.EncodeDone):
            if isinstance(job.step, CrossStep) and flight.primary is Primary.ON_LANE:
                self._send(flight, job.step, event.payload_bytes)
        elif job.step is not None:  # it brought no result: it was cancelled, or the engine failed
            self._primary_ended(flight)
        elif event.failure is not None:
            self._plan_failed(flight, job.model)

    def _run_done(self, job: Job, event: r.RunDone) -> None:
        flight, model = job.flight, self.table.local(job.model)
        for name, joint in self.table.left_by(job.model, event.last):
            flight.joints[name] = max(flight.joints.get(name, -1), joint)
        if event.last == model.last:
            flight.sure[job.model] = event.confidence
            if flight.takes(model):
                flight.result = model
            self._arbiter.saw(flight, model.name, event.view)
            flight.wind(self._rules)
        else:
            self._replan(flight)
        if flight.primary is Primary.WAITING or (flight.primary is Primary.ON_LANE and job.step is not None):
            flight.advance()  # the reserve may have done a waiting arm's next steps as well
        if event.last == model.last:
            if flight.keeps_plan(model, self._now_ns):
                self._replan(flight)
            else:
                flight.plan = None  # a local answer stands: the reserve has done its work, what may follow is optional
        self._settle(flight)

    def _replan(self, flight: Flight) -> None:
        """At a joint: go on from the retained tensors if that is the cheaper insurance now."""
        best = None if flight.plan is None else self._reserves.at_joint(flight, flight.plan)
        if best is not None and best != flight.plan:
            flight.plan = best
            self._records.append(r.ReserveChosen(flight.request, best.name, Reason.CHEAPER_FROM_JOINT, 0))

    def _send(self, flight: Flight, step: CrossStep, size: int) -> None:
        given_up = self._sending.send(flight, step, size, self._now_ns)
        waiting = self._crossing(given_up.request, given_up.attempt) if given_up else None
        if waiting is not None:
            self._primary_ended(waiting)

    def _from_afar(self, event: r.ChunkAcked | r.AnswerArrived | r.RemoteFailed) -> None:
        """Its link learns, then what waits for it goes on. Ignored if the attempt is over (late, duplicate, unknown)."""
        attempt, now, link = (event.request, event.attempt), self._now_ns, None
        for each in self._links.values():
            if attempt in each.attempts:
                link = each
                break
        flight = self._crossing(*attempt)
        if link is None:
            self._records.append(r.Ignored(type(event).__name__, event.request))
        elif isinstance(event, r.ChunkAcked):
            link.acked(*attempt, event.bytes_received, now_ns=now)
        elif isinstance(event, r.AnswerArrived):
            cloud_ns, part_bytes = event.decode_ns + event.compute_ns, event.prefix_bytes
            link.answered(*attempt, queue_ns=event.queue_ns, cloud_ns=cloud_ns, now_ns=now, part_bytes=part_bytes)
            if flight is not None and link.trusted and self._sending.accepts(flight, event):
                self._arbiter.heard(flight, event.view)
                self._answered(flight)
            elif flight is not None:
                self._primary_ended(flight)
        else:
            link.failed(*attempt, fault=event.fault, link_at_fault=event.link_at_fault, now_ns=now)
            if flight is not None:
                self._primary_ended(flight)

    def _crossing(self, request: int, attempt: int) -> Flight | None:
        """The flight that waits for this very attempt."""
        flight = self._flights.get(request)
        waits = flight is not None and flight.attempt == attempt and flight.primary is Primary.CROSSING
        return flight if waits else None

    def _answered(self, flight: Flight) -> None:
        flight.primary = Primary.ENDED
        if flight.closed:
            self._actions.append(r.Advise(flight.request))
            self._audits.consider(flight, self._now_ns)
            self._forget_if_done(flight)
        elif flight.has_own and self.policy.uses_reserve:
            flight.advised = True
        else:
            self._deliver(flight, flight.status_at(self._now_ns), Source.REMOTE, Reason.REMOTE_IN_TIME)

    def _primary_ended(self, flight: Flight) -> None:
        """The arm brings no answer any more: nothing is left to wait for."""
        flight.primary = Primary.ENDED
        if flight.closed:
            self._forget_if_done(flight)
        elif flight.plan is not None:
            flight.eager = flight.eager or Reason.REMOTE_FAILED
            better = flight.plan if flight.result else self._reserves.best(flight, flight.plan, self._now_ns)
            if better != flight.plan:
                flight.plan = better
                self._records.append(r.ReserveChosen(flight.request, better.name, Reason.REMOTE_FAILED, 0))
        elif flight.result is not None:
            self._settle(flight)
        else:
            self._give_up(flight)

    def _give_up(self, flight: Flight) -> None:
        """No arm is left: background waits for another try, everything else ends here, with its safe value if it has one."""
        if flight.background:
            flight.primary, flight.arm, flight.arm_name, flight.step = Primary.NONE, None, "", 0
            flight.joints.clear()  # the next arm begins at the sample
            flight.refused = ""
            flight.retry_ns = self._now_ns + self.limits.retry_background_ns
            flight.wind(self._rules)
        else:
            reason = flight.decided if flight.decided is Reason.SAFE_VALUE_ONLY else Reason.REMOTE_FAILED
            self._end_without(flight, reason)

    def _end_without(self, flight: Flight, reason: Reason, otherwise: Status = Status.FAILED) -> None:
        """End now without a model's answer: with the safe value, or with nothing."""
        kind = (Status.SAFE_VALUE, Source.SAFE_VALUE) if flight.stream.has_safe_value else (otherwise, Source.NONE)
        self._deliver(flight, *kind, reason)

    def _plan_failed(self, flight: Flight, model: str) -> None:
        """The engine failed in the reserve: take another model's, or wait for the remote answer, or end."""
        flight.failed.add(model)
        others = [each for each in self._reserves.allowed(flight) if each.model.name not in flight.failed]
        others = [each for each in others if flight.surpassed_by(each.model)]
        fitting = [each for each in others if self._now_ns + each.bound_ns <= flight.due_ns]
        flight.plan = self._reserves.cheapest(fitting) or (others[0] if others and not flight.result else None)
        if flight.plan is not None:
            flight.eager, flight.guaranteed = Reason.ENGINE_FAILED, bool(fitting)
            flight.likely = self._now_ns + flight.plan.likely_ns <= flight.due_ns
            self._records.append(r.ReserveChosen(flight.request, flight.plan.name, Reason.ENGINE_FAILED, 0))
        elif flight.result is not None:
            self._settle(flight)
        elif flight.advised and not flight.stream.has_safe_value:  # what the cloud said is all there is
            self._deliver(flight, flight.status_at(self._now_ns), Source.REMOTE, Reason.ENGINE_FAILED)
        elif not flight.remote_pending:
            self._end_without(flight, Reason.ENGINE_FAILED)

    def _look_at_clocks(self) -> None:
        """Take up what is due by now, and note when to look again."""
        self._clocks_ns = self._next_clock_ns()
        if self._now_ns >= self._clocks_ns:
            self._take_up_clocks()
            self._clocks_ns = self._next_clock_ns()
            return
        for link in self._links.values():
            if not link.open_for_requests:
                self._stop_waiting_for(link)

    def _take_up_clocks(self) -> None:
        """Everything that is due by now: lost attempts, holds that end, safe values, retries, probes."""
        now = self._now_ns
        for link in self._links.values():
            for attempt in link.lose_silent(now):
                self._actions.append(r.StopSending(attempt.request, attempt.attempt))
                flight = self._crossing(attempt.request, attempt.attempt)
                if flight is not None:
                    self._primary_ended(flight)
            if not link.open_for_requests:
                self._stop_waiting_for(link)
            self._budgets.spend(uplink_bytes=link.probe_if_due(now))
        for flight in self._audits.expired(now):
            for desk in self._desks.values():
                desk.cancel(flight, now)
            self._forget_if_done(flight)
        for flight in list(self._flights.values()):
            if now >= flight.ends_ns:
                self._deliver(flight, *flight.ending(now))
            elif flight.retry_ns is not None and now >= flight.retry_ns:
                flight.retry_ns = None
                flight.wind(self._rules)
                self._decide(flight)

    def _stop_waiting_for(self, link: Link) -> None:
        """Dead or distrusted: reserves of what still waits for it need not be put off, and a liar's advice is none."""
        for flight in self._flights.values():
            arm = flight.arm
            if arm is not None and arm.crossing is not None and arm.crossing.link == link.name:
                flight.advised = flight.advised and link.trusted
                if flight.remote_pending and flight.plan is not None:
                    flight.eager = flight.eager or Reason.LINK_CLOSED

    def _settle(self, flight: Flight) -> None:
        """Deliver the local answer if there is nothing better to wait for.

        Behind a gate of a local arm comes the device's own better answer: even a safety request waits for it, until its hold ends.
        """
        if flight.closed or flight.result is None or flight.plan is not None:
            return  # with a plan held beside a refused answer, that plan's is the better one
        arm, waits = flight.arm, flight.remote_pending
        if waits and arm is not None and arm.refines:
            waits = flight.improves(self.table.local(arm.model))
        elif flight.stream.criticality is Criticality.SAFETY:
            waits = False
        if not waits:
            reason = flight.decided if flight.decided is Reason.CONFIDENT_AT_GATE else Reason.LOCAL_DONE
            self._deliver(flight, flight.status_at(self._now_ns), Source.LOCAL, reason)

    def _deliver(self, flight: Flight, status: Status, source: Source, reason: Reason) -> None:
        """End the request towards its caller, exactly once, and stop what it still had under way."""
        if flight.closed:
            return
        flight.closed, flight.plan, flight.retry_ns = True, None, None
        heard = source is Source.REMOTE or flight.advised
        source, reason = self._arbiter.settle(flight, source, reason)
        model = flight.answered_by(source)
        self._modes.ended(flight, status, reason, self._now_ns)
        age, energy = (self._now_ns - flight.captured_ns) / 1e6, round(flight.energy_mj, 4)
        request, arm = flight.request, flight.arm_name
        self._records.append(r.Delivered(request, status, source, arm, reason, age, energy, flight.uplink_bytes))
        beside = (flight.advised, flight.promised, self._reuse.ended(flight, status, source, reason, model))
        self._actions.append(r.Deliver(request, status, source, arm, model, reason, *beside))
        for desk in self._desks.values():
            desk.cancel(flight, self._now_ns)
        if flight.primary is Primary.CROSSING and status in (Status.DROPPED, Status.SPOOLED):
            self._actions.append(r.StopSending(flight.request, flight.attempt))
        advisable = flight.stream.criticality is Criticality.SAFETY and source is Source.LOCAL
        if flight.primary is not Primary.CROSSING or not advisable:
            flight.primary = Primary.ENDED
        if heard:
            self._audits.consider(flight, self._now_ns)
        self._forget_if_done(flight)

    def _forget_if_done(self, flight: Flight) -> None:
        """Let go of a closed request once no lane and no crossing works for it."""
        if not flight.closed or flight.job or flight.audit or flight.primary is Primary.CROSSING:
            flight.wind(self._rules)  # it was closed, or an audit began or ended
        elif self._flights.pop(flight.request, None) is not None:
            self._actions.append(r.Forget(flight.request))
