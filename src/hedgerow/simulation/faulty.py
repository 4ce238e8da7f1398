"""A simulated device, its lanes and its server with faults at their seams: messages lost, late, twice, out of order or from
nowhere, runs that fail, timers that oversleep, servers that die, stop, refuse or lie.

Rules: what happens is a function of the scene's seed, the request and the moment, never of what the policy did before, so
that a twin under another policy meets the same faults; the core's contract with its shell is kept (a job that was begun ends,
moments rise), for what lies beyond that is the guard's matter. Whatever a lane, a timer or a cancellation takes beyond its
bound is told to `on_excess` when it begins: the truth with which the core's own word (BoundExceeded) is compared.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from typing import Any, Final

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable
from hedgerow.simulation.body import Body, Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.faults import Fault

SLOW_FACTOR: Final = 10
COLD_NS: Final = 800 * r.MS  # what the first requests of a new server take more, falling to nothing over COLD_FOR_NS
COLD_FOR_NS: Final = 2 * r.SECOND
WARM: Final = "warm"  # stage of a server's death whose new one has computed before it answers, as `hedgerow serve` does
QUEUE_MAX_NS: Final = 400 * r.MS
Key = tuple[int, int]


def chance(seed: int, request: int, purpose: int) -> float:
    """A number in [0, 1) for this request and purpose: the finaliser of splitmix64 (Steele et al., OOPSLA 2014)."""
    mixed = (
        seed * 0x9E3779B97F4A7C15 + request * 0xBF58476D1CE4E5B9 + purpose * 0x94D049BB133111EB
    ) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return ((mixed ^ (mixed >> 31)) >> 11) * 2.0**-53


def on(faults: Sequence[Fault], now_ns: int) -> Fault | None:
    """The first of these that lasts at this moment."""
    for fault in faults:
        if fault.from_ns <= now_ns < fault.until_ns:
            return fault
    return None


class Kinds(dict[str, tuple[Fault, ...]]):
    """Faults by kind; an absent kind has none."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__()
        for fault in faults:
            self[fault.kind] = (*self.get(fault.kind, ()), fault)

    def __missing__(self, kind: str) -> tuple[Fault, ...]:
        return ()


class LaneFaults:
    """What faults of the device add to what lanes would take."""

    def __init__(self, faults: Kinds, seed: int) -> None:
        self._seed = seed
        self._slow = (*faults["cpu-hog"], *faults["slow-lane"], *faults["heat"])
        self._pauses = faults["memory"]
        self.any = bool(self._slow or self._pauses)

    def segments_ns(self, request: int, times: Sequence[int], now_ns: int) -> tuple[int, ...]:
        """Segments that begin now."""
        if self._slow and (fault := on(self._slow, now_ns)) is not None:
            factor = 1.0 + (2.0 if fault.kind == "cpu-hog" else 0.6) * fault.strength
            times = [int(each * factor) for each in times]
        if self._pauses and on(self._pauses, now_ns) is not None:
            place = int(chance(self._seed, request, 11) * len(times) * 2)  # every second run has one such segment
            times = [each * (10 if index == place else 1) for index, each in enumerate(times)]
        return tuple(times)

    def encode_ns(self, took: int, now_ns: int) -> int:
        """An encoding that begins now."""
        if self._slow and (fault := on(self._slow, now_ns)) is not None:
            took = int(took * (1.0 + 2.0 * fault.strength))
        return took


class FaultyLanes:
    """Lane times drawn before: `times_ns[model][request]` by segment; encoding and payload by request, times their medians."""

    def __init__(
        self, table: ArmTable, times_ns: dict[str, list[list[int]]], exceeding: dict[str, frozenset[int]],
        spread: Sequence[float], sizes: Sequence[float], faults: Kinds, seed: int,
    ) -> None:  # fmt: skip
        self._exceeding = exceeding
        self._times, self._spread, self._sizes = times_ns, spread, sizes
        crossings = [(arm, step) for arm in table.arms if (step := arm.crossing) is not None]
        keys = [(*arm.sends(arm.steps.index(step)), step) for arm, step in crossings]
        self._encode = {(model, joint, step.codec): step.encode_median_ns for model, joint, step in keys}
        self._bytes = {(model, joint, step.codec): step.up_bytes for model, joint, step in keys}
        self._faults = LaneFaults(faults, seed)

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]:
        return self._faults.segments_ns(request, self._times[model][request][first : last + 1], now_ns)

    def may_exceed(self, request: int, model: str) -> bool:
        """Whether a run may take longer than its bounds, so that it is worth a look."""
        return self._faults.any or request in self._exceeding[model]

    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int:
        return self._faults.encode_ns(int(self._encode[model, joint, codec] * self._spread[request]), now_ns)

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        return int(self._bytes[model, joint, codec] * self._sizes[request])


class ServerFaults:
    """What faults make of one link's server."""

    def __init__(self, faults: Kinds, link: str) -> None:
        def mine(kind: str) -> tuple[Fault, ...]:
            return tuple(each for each in faults[kind] if each.link == link)

        self.kills = mine("server-kill")
        self._dead = (*self.kills, *mine("garbage"))
        self._stops, self._slow = mine("server-stop"), mine("server-slow")
        refusing = (("wrong-version", "wrong_version"), ("cloud-overload", "overloaded"), ("old-server", "wrong_cut"))
        self._refuses = tuple((each, word) for kind, word in refusing for each in mine(kind))

    def dead(self, now_ns: int) -> bool:
        """Whether no connection comes about."""
        return bool(self._dead) and on(self._dead, now_ns) is not None

    def refusal(self, work: Work, now_ns: int) -> str:
        """The word with which it is refused now; "" if it is not."""
        for fault, word in self._refuses:
            if fault.from_ns <= now_ns < fault.until_ns and (word != "wrong_cut" or work.joint >= 0):
                # an old one misreads every second cut: bytes that do not decode to what it expects
                return "bad_payload" if word == "wrong_cut" and work.request % 2 else word
        return ""

    def compute_ns(self, compute: int, now_ns: int) -> int:
        """What a computation that comes now takes: longer on a slow server, and on one that has just begun."""
        if self._slow and on(self._slow, now_ns) is not None:
            compute *= SLOW_FACTOR
        for kill in self.kills:
            since = now_ns - kill.until_ns
            if kill.stage != WARM and 0 <= since < COLD_FOR_NS:
                compute += int(COLD_NS * (1.0 - since / COLD_FOR_NS))
        return compute

    def end_ns(self, end_ns: int) -> int:
        """When a computation ends that would end at this moment, were the server not stopped."""
        stop = on(self._stops, end_ns) if self._stops else None
        return end_ns if stop is None else stop.until_ns

    def killed(self, now_ns: int, end_ns: int) -> Fault | None:
        """The fault that ends what began now and would end then."""
        return next((each for each in self._dead if now_ns < each.from_ns <= end_ns), None)


class FaultyServer:
    """Replicas behind one first-in-first-out queue; refuses what it cannot finish, or what would wait too long."""

    def __init__(
        self, clock: Clock, table: ArmTable, faults: Kinds, *, link: str, replicas: int, factors: Sequence[float]
    ) -> None:
        self._clock, self._factors = clock, factors
        self._free = [0] * replicas
        self._answer_bytes = 1000
        self._takes: dict[tuple[str, int, str], tuple[int, int]] = {}
        for arm in table.arms:
            cross = arm.crossing
            if cross is not None and cross.link == link:
                run = arm.beyond(arm.steps.index(cross))
                self._takes[run.model, run.first - 1, cross.codec] = (run.median_ns, cross.decode_ns)
        self._faults = ServerFaults(faults, link)

    @property
    def alive(self) -> bool:
        return not self._faults.dead(self._clock.now_ns)

    def submit(self, work: Work, clock: Clock, done: Callable[[Ended], None]) -> None:
        now = clock.now_ns
        refusal = self._faults.refusal(work, now)
        if refusal:
            clock.at(now, done, Ended(refusal))
            return
        compute, decode = self._takes[work.model, work.joint, work.codec]
        compute = self._faults.compute_ns(int(compute * self._factors[work.request]), now)
        start = max(now, self._free[0])
        end = start + decode + compute
        if start - now > QUEUE_MAX_NS or end > work.deadline_ns:
            clock.at(now, done, Ended("overloaded" if start - now > QUEUE_MAX_NS else "too_late"))
            return
        self._finish(start, end, (start - now, decode, compute), done)

    def _finish(self, start: int, end: int, figures: tuple[int, int, int], done: Callable[[Ended], None]) -> None:
        end = self._faults.end_ns(end)
        heapreplace(self._free, end)
        killed = self._faults.killed(self._clock.now_ns, end)
        if killed is not None:
            self._free = [0] * len(self._free)
            heapify(self._free)
            self._clock.at(killed.from_ns, done, Ended("link"))
        else:
            self._clock.at(end, done, Ended("", *figures, self._answer_bytes))


class FaultyBody(Body):
    """A `Body` whose messages, runs and timers meet the scene's faults."""

    def __init__(
        self, *given: Any, faults: Kinds, seed: int, on_excess: Callable[[int], None], **settings: Any
    ) -> None:
        late, cancel = settings["timer_late_ns"], settings["cancel_ns"]
        margins = given[0].margins
        self._late_timers, self._slow_cancels = faults["late-timer"], faults["slow-cancel"]

        def timer_late(wake_ns: int) -> int:
            fault = on(self._late_timers, wake_ns) if self._late_timers else None
            took: int = late(wake_ns) if fault is None else int(margins.timer_ns * (1 + 20 * fault.strength))
            if took > margins.timer_ns:
                on_excess(max(wake_ns, self.clock.now_ns) + took)
            return took

        def cancel_ns(request: int) -> int:
            slow = on(self._slow_cancels, self.clock.now_ns) if self._slow_cancels else None
            took: int = cancel(request) if slow is None else int(margins.cancel_ns * (1 + 10 * slow.strength))
            if took > margins.cancel_ns:
                on_excess(self.clock.now_ns + took)
            return took

        settings.update(timer_late_ns=timer_late, cancel_ns=cancel_ns)
        super().__init__(*given, **settings)
        self._seed, self._excess = seed, on_excess
        self._kinds, self._times = faults, given[2]
        self._under_way: dict[Key, str] = {}
        self._failing, self._full = faults["engine-failure"], faults["disk-full"]
        self._lost_up = tuple(each for each in faults["one-way-loss"] if each.stage == "up")
        self._lost_down = tuple(each for each in faults["one-way-loss"] if each.stage == "down")
        self._tampers = any(faults[kind] for kind in ("reorder", "duplicate", "ack-loss", "silence", "one-way-loss"))
        self._probes_lost = (*faults["probe-loss"], *faults["one-way-loss"])
        if self._full:
            self._carry[r.Deliver] = self._hand_over
        self._bounds = {model.name: model for model in self.core.table.locals}
        self._encode_bounds = {
            (*arm.sends(arm.steps.index(step)), step.codec): step.encode_bound_ns
            for arm in self.core.table.arms
            if (step := arm.crossing) is not None
        }
        self._plan_faults()

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        """What crosses for this request."""
        return self._lanes.payload_bytes(request, model, joint, codec)

    def _plan_faults(self) -> None:
        """What happens at a moment of its own."""
        at, kinds = self.clock.at, self._kinds
        for fault in (*kinds["reset"], *kinds["blackout"], *kinds["one-way-loss"]):
            at(fault.until_ns, self._reset, fault.link)
        for fault in kinds["link-flap"]:
            at(fault.from_ns, self.post, r.LinkDown(fault.link, "flap"))
            at(fault.until_ns, self.post, r.LinkUp(fault.link))
        for fault in kinds["battery-cliff"]:
            at(fault.from_ns, self.post, r.BatteryLevel(0.01))
            at(fault.until_ns, self.post, r.BatteryLevel(1.0))
        for fault in kinds["heat"]:
            at(fault.from_ns, self.post, r.Temperature(90.0))
            at(fault.from_ns + fault.for_ns // 2, self.post, r.Throttled(fault.strength))
            at(fault.until_ns, self.post, r.Temperature(40.0))
        for fault in kinds["false-report"]:
            at(fault.from_ns, self.post, r.CloudReport(fault.link, int(fault.strength * 5 * r.SECOND)))
            at(fault.until_ns, self.post, r.CloudReport(fault.link, 0))
        for fault in kinds["stray"]:
            for place in range(8):
                at(fault.from_ns + place * fault.for_ns // 8, self._stray, place)

    def _stray(self, place: int) -> None:
        """One event that nobody asked for, about something that is over or never was."""
        lane = next(iter(self._bounds.values())).lane
        request, gone = max(0, self._tokens - 7), -1 - place
        strays: tuple[r.Event, ...] = (
            r.AnswerArrived(request, 99, 100, 0, 0, r.MS), r.ChunkAcked(request, 99, 1 << 40),
            r.RemoteFailed(10**9, 1, "link", True), r.ProbeAnswered(gone, 1, 1, 8192), r.ProbeLost(gone),
            r.JobEnded(lane, gone, "nobody ran this"), r.RequestWithdrawn(10**9), r.Compared(request, "", False),
        )  # fmt: skip
        self.post(strays[place])

    def _reset(self, link: str) -> None:
        for key in [key for key, over in self._under_way.items() if over == link]:
            self._failed(key, "link", True)

    # ------------------------------------------------------------------------------------------------------- the messages

    def _send(self, action: r.Send) -> None:
        key = (action.request, action.attempt)
        self._under_way[key] = action.link
        if self._lost_up and on(self._lost_up, self.clock.now_ns) is not None:
            self.tally.up_bytes[action.request] = self.tally.up_bytes.get(action.request, 0)
            return  # until the reset
        super()._send(action)

    def _delays(self, key: Key, purpose: int) -> tuple[int, ...]:
        """When copies of a message come: none if it is lost, (0,) if all is well."""
        now, drawn = self.clock.now_ns, chance(self._seed, key[0], purpose)
        if self._lost_down and on(self._lost_down, now) is not None:
            return ()
        if purpose == 1 and on(self._kinds["ack-loss"], now) is not None and drawn < 0.7:
            return ()
        if purpose != 1 and on(self._kinds["silence"], now) is not None and drawn < 0.7:
            return ()
        reorder, duplicate = on(self._kinds["reorder"], now), on(self._kinds["duplicate"], now)
        late = int(drawn * 80 * r.MS * reorder.strength) if reorder is not None else 0
        if duplicate is not None and drawn < 0.5:
            return (late, late + int(drawn * (4 * r.SECOND if duplicate.strength > 0.5 else 20 * r.MS)))
        return (late,)

    def _acked(self, key: Key, size: int) -> None:
        if not self._tampers:
            super()._acked(key, size)
            return
        for delay in self._delays(key, 1):
            if delay:
                self.clock.at(self.clock.now_ns + delay, self.post, r.ChunkAcked(*key, size))
            else:
                super()._acked(key, size)

    def _answered(self, key: Key, ended: Ended) -> None:
        self._tell(key, self._answer(key, ended), 2)

    def _failed(self, key: Key, fault: str, link_at_fault: bool) -> None:
        self._tell(key, r.RemoteFailed(*key, fault, link_at_fault and fault not in ("too_large",)), 3)

    def _tell(self, key: Key, event: r.Event, purpose: int) -> None:
        """The one end of an attempt; whatever comes after it is a copy."""
        self._under_way.pop(key, None)
        if key in self._ended:
            return
        self._ended.add(key)
        for delay in self._delays(key, purpose) if self._tampers else (0,):
            if delay:
                self.clock.at(self.clock.now_ns + delay, self.post, event)
            else:
                self.post(event)

    def _stop(self, action: r.StopSending) -> None:
        super()._stop(action)
        self._under_way.pop((action.request, action.attempt), None)

    def _probed(self, event: r.ProbeAnswered | r.ProbeLost) -> None:
        if self._probes_lost and on(self._probes_lost, self.clock.now_ns) is not None:
            return
        self.post(event)
        duplicate = on(self._kinds["duplicate"], self.clock.now_ns)
        if duplicate is not None:
            self.clock.at(self.clock.now_ns + int(duplicate.strength * r.SECOND), self.post, event)

    # ---------------------------------------------------------------------------------------------------------- the device

    def _run(self, action: r.Run) -> None:
        now = self.clock.now_ns
        times = self._lanes.segments_ns(action.request, action.model, action.first, action.last, now)
        if self._times.may_exceed(action.request, action.model) and self._exceeds(action, times):
            self._excess(now + sum(times))
        self._start(action, times, self._run_ends)

    def _exceeds(self, action: r.Run, times: tuple[int, ...]) -> bool:
        model, first = self._bounds[action.model], action.first
        bounds = model.segment_bound_ns
        whole = model.tail_bound_ns[first] if action.last == model.last else sum(bounds[first : action.last + 1])
        return sum(times) > whole or any(took > bounds[first + place] for place, took in enumerate(times))

    def _encode(self, action: r.Encode) -> None:
        now = self.clock.now_ns
        took = self._lanes.encode_ns(action.request, action.model, action.joint, action.codec, now)
        if took > self._encode_bounds[action.model, action.joint, action.codec]:
            self._excess(now + took)
        self._start(action, (took,), self._encode_ends)

    def _ran(self, lane: str, job: Any, times: tuple[int, ...]) -> None:
        fails = self._failing and on(self._failing, self.clock.now_ns) is not None
        if fails and chance(self._seed, job.action.request, 21) < 0.6:
            self._excess(self.clock.now_ns)
            self.post(r.JobEnded(lane, job.action.job, "the engine failed"))
        else:
            super()._ran(lane, job, times)

    def _hand_over(self, action: r.Deliver) -> None:
        fault = on(self._full, self.clock.now_ns)
        if fault is not None:
            took = int(100 * r.MS * fault.strength)
            told = r.DeliveryTook(action.request, self.clock.now_ns, took, action.promised)
            self.clock.at(self.clock.now_ns + took, self.post, told)
