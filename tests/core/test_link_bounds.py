"""How long a link stays in one state, whatever its shell reports or keeps to itself: the bounds that `breaker` states."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core import records as r
from hedgerow.core.breaker import Signal, State
from hedgerow.core.link import Attempt, Link
from hedgerow.core.records import MS, SECOND, Limits

KINDS = ("wait", "send", "ack", "answer", "fail", "refuse", "down", "up", "probe answered", "probe lost", "old report")


class Walk:
    """A link that is always wanted; the clock stops at every moment at which the core would wake."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.records: list[r.Record] = []
        self.actions: list[r.Action] = []
        self.link = Link("cloud", limits, self.records, self.actions)
        self.now = self.requests = 0
        self.since = self.heard = self.used_since = self.used_stay = 0
        self.used_last = -SECOND * 60
        self.stays: dict[State, int] = dict.fromkeys(State, 0)
        self._before = self.link.breaker.state

    def pass_time(self, until: int) -> None:
        while True:
            self.link.wanted_ns = self.now
            self.link.lose_silent(self.now)
            self.link.probe_if_due(self.now)
            self.look()
            due = self.link.probe_due_ns()
            moments = [each.lost_at_ns for each in self.link.attempts.values()] + ([] if due is None else [due])
            wake = min((moment for moment in moments if moment > self.now), default=until)
            assert not [moment for moment in moments if moment <= self.now], "a wake-up in the past"
            if wake >= until:
                self.now = until
                return
            self.now = wake

    def look(self) -> None:
        """Note how long the state has lasted; a closed link's stay counts from when something was last heard."""
        begun = max(self.since, self.heard) if self._before is State.CLOSED else self.since
        self.stays[self._before] = max(self.stays[self._before], self.now - begun)
        used = (
            self.now - self.used_last <= 4 * self.limits.probe_silence_ns
        )  # requests are sent into it, and nothing is heard
        if self._before is State.CLOSED and used and self.used_since >= begun:
            self.used_stay = max(self.used_stay, self.now - self.used_since)
        if self.link.breaker.state is not self._before:
            self._before, self.since = self.link.breaker.state, self.now

    def report(self, kind: str) -> None:
        self.look()
        link, now = self.link, self.now
        attempt = next(iter(link.attempts), None)
        probe = next((each for each in reversed(self.actions) if isinstance(each, r.Probe)), None)
        match kind:
            case "send":
                self.requests += 1
                if (
                    self.used_since < max(self.heard, self.since)
                    or now - self.used_last > 4 * self.limits.probe_silence_ns
                ):
                    self.used_since = now
                self.used_last = now
                times = (now + 10 * SECOND, now + 60 * SECOND)  # background: for long no loss by itself
                link.sent(Attempt(self.requests, 1, now, 1000, 5.0 * MS, 10.0 * MS, *times))
            case "ack" if attempt:
                self.heard = now
                link.acked(*attempt, 500, now_ns=now)
            case "answer" if attempt:
                self.heard = now
                link.answered(*attempt, queue_ns=0, cloud_ns=MS, now_ns=now)
            case "fail" if attempt:
                link.failed(*attempt, fault="link", link_at_fault=True, now_ns=now)
            case "refuse" if attempt:
                link.failed(*attempt, fault="too_large", link_at_fault=False, now_ns=now)
            case "down":
                link.signal(Signal.DOWN, now)
            case "up":
                link.up(now)
            case "probe answered" if probe:
                if link.probed(r.ProbeAnswered(probe.probe, MS, MS, 8192), now):
                    self.heard = now
            case "probe lost" if probe:
                link.probed(r.ProbeLost(probe.probe), now)
            case "old report" if probe and probe.probe > 1:
                assert not link.probed(r.ProbeAnswered(probe.probe - 1, MS, MS, 8192), now)
            case _:
                pass
        self.look()


@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 900)), min_size=5, max_size=80),
    st.integers(0, 2**62),
    st.integers(1, 4),
)
def test_no_state_outlasts_its_bound(events: list[tuple[str, int]], seed: int, failures_to_open: int) -> None:
    limits = Limits(seed=seed, failures_to_open=failures_to_open)
    walk = Walk(limits)
    for kind, passed_ms in events:
        walk.pass_time(walk.now + passed_ms * MS)
        walk.report(kind)
    walk.pass_time(walk.now + 30 * SECOND)  # and then nothing is reported any more
    probing = limits.probe_timeout_ns + limits.probe_margin_ns
    assert walk.stays[State.PROBING] <= probing
    assert walk.stays[State.OPEN] <= max(1.25 * limits.reopen_last_ns, probing)
    assert walk.stays[State.CLOSED] <= limits.failures_to_open * (limits.probe_silence_max_ns + probing)
    assert walk.used_stay <= limits.failures_to_open * (limits.probe_silence_ns + probing)
    assert walk.link.breaker.state is not State.CLOSED
    assert not walk.link.open_for_requests
