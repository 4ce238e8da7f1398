"""One link and the cloud behind it, as the core sees them: attempts under way, what they taught, probes and the breaker.

An attempt ends once: answered, failed or lost. What comes after that is an observation or nothing, never a second answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hedgerow.core import records as r
from hedgerow.core.arms import Floats
from hedgerow.core.beliefs import SILENCE, LinkBelief
from hedgerow.core.breaker import Breaker, Signal, State
from hedgerow.core.policies import Feedback

_ACTIVE_NS = 5_000_000_000
FIRST_CHUNK_BYTES = 1024  # of a probe: what is acknowledged first, and so is part of the trip (wire/pace.py)
SLACK_NS = 5_000_000  # beside SILENCE, for what is short anyway
OVERLOADED = "overloaded"  # the wire's word for a queue that is full


@dataclass(slots=True)
class Attempt:
    """One crossing: moments in ns; after `useful_until_ns` an answer only teaches; at `lost_at_ns` silence is loss."""

    request: int
    attempt: int
    sent_ns: int
    payload_bytes: int
    cloud_median_ns: float
    predicted_network_ns: float
    useful_until_ns: int
    lost_at_ns: int
    arm: int = -1  # its column, and when it was chosen
    decided_ns: int = 0
    first_ack_ns: int | None = None
    acked_bytes: int = 0


class Link:
    """State of one link. `records` and `actions` are the core's lists of the present step; `learn` is told how each attempt
    ended, for a policy that learns; `place`: which link it is, for no two links' probes may have one number."""

    def __init__(
        self, name: str, limits: r.Limits, records: list[r.Record], actions: list[r.Action],
        learn: Callable[[Feedback], None] | None = None, place: int = 0,
    ) -> None:  # fmt: skip
        self.name, self._limits, self._learn_from = name, limits, learn
        self._records, self._actions = records, actions
        self.belief = LinkBelief(limits)
        self.breaker = Breaker(limits, name)
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self.trusted = True  # that its answers are right, which no probe can tell
        self._probe: int | None = None
        self._acknowledges, self._answered_ns = False, -1  # when what was last answered had been sent
        self._used_ns: int | None = None  # when something was last sent, or a first probe
        self._probes, self._probe_ends_ns = place << 32, 0
        # when something last came back, or was asked by a probe; a link that was never heard is probed at once
        self._heard_ns = -limits.probe_silence_ns
        self.wanted_ns = 0  # when a request last came that might use this link: it is worth probing

    @property
    def open_for_requests(self) -> bool:
        return self.trusted and self.breaker.state is State.CLOSED

    def sent(self, attempt: Attempt) -> Attempt | None:
        """Note a new attempt; at the limit the oldest is given up, no longer sent, and returned."""
        full = len(self.attempts) >= self._limits.late_answers_kept_max
        given_up = self.attempts.pop(next(iter(self.attempts))) if full else None
        if given_up is not None:
            self._actions.append(r.StopSending(given_up.request, given_up.attempt))
        self.attempts[attempt.request, attempt.attempt], self._used_ns = attempt, attempt.sent_ns
        return given_up

    def acked(self, request: int, attempt: int, bytes_received: int, *, now_ns: int) -> None:
        """Note what has crossed of an attempt under way."""
        found, self._heard_ns, self._acknowledges = self.attempts[request, attempt], now_ns, True
        found.acked_bytes = bytes_received
        if found.first_ack_ns is None:
            found.first_ack_ns = now_ns

    def answered(
        self, request: int, attempt: int, *, queue_ns: int, cloud_ns: int, now_ns: int, part_bytes: int = 0
    ) -> None:
        """An answer to an attempt under way, or to the part of its payload that had crossed: learn from it."""
        found, self._heard_ns = self.attempts.pop((request, attempt)), now_ns
        self._answered_ns = max(self._answered_ns, found.sent_ns)
        self._teach(found, now_ns - found.decided_ns)
        network_ns = max(1, now_ns - found.sent_ns - queue_ns - cloud_ns)
        factor = cloud_ns / found.cloud_median_ns if found.cloud_median_ns > 0 and cloud_ns else 1.0
        crossed = max(part_bytes, found.acked_bytes) if part_bytes else found.payload_bytes
        late = now_ns > found.useful_until_ns
        self._learn(found, network_ns, factor, queue_ns, crossed, late=late, now_ns=now_ns)
        self.signal(Signal.ANSWERED, now_ns)

    def failed(self, request: int, attempt: int, *, fault: str, link_at_fault: bool, now_ns: int) -> None:
        """A fault instead of an answer to an attempt under way."""
        found = self.attempts.pop((request, attempt))
        self._teach(found, None)
        trip_ns, rate, factor = self.belief.latest()
        if link_at_fault or (found.first_ack_ns is None and now_ns >= found.useful_until_ns):
            self._lose(now_ns)
        elif fault == OVERLOADED:
            waits_ns = self._limits.overload_queue_ns
            self.belief.observe(now_ns=now_ns, trip_ns=trip_ns, ns_per_byte=rate, factor=factor, queue_ns=waits_ns)
        elif found.first_ack_ns is not None:  # stopped or too late: the time that passed still teaches
            crossed = found.first_ack_ns - found.sent_ns
            slowest = (now_ns - found.first_ack_ns) / max(1, found.payload_bytes)  # at least as slow as this
            per_byte = max(rate, slowest)
            self._observe(crossed, per_byte, factor, 0, found.cloud_median_ns, late=True, now_ns=now_ns)

    def weights(self, now_ns: int) -> Floats:
        """(samples,): how much each sample of the belief counts now."""
        return self.belief.weights(now_ns, self._suspect if self.attempts else None)

    def _suspect(self, now_ns: int, usual_ns: float) -> tuple[float, float] | None:
        """(trip in ns, ns per byte) that the newest attempt which takes longer than usual gives to expect; None if none does.

        Half as much again as it has taken so far: of what is not over yet, as much is to come as has been (Gott), or less.
        """
        for each in reversed(self.attempts.values()):
            if each.sent_ns <= self._answered_ns:
                return None  # what was sent later has been answered: this one's trouble is its own, or over
            age, latest = now_ns - each.sent_ns, self.belief.latest()
            whole = each.predicted_network_ns + each.cloud_median_ns  # at least 1 (choosing.py)
            if each.first_ack_ns is None:
                if self._acknowledges and age > SILENCE * usual_ns:
                    return age * 1.5, latest[1]
            elif age > SILENCE * whole + SLACK_NS:
                return each.first_ack_ns - each.sent_ns, latest[1] * 1.5 * age / whole
        return None

    def lose_silent(self, now_ns: int) -> list[Attempt]:
        """Attempts whose silence has lasted too long; each counts as a loss."""
        silent = [each for each in self.attempts.values() if now_ns >= each.lost_at_ns]
        for each in silent:
            del self.attempts[each.request, each.attempt]
            self._teach(each, None)
            self._lose(now_ns)
        return silent

    def _teach(self, attempt: Attempt, latency_ns: int | None) -> None:
        if self._learn_from is not None:
            self._learn_from(Feedback(attempt.request, attempt.arm, latency_ns))

    def _lose(self, now_ns: int) -> None:
        self.belief.lost(now_ns)
        self._records.append(r.RemoteObserved(self.name, 0.0, 0.0, 0.0, late=True, lost=True))
        self.signal(Signal.FAILED, now_ns)

    def _learn(
        self, found: Attempt, network_ns: int, factor: float, queue_ns: int, crossed: int, *, late: bool, now_ns: int
    ) -> None:
        """Split the time on the network into the first acknowledgement's trip and the rest, by the bytes that crossed."""
        if found.first_ack_ns is None:  # a server that does not acknowledge: the rate stays as it was believed
            per_byte = self.belief.latest()[1]
            trip = max(0.0, network_ns - per_byte * crossed)
        else:
            trip = min(found.first_ack_ns - found.sent_ns, network_ns)
            per_byte = (network_ns - trip) / max(1, crossed)
        if found.predicted_network_ns > 0:  # of a part: what all of it would have taken at this rate
            whole_ns = network_ns + per_byte * (found.payload_bytes - crossed)
            self.belief.bound.observe(whole_ns / found.predicted_network_ns)
        self._observe(trip, per_byte, factor, queue_ns, found.cloud_median_ns, late=late, now_ns=now_ns)

    def _observe(
        self, trip: float, per_byte: float, factor: float, queue_ns: int, cloud_ns: float, *, late: bool, now_ns: int
    ) -> None:
        self.belief.observe(now_ns=now_ns, trip_ns=trip, ns_per_byte=per_byte, factor=factor, queue_ns=queue_ns)
        rate, cloud_ms = 8e3 / per_byte if per_byte > 0 else 0.0, factor * cloud_ns / 1e6
        self._records.append(r.RemoteObserved(self.name, trip / 1e6, rate, cloud_ms, late=late, lost=False))

    def look_ns(self) -> int | None:
        """When to look at it again: a probe is due, or the silence of an attempt becomes a loss."""
        due = self.probe_due_ns()
        for each in self.attempts.values():
            if due is None or each.lost_at_ns < due:
                due = each.lost_at_ns
        return due

    def probe_due_ns(self) -> int | None:
        """When the next probe should leave, or the one under way be given up; None when nobody wants the link."""
        if self._probe is not None:
            return self._probe_ends_ns
        if self.breaker.state is State.OPEN:
            due = self.breaker.retry_at_ns
        else:
            limits = self._limits
            unused_ns = 0 if self._used_ns is None else self._heard_ns - self._used_ns
            due = self._heard_ns + min(max(limits.probe_silence_ns, unused_ns // 4), limits.probe_silence_max_ns)
        return due if self.trusted and due <= self.wanted_ns + _ACTIVE_NS else None

    def probe_if_due(self, now_ns: int) -> int:
        """Probe if it is time; returns the bytes that this costs. A probe of which nothing is heard is lost."""
        if self._probe is not None and now_ns >= self._probe_ends_ns:
            self.probed(r.ProbeLost(self._probe), now_ns)
        due = self.probe_due_ns()
        if self._probe is not None or due is None or now_ns < due:
            return 0
        self._probes += 1
        self._probe = self._probes
        self._heard_ns = now_ns
        self._used_ns = now_ns if self._used_ns is None else self._used_ns
        self._probe_ends_ns = now_ns + self._limits.probe_timeout_ns + self._limits.probe_margin_ns
        fresh = self.breaker.state is not State.CLOSED
        self.signal(Signal.PROBE_SENT, now_ns)
        limits = self._limits
        size = int(limits.probe_sending_ns / max(1.0, self.belief.latest()[1]))
        size = max(limits.probe_bytes_min, min(size, limits.probe_bytes))
        self._actions.append(r.Probe(self._probe, self.name, size, fresh, limits.probe_timeout_ns))
        return size

    def probed(self, event: r.ProbeAnswered | r.ProbeLost, now_ns: int) -> bool:
        """Learn from a probe's end; False if it is not the one under way."""
        if event.probe != self._probe:
            return False
        self._probe = None
        if isinstance(event, r.ProbeLost):
            if self.open_for_requests:  # in an outage, lost probes would only push out what is known of the good days
                self.belief.lost(now_ns)
            self.signal(Signal.PROBE_LOST, now_ns)
            return True
        trip, factor = event.round_trip_ns, self.belief.latest()[2]
        rest_ns, rest_bytes = event.transfer_ns - trip, event.payload_bytes - FIRST_CHUNK_BYTES
        per_byte = rest_ns / rest_bytes if rest_ns > 0 and rest_bytes > 0 else self.belief.latest()[1]
        self._observe(trip, per_byte, factor, 0, 0.0, late=False, now_ns=now_ns)
        self.signal(Signal.PROBE_ANSWERED, now_ns)
        return True

    def up(self, now_ns: int) -> None:
        """The device's network is back: the link is worth a probe at once."""
        self.wanted_ns = now_ns
        self.signal(Signal.UP, now_ns)

    def signal(self, signal: Signal, now_ns: int) -> None:
        """Move the breaker; what an outage made it lose is forgiven when it closes."""
        before, after = self.breaker.signal(signal, now_ns=now_ns)
        if before is after:
            return
        if after is State.CLOSED:
            self.belief.forgive_losses()
        self._records.append(r.BreakerMoved(self.name, before.value, after.value, signal.value))
