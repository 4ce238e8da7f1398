"""The one door: `step` takes an event and a moment, and gives records (what was decided, why) and actions (what to do).

The rules it keeps:

1. Every request that arrives is delivered exactly once, whatever the network does.
2. A safety or mission request gets a reserve: a local plan that fits, together with all others in flight, from as late as it
   may start. An arm whose reserve does not fit is not chosen.
3. The reserve starts when the calendar says so, or at once when there is nothing left to wait for.
4. The remote answer is delivered (mission), attached as advice (safety) or, when it comes too late, only learned from.
5. Time is an argument and never runs back; nothing grows past its limit.
"""

from collections.abc import Iterable
from typing import assert_never

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, CrossStep, Flags, Floats, GateStep, LocalModel, RunStep
from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Job, Plan, Primary
from hedgerow.core.lanes import Forecast, sustainable
from hedgerow.core.link import Attempt, Link
from hedgerow.core.policies import Choice, Policy, View
from hedgerow.core.records import Criticality, Reason, Source, Status
from hedgerow.errors import UsageError


class Core:
    """Decides for one device. `table` is what can be done; all other settings have measured or modest defaults."""

    def __init__(
        self,
        table: ArmTable,
        *,
        policy: Policy,
        streams: Iterable[r.Stream] = (),
        limits: r.Limits | None = None,
        margins: r.Margins | None = None,
        prices: r.Prices | None = None,
        budgets: BudgetSettings | None = None,
    ) -> None:
        self.table, self.policy = table, policy
        self.limits = limits or r.Limits()
        self.margins = margins or r.Margins()
        self.prices = prices or r.Prices()
        if len(table.arms) > self.limits.arms_max:
            raise UsageError(f"{len(table.arms)} arms are more than the limit of {self.limits.arms_max}")
        self._records: list[r.Record] = []
        self._actions: list[r.Action] = []
        self._now_ns = 0
        self._streams: dict[str, r.Stream] = {}
        self._last_arrival_ns: dict[str, int] = {}
        self._flights: dict[int, Flight] = {}
        self._budgets = Budgets(budgets or BudgetSettings())
        out = (self._records, self._actions)
        links = sorted({arm.crossing.link for arm in table.arms if arm.crossing is not None})
        self._links = {name: Link(name, self.limits, *out) for name in links}
        lanes = sorted({model.lane for model in table.locals})
        self._desks = {lane: Desk(lane, table.locals, self.margins, self.limits, *out) for lane in lanes}
        self._last_request = -1
        self._compile()
        for stream in streams:
            self._open_stream(stream)

    def _compile(self) -> None:
        """Which arms are whole local runs (their local plan is the arm), and which link each needs."""
        table = self.table
        self._whole: dict[int, LocalModel] = {}
        for column, arm in enumerate(table.arms):
            first = arm.steps[0]
            if len(arm.steps) == 1 and isinstance(first, RunStep) and first.tier == "device":
                model = table.local(first.model)
                if first.first == 0 and first.last == model.last:
                    self._whole[column] = model
        self._needs: dict[str, Flags] = {
            name: np.array([arm.crossing is not None and arm.crossing.link == name for arm in table.arms])
            for name in self._links
        }
        samples = self.limits.belief_samples_max
        self._latency: Floats = np.zeros((samples, len(table.arms)))
        self._term: Floats = np.zeros((samples, len(table.arms)))

    # --------------------------------------------------------------------------------------------------------- the door

    def step(self, event: r.Event, *, now_ns: int) -> r.Outcome:
        """Take one event at `now_ns` (never less than before: UsageError); returns what was decided and what to do."""
        if now_ns < self._now_ns:
            raise UsageError(f"time ran back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        self._records.clear()
        self._actions.clear()
        self._take(event)
        self._look_at_clocks()
        for desk in self._desks.values():
            desk.dispatch(self._flights.values(), now_ns)
        return r.Outcome(tuple(self._records), tuple(self._actions))

    def next_wakeup_ns(self) -> int | None:
        """The moment at which `TimerFired` must come, or None; the only timer there is."""
        moments = [desk.wake_ns() for desk in self._desks.values()]
        moments += [link.probe_due_ns() for link in self._links.values()]
        moments += [attempt.lost_at_ns for link in self._links.values() for attempt in link.attempts.values()]
        moments += [self._flight_wake_ns(flight) for flight in self._flights.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def _take(self, event: r.Event) -> None:
        match event:
            case r.RequestArrived():
                self._arrive(event)
            case r.RunDone():
                self._run_done(event)
            case r.EncodeDone():
                self._encode_done(event)
            case r.AnswerArrived():
                self._answer(event)
            case r.ChunkAcked():
                self._acked(event)
            case r.RemoteFailed():
                self._remote_failed(event)
            case r.TimerFired():
                pass
            case r.RunCancelled():
                self._job_gone(event.lane, event.job, None)
            case r.RunFailed():
                self._job_gone(event.lane, event.job, event.message)
            case r.RequestWithdrawn():
                self._withdraw(event.request)
            case r.ProbeAnswered() | r.ProbeLost():
                self._probe_event(event)
            case r.LinkUp():
                self._link(event.link).wanted(self._now_ns)
            case r.LinkDown():
                self._link(event.link).down(self._now_ns)
            case r.CloudReport():
                self._link(event.link).belief.set_queue(event.queue_ns)
            case r.BatteryLevel():
                self._budgets.battery(event.fraction)
            case r.Temperature():
                self._budgets.temperature(event.celsius)
            case r.StreamOpened():
                self._open_stream(event.stream)
            case _:
                assert_never(event)

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise UsageError(f"no link '{name}'; there are: {', '.join(self._links) or 'none'}")
        return self._links[name]

    # ---------------------------------------------------------------------------------------------------------- streams

    def _open_stream(self, stream: r.Stream) -> None:
        if stream.name not in self._streams and len(self._streams) >= self.limits.streams_max:
            raise UsageError(f"more than {self.limits.streams_max} streams")
        self._streams[stream.name] = stream
        self._forecast()

    def _forecast(self) -> None:
        """Room for the requests that the streams may send next; none where the lane could not keep up with them anyway."""
        for desk in self._desks.values():
            bound = min(model.tail_bound_ns[0] for model in desk.models)
            longest = max(model.segment_longest_ns() for model in desk.models)
            found = tuple(
                Forecast(
                    stream.name,
                    self._last_arrival_ns.get(stream.name, 0) + stream.period_ns,
                    stream.period_ns,
                    stream.deadline_ns - self.margins.deliver_ns,
                    bound,
                )
                for stream in self._streams.values()
                if stream.period_ns and stream.criticality is not Criticality.BACKGROUND
            )
            desk.forecasts = found if sustainable(found, blocking_ns=longest) else ()

    # --------------------------------------------------------------------------------------------------------- arrivals

    def _arrive(self, event: r.RequestArrived) -> None:
        now = self._now_ns
        stream = self._streams.get(event.stream)
        if stream is None:
            raise UsageError(f"no stream '{event.stream}'; open it first")
        if event.request <= self._last_request:
            raise UsageError(f"request {event.request} is not newer than {self._last_request}")
        if event.captured_ns > now:
            raise UsageError("a sample cannot be captured after it arrives: captured_ns is in the future")
        self._last_request = event.request
        deadline = event.captured_ns + (stream.deadline_ns if event.deadline_ns is None else event.deadline_ns)
        flight = Flight(event.request, stream, event.captured_ns, deadline, deadline - self.margins.deliver_ns)
        self._last_arrival_ns[stream.name] = now
        self._forecast()
        self._flights[event.request] = flight
        if len(self._flights) > self.limits.requests_in_flight_max:
            self._deliver(flight, Status.DROPPED, Source.NONE, Reason.LIMIT_REACHED)
            return
        self._decide(flight)

    def _decide(self, flight: Flight) -> None:
        """Choose the reserve, then the arm; both are noted with their reasons."""
        now = self._now_ns
        for link in self._links.values():
            link.wanted(now)
        self._budgets.fill(now)
        background = flight.stream.criticality is Criticality.BACKGROUND
        fits: dict[str, int | None] = {}
        if self.policy.uses_reserve and not background:
            fits = self._make_room(flight)
        plan = self._cheapest(
            flight, [Plan(self.table.local(name), 0) for name, own in fits.items() if own is not None]
        )
        if plan is None and self.policy.uses_reserve and not background:
            flight.guaranteed = False
            plan = min((Plan(each, 0) for each in self.table.locals), key=lambda each: each.bound_ns, default=None)
        flight.plan = plan
        own_start = None if plan is None else fits.get(plan.model.name)
        view = self._view(flight, fits, own_start)
        choice = self.policy.choose(view)
        self._begin(flight, choice, view, own_start)

    def _make_room(self, flight: Flight) -> dict[str, int | None]:
        """Each local model's latest start for this request (None: does not fit).

        When nothing fits, older unstarted requests of the same stream that only wait for the lane give way: the newest
        sample wins, and each that is dropped is told.
        """
        older = [
            each
            for each in self._flights.values()
            if each.stream is flight.stream and each is not flight and not each.started and each.job is None
            if not each.remote_pending and each.result is None
        ]
        while True:
            fits: dict[str, int | None] = {}
            for desk in self._desks.values():
                waiting = [each for each in self._flights.values() if each is not flight]
                promised = desk.reservations(waiting, self._now_ns)
                for model in desk.models:
                    bound = model.tail_bound_ns[0]
                    fits[model.name] = desk.own_start(promised, flight.due_ns, bound, self._now_ns)
            if not older or any(own is not None for own in fits.values()):
                return fits
            self._deliver(older.pop(0), Status.DROPPED, Source.NONE, Reason.NEWER_SAMPLE)

    def _cheapest(self, flight: Flight, plans: list[Plan]) -> Plan | None:
        """Of plans that fit, the one of least energy and disagreement."""

        def cost(plan: Plan) -> float:
            energy = self.table.energy.busy_mj(plan.median_ns) * self._budgets.energy_price
            return energy + self.prices.disagreement_mj * (1.0 - plan.model.quality)

        return min(plans, key=cost, default=None)

    def _view(self, flight: Flight, fits: dict[str, int | None], own_start: int | None) -> View:
        """Everything the policy may look at, as arrays."""
        table, now = self.table, self._now_ns
        left = float(flight.due_ns - now)
        background = flight.stream.criticality is Criticality.BACKGROUND
        if background:
            left = float(flight.captured_ns + flight.stream.expiry_ns - now)
        available = left if own_start is None else float(own_start - now)
        link = next(iter(self._links.values()), None)
        weights = link.belief.weights(now) if link else np.ones(1)
        latency = self._expected_latency(link)
        energy = table.busy_ns * (table.energy.active_mw * 1e-9)
        money = np.zeros(len(table.arms))
        if link is not None:
            rate = link.belief.latest()[0]
            energy = energy + table.up_bytes * (rate * table.energy.radio_mw * 1e-9)
            energy += table.is_remote * table.energy.radio_tail_mj
            if table.money_per_mb or table.money_per_cloud_s:
                money = table.up_bytes * (table.money_per_mb * 1e-6) + table.cloud_ns * (table.money_per_cloud_s * 1e-9)
                money *= self.prices.money_mj
        if self._budgets.energy_price != 1.0:
            energy = energy * self._budgets.energy_price
        return View(
            table=table,
            latency_ns=latency,
            weights=weights,
            admissible=self._admissible(flight, fits, available),
            energy_mj=energy,
            money_mj=money,
            available_ns=available,
            time_left_ns=left,
            reserve_energy_mj=table.energy.busy_mj(flight.plan.median_ns) if flight.plan else 0.0,
            reserve_quality=flight.plan.model.quality if flight.plan else 0.0,
            prices=self.prices,
        )

    def _expected_latency(self, link: Link | None) -> Floats:
        """Time from now to each arm's answer, in each belief sample: (samples, arms). The buffers are reused."""
        samples = self.limits.belief_samples_max if link else 1
        latency, term = self._latency[:samples], self._term[:samples]
        latency.fill(0.0)
        for row, resource in enumerate(self.table.resources):
            kind, _, name = resource.partition(":")
            amounts = self.table.latency_amounts[row]
            if kind == "lane":
                desk = self._desks.get(name)
                wait = 0 if desk is None or desk.running is None else self._remaining_ns(desk.running)
                latency += amounts * (1.0 if desk is None else desk.belief.factor())
                latency += float(wait)
            elif link is not None:
                np.multiply(link.belief.values(resource)[:, None], amounts, out=term)
                latency += term
        return latency

    def _remaining_ns(self, job: Job) -> int:
        if job.cancelling or job.preempting or not job.mandatory:
            return 0
        return max(0, job.started_ns + job.bound_ns - self._now_ns)

    def _admissible(self, flight: Flight, fits: dict[str, int | None], available: float) -> Flags:
        """Arms that may be chosen: the reserve stands, the lane has time for the arm's own part, the link is believed open."""
        table = self.table
        if not self.policy.uses_reserve:
            return table.is_remote.copy()
        allowed: Flags = table.busy_ns <= available
        for name, link in self._links.items():
            if not link.open_for_requests:
                allowed &= ~self._needs[name]
        allowed &= table.up_bytes <= self._budgets.bytes_left
        background = flight.stream.criticality is Criticality.BACKGROUND
        for column, model in self._whole.items():
            if not background:
                allowed[column] = fits.get(model.name) is not None or (flight.guaranteed and allowed[column])
        return allowed

    def _begin(self, flight: Flight, choice: Choice | None, view: View, own_start: int | None) -> None:
        """Set the flight on its way along the chosen arm."""
        arm_name, reason = "", Reason.NOTHING_FITS if not flight.guaranteed else Reason.ONLY_LOCAL_ADMISSIBLE
        if choice is not None:
            arm, reason = self.table.arms[choice.arm], choice.reason
            arm_name = arm.name
            whole = self._whole.get(choice.arm)
            if whole is not None and flight.stream.criticality is not Criticality.BACKGROUND:
                if flight.plan is None or whole is not flight.plan.model:
                    flight.plan = Plan(whole, 0)
                flight.eager = Reason.LOCAL_CHOSEN
            else:
                flight.arm, flight.primary = arm, Primary.WAITING
        elif flight.plan is not None:
            arm_name, flight.eager = flight.plan.name, Reason.LOCAL_CHOSEN
            if self._links and not any(link.open_for_requests for link in self._links.values()):
                reason = Reason.LINK_CLOSED if flight.guaranteed else reason
        if flight.stream.criticality is Criticality.SAFETY:
            flight.eager = Reason.SAFETY_CLASS
        flight.arm_name, flight.decided = arm_name, reason
        self._note_decision(flight, choice, view, own_start)
        if flight.plan is None and flight.primary is Primary.NONE:
            self._give_up(flight)
        elif flight.primary is Primary.WAITING:
            self._advance(flight)

    def _note_decision(self, flight: Flight, choice: Choice | None, view: View, own_start: int | None) -> None:
        now, plan = self._now_ns, flight.plan
        age = now - flight.captured_ns
        if choice is not None:
            pairs = sorted(zip(view.latency_ns[:, choice.arm].tolist(), view.weights.tolist(), strict=True))
            median, p90 = _quantile(pairs, 0.5), _quantile(pairs, 0.9)
        else:
            median = p90 = float(plan.median_ns if plan else 0)
        bound = (
            median if choice is None or not view.table.is_remote[choice.arm] else self._remote_bound(choice.arm, median)
        )
        if flight.arm is not None and choice is not None and view.table.is_remote[choice.arm]:
            flight.predicted_network_ns = max(
                1.0, median - float(view.table.busy_ns[choice.arm] + view.table.cloud_ns[choice.arm])
            )
        latest = own_start if own_start is not None and flight.eager is None else 0
        slack = (flight.due_ns if own_start is None else own_start) - now
        cost = choice.cost_mj if choice else 0.0
        probability = choice.reserve_probability if choice else 0.0
        figures = (slack / 1e6, cost, (age + median) / 1e6, (age + p90) / 1e6, (age + bound) / 1e6, probability)
        rounded = [round(each, 4) for each in figures]
        name = plan.name if plan else ""
        self._records.append(r.Decision(flight.request, flight.arm_name, flight.decided, name, *rounded))
        if plan is not None:
            self._records.append(r.ReserveChosen(flight.request, name, flight.eager or Reason.LATEST_START, latest))

    def _remote_bound(self, column: int, median_ns: float) -> float:
        """The learned 1 % bound on this arm's latency; the network's share of the median is what the bound stretches."""
        crossing = self.table.arms[column].crossing
        assert crossing is not None
        fixed = float(self.table.busy_ns[column] + self.table.cloud_ns[column])
        ratio = self._links[crossing.link].belief.bound.bound()
        return fixed + max(0.0, median_ns - fixed) * min(ratio, 1e3)

    # ------------------------------------------------------------------------------------------------------- the arm's way

    def _advance(self, flight: Flight) -> None:
        """Go on to the arm's next step; lane steps wait for the desk, a gate decides now."""
        arm = flight.arm
        assert arm is not None
        while flight.step < len(arm.steps):
            step = arm.steps[flight.step]
            if isinstance(step, RunStep) and step.tier == "device":
                if flight.joints.get(step.model, -1) < step.last:
                    flight.primary = Primary.WAITING
                    return
            elif isinstance(step, CrossStep):
                flight.primary = Primary.WAITING
                return
            flight.step += 1
        flight.primary = Primary.ENDED

    def _run_done(self, event: r.RunDone) -> None:
        desk = self._desks[event.lane]
        job = desk.finished(event.job)
        if job is None:
            self._records.append(r.Ignored("RunDone", -1))
            return
        flight, model = job.flight, self.table.local(job.model)
        spent = sum(event.segment_ns)
        flight.energy_mj += self.table.energy.busy_mj(spent)
        self._budgets.spend(energy_mj=self.table.energy.busy_mj(spent))
        self._watch_bounds(job, model, event)
        median = sum(model.segment_median_ns[job.first : event.last + 1])
        if median > 0 and event.last >= job.first:
            desk.belief.observe(spent / median)
        if flight.closed:
            self._forget_if_done(flight)
            return
        flight.joints[job.model] = max(flight.joints.get(job.model, -1), event.last)
        if event.last == model.last:
            self._local_result(flight, model, event.confidence)
        else:
            self._replan(flight)
        if job.step is not None and flight.primary is Primary.ON_LANE:
            self._after_step(flight, event.confidence)
        self._settle(flight)

    def _after_step(self, flight: Flight, confidence: float | None) -> None:
        assert flight.arm is not None
        self._advance(flight)
        before = flight.arm.steps[flight.step - 1] if flight.step else None
        if isinstance(before, GateStep) and confidence is not None and confidence >= before.at_least:
            flight.primary, flight.decided = Primary.ENDED, Reason.CONFIDENT_AT_GATE

    def _watch_bounds(self, job: Job, model: LocalModel, event: r.RunDone) -> None:
        request = job.flight.request
        for offset, measured in enumerate(event.segment_ns):
            bound = model.segment_bound_ns[job.first + offset]
            if measured > bound:
                what = f"segment {model.name}:{job.first + offset}"
                self._records.append(r.BoundExceeded(request, what, measured / 1e6, bound / 1e6))
        took = self._now_ns - job.started_ns
        allowed = job.bound_ns + self.margins.timer_ns
        if took > allowed and event.last == job.last:
            self._records.append(r.BoundExceeded(request, f"run {model.name}", took / 1e6, allowed / 1e6))

    def _local_result(self, flight: Flight, model: LocalModel, confidence: float | None) -> None:
        """A local answer stands; keep the better one. The reserve has done its work."""
        if flight.result is None or model.quality >= flight.result.quality:
            flight.result = model
        flight.plan = None

    def _replan(self, flight: Flight) -> None:
        """At a joint: go on from the retained tensors if that is the cheaper insurance now."""
        plan = flight.plan
        if plan is None:
            return
        candidates = [plan]
        for name, joint in flight.joints.items():
            model = self.table.local(name)
            if joint < model.last and (model is plan.model or model.tail_bound_ns[joint + 1] <= plan.bound_ns):
                candidates.append(Plan(model, joint + 1))
        best = self._cheapest(flight, candidates)
        if best is not None and best != plan:
            flight.plan = best
            self._records.append(r.ReserveChosen(flight.request, best.name, Reason.CHEAPER_FROM_JOINT, 0))

    def _encode_done(self, event: r.EncodeDone) -> None:
        desk = self._desks[event.lane]
        job = desk.finished(event.job)
        if job is None:
            self._records.append(r.Ignored("EncodeDone", -1))
            return
        flight, step = job.flight, job.step
        spent = self.table.energy.busy_mj(event.duration_ns)
        flight.energy_mj += spent
        self._budgets.spend(energy_mj=spent)
        if event.duration_ns > job.bound_ns:
            measured, bound = event.duration_ns / 1e6, job.bound_ns / 1e6
            self._records.append(r.BoundExceeded(flight.request, "encode", measured, bound))
        if flight.closed or flight.primary is not Primary.ON_LANE:
            self._forget_if_done(flight)
            return
        assert isinstance(step, CrossStep)
        self._send(flight, step, event.payload_bytes)

    def _send(self, flight: Flight, step: CrossStep, payload_bytes: int) -> None:
        assert flight.arm is not None
        now, run = self._now_ns, flight.arm.beyond(flight.step)
        flight.attempt += 1
        flight.primary = Primary.CROSSING
        flight.uplink_bytes += payload_bytes
        until = flight.due_ns
        if flight.stream.criticality is Criticality.BACKGROUND:
            until = flight.captured_ns + flight.stream.expiry_ns
        wait = self.limits.loss_after_ns if self.policy.uses_reserve else self.limits.unanswered_wait_ns
        link = self._link(step.link)
        rate = link.belief.latest()[0]
        radio = self.table.energy.radio_mj(payload_bytes * rate)
        flight.energy_mj += radio
        self._budgets.spend(uplink_bytes=payload_bytes, energy_mj=radio)
        attempt = Attempt(
            flight.request,
            flight.attempt,
            now,
            payload_bytes,
            float(run.median_ns + step.decode_ns),
            flight.predicted_network_ns,
            until,
            max(until, now) + wait,
        )
        link.sent(attempt)
        useful = until if self.policy.uses_reserve else attempt.lost_at_ns
        self._actions.append(
            r.Send(flight.request, flight.attempt, step.link, run.model, run.first - 1, run.last, step.codec, useful)
        )

    # ------------------------------------------------------------------------------------------------------ from outside

    def _acked(self, event: r.ChunkAcked) -> None:
        for link in self._links.values():
            if link.acked(event.request, event.attempt, event.bytes_received, now_ns=self._now_ns):
                return
        self._records.append(r.Ignored("ChunkAcked", event.request))

    def _answer(self, event: r.AnswerArrived) -> None:
        cloud = event.decode_ns + event.compute_ns
        known = False
        for link in self._links.values():
            found = link.answered(
                event.request, event.attempt, queue_ns=event.queue_ns, cloud_ns=cloud, now_ns=self._now_ns
            )
            known = known or found is not None
        flight = self._flights.get(event.request)
        current = flight is not None and flight.attempt == event.attempt and flight.primary is Primary.CROSSING
        if not known or flight is None or not current:
            if not known:
                self._records.append(r.Ignored("AnswerArrived", event.request))
            return
        flight.primary = Primary.ENDED
        if flight.closed:
            if not flight.advised:
                flight.advised = True
                self._actions.append(r.Advise(flight.request))
            self._forget_if_done(flight)
        elif flight.stream.criticality is Criticality.SAFETY and flight.plan is not None:
            flight.advised = True
        else:
            self._deliver(flight, self._in_time(flight), Source.REMOTE, Reason.REMOTE_IN_TIME)

    def _remote_failed(self, event: r.RemoteFailed) -> None:
        known = False
        for link in self._links.values():
            found = link.failed(event.request, event.attempt, link_at_fault=event.link_at_fault, now_ns=self._now_ns)
            known = known or found is not None
        flight = self._flights.get(event.request)
        if not known or flight is None or flight.attempt != event.attempt:
            if not known:
                self._records.append(r.Ignored("RemoteFailed", event.request))
            return
        if flight.primary is Primary.CROSSING:
            self._primary_ended(flight)

    def _primary_ended(self, flight: Flight) -> None:
        """No remote answer will come for this request: nothing is left to wait for."""
        flight.primary = Primary.ENDED
        if flight.closed:
            self._forget_if_done(flight)
            return
        if flight.plan is not None:
            flight.eager = flight.eager or Reason.REMOTE_FAILED
        elif flight.result is None:
            self._give_up(flight)
            return
        self._settle(flight)

    def _give_up(self, flight: Flight) -> None:
        """No arm is left: background waits for another try, everything else ends here (or at its safe value)."""
        now = self._now_ns
        if flight.stream.criticality is Criticality.BACKGROUND:
            flight.primary, flight.arm, flight.step = Primary.NONE, None, 0
            flight.retry_ns = now + self.limits.retry_background_ns
        elif not flight.stream.has_safe_value:
            self._deliver(flight, Status.FAILED, Source.NONE, Reason.REMOTE_FAILED)

    def _probe_event(self, event: r.ProbeAnswered | r.ProbeLost) -> None:
        for link in self._links.values():
            if isinstance(event, r.ProbeLost):
                known = link.probe_lost(event.probe, self._now_ns)
            else:
                known = link.probe_answered(
                    event.probe, event.round_trip_ns, event.transfer_ns, event.payload_bytes, self._now_ns
                )
            if known:
                return
        self._records.append(r.Ignored(type(event).__name__, -1))

    def _job_gone(self, lane: str, job_number: int, failure: str | None) -> None:
        """A job ended without a result: cancelled, or the engine failed."""
        job = self._desks[lane].finished(job_number)
        if job is None:
            self._records.append(r.Ignored("RunCancelled" if failure is None else "RunFailed", -1))
            return
        flight = job.flight
        flight.energy_mj += self.table.energy.busy_mj(self._now_ns - job.started_ns)
        if flight.closed:
            self._forget_if_done(flight)
        elif job.step is not None:
            self._primary_ended(flight)
        elif failure is not None:
            self._plan_failed(flight, job.model)

    def _plan_failed(self, flight: Flight, model: str) -> None:
        """The engine failed in the reserve: take another model's, or wait for the remote answer, or end."""
        now = self._now_ns
        others = [Plan(each, 0) for each in self.table.locals if each.name != model]
        fitting = [each for each in others if now + each.bound_ns <= flight.due_ns]
        flight.plan = self._cheapest(flight, fitting) or (others[0] if others else None)
        if flight.plan is not None:
            flight.eager = Reason.ENGINE_FAILED
            flight.guaranteed = bool(fitting)
            self._records.append(r.ReserveChosen(flight.request, flight.plan.name, Reason.ENGINE_FAILED, 0))
        elif not flight.remote_pending and not flight.stream.has_safe_value:
            self._deliver(flight, Status.FAILED, Source.NONE, Reason.ENGINE_FAILED)

    def _withdraw(self, request: int) -> None:
        flight = self._flights.get(request)
        if flight is not None and not flight.closed:
            self._deliver(flight, Status.DROPPED, Source.NONE, Reason.WITHDRAWN)

    # -------------------------------------------------------------------------------------------------------- the clocks

    def _hold_end_ns(self, flight: Flight) -> int:
        return flight.due_ns - self.margins.timer_ns

    def _flight_wake_ns(self, flight: Flight) -> int | None:
        if flight.closed:
            return None
        if flight.retry_ns is not None:
            return min(flight.retry_ns, flight.captured_ns + flight.stream.expiry_ns)
        if flight.stream.criticality is Criticality.BACKGROUND:
            return flight.captured_ns + flight.stream.expiry_ns
        if flight.result is not None:
            return self._hold_end_ns(flight)
        if flight.stream.has_safe_value:
            return self._hold_end_ns(flight)
        if not self.policy.uses_reserve:
            return flight.deadline_ns + self.limits.unanswered_wait_ns
        return None

    def _look_at_clocks(self) -> None:
        """Everything that is due by now: lost attempts, holds that end, safe values, retries, probes."""
        now = self._now_ns
        for link in self._links.values():
            for attempt in link.lose_silent(now):
                self._actions.append(r.StopSending(attempt.request, attempt.attempt))
                flight = self._flights.get(attempt.request)
                if flight is not None and flight.attempt == attempt.attempt and flight.primary is Primary.CROSSING:
                    self._primary_ended(flight)
            if not link.open_for_requests:
                self._stop_waiting_for(link.name)
            link.probe_if_due(now)
        for flight in [each for each in self._flights.values() if not each.closed]:
            self._look_at(flight)

    def _look_at(self, flight: Flight) -> None:
        now = self._now_ns
        expiry = flight.captured_ns + flight.stream.expiry_ns
        if flight.stream.criticality is Criticality.BACKGROUND:
            if now >= expiry:
                self._deliver(flight, Status.SPOOLED, Source.NONE, Reason.EXPIRED)
            elif flight.retry_ns is not None and now >= flight.retry_ns:
                flight.retry_ns = None
                self._decide(flight)
            return
        wake = self._flight_wake_ns(flight)
        if wake is None or now < wake:
            return
        if flight.result is not None:
            self._deliver(flight, self._in_time(flight), Source.LOCAL, Reason.HOLD_ENDED)
        elif flight.stream.has_safe_value:
            self._deliver(flight, Status.SAFE_VALUE, Source.SAFE_VALUE, Reason.DEADLINE_PASSED)
        else:
            self._deliver(flight, Status.FAILED, Source.NONE, Reason.DEADLINE_PASSED)

    def _stop_waiting_for(self, link: str) -> None:
        """The link is believed dead: reserves of what still waits for it need not be put off."""
        for flight in self._flights.values():
            crossing = flight.arm.crossing if flight.arm else None
            if flight.closed or crossing is None or crossing.link != link or not flight.remote_pending:
                continue
            if flight.plan is not None and flight.eager is None:
                flight.eager = Reason.LINK_CLOSED

    def _settle(self, flight: Flight) -> None:
        """Deliver the local answer if there is nothing better to wait for."""
        if flight.closed or flight.result is None:
            return
        if flight.stream.criticality is Criticality.SAFETY or not flight.remote_pending:
            reason = Reason.CONFIDENT_AT_GATE if flight.decided is Reason.CONFIDENT_AT_GATE else Reason.LOCAL_DONE
            self._deliver(flight, self._in_time(flight), Source.LOCAL, reason)

    def _in_time(self, flight: Flight) -> Status:
        return Status.ANSWERED if self._now_ns <= flight.deadline_ns else Status.LATE

    def _deliver(self, flight: Flight, status: Status, source: Source, reason: Reason) -> None:
        """End the request towards its caller, exactly once, and stop what it still had under way."""
        if flight.closed:
            return
        flight.closed, flight.plan = True, None
        model = ""
        if source is Source.LOCAL and flight.result is not None:
            model = flight.result.name
        elif source is Source.REMOTE and flight.arm is not None:
            model = flight.arm.model
        age = (self._now_ns - flight.captured_ns) / 1e6
        self._records.append(
            r.Delivered(
                flight.request,
                status,
                source,
                flight.arm_name,
                reason,
                age,
                round(flight.energy_mj, 4),
                flight.uplink_bytes,
            )
        )
        self._actions.append(r.Deliver(flight.request, status, source, flight.arm_name, model, reason, flight.advised))
        if flight.primary is Primary.WAITING:
            flight.primary = Primary.ENDED
        for desk in self._desks.values():
            desk.cancel(flight)
        advisable = flight.stream.criticality is Criticality.SAFETY and source is Source.LOCAL and not flight.advised
        if flight.primary is Primary.CROSSING and not advisable:
            flight.primary = Primary.ENDED
            if status in (Status.DROPPED, Status.SPOOLED):
                self._actions.append(r.StopSending(flight.request, flight.attempt))
        self._forget_if_done(flight)

    def _forget_if_done(self, flight: Flight) -> None:
        """Let go of a closed request once no lane and no crossing works for it."""
        if flight.closed and flight.job is None and flight.primary is not Primary.CROSSING:
            if self._flights.pop(flight.request, None) is not None:
                self._actions.append(r.Forget(flight.request))


def _quantile(pairs: list[tuple[float, float]], share: float) -> float:
    """Weighted quantile of (value, weight) pairs in ascending order."""
    total = 0.0
    for _, weight in pairs:
        total += weight
    reached = 0.0
    for value, weight in pairs:
        reached += weight
        if reached >= share * total:
            return value
    return pairs[-1][0]
