"""Whether the cloud's answers can be believed: some of them are compared with the device's own.

A cloud that is compromised or broken may answer punctually, well formed and wrong. Rules:

1. Where both answers are there anyway (advice, a reserve that was ready) they are compared; of the other remote answers a
   share, drawn by `chance`: the device's model then runs afterwards as optional work, gives way to everything at its next
   joint, and is dropped when no room came within `audit_wait_ns`. No answer waits for an audit.
2. What is expected: remote and own answer differ with probability at most (1 - quality) of the one (from the first part of a
   payload: that part's) + (1 - quality) of the other (union bound) + `audit_allowance`, which stands for what calibration cannot know.
3. Disagreement beyond that ends the link's trust by a test that holds however long it runs: if each counted answer, given
   all before it, differs with at most its expected probability p, trust is ever lost with probability at most
   `audit_false_alarm`. Neighbouring samples are alike, so only one answer every `audit_spacing_ns` counts.
4. Answers that were drawn because they came alone have a test and a spacing of their own, each test half the rate: a cloud
   can foretell when both will be there (it need only be slow), and must not outweigh by these what it says elsewhere.
5. Only the operator restores trust (`TrustRestored`); the test then begins anew.

The test bets against its hypothesis (Ville 1939; Waudby-Smith and Ramdas 2024). Before the n-th audit 1 / (n (n + 1)) of the
initial wealth of 1 joins the game, shared by bets of several sizes s; a bet's wealth is then multiplied by 1 - s after an
agreement and by 1 + s (1 - p) / p after a disagreement. Neither raises the expected total while the hypothesis holds: total
wealth is a non-negative supermartingale and reaches 1 / a with probability at most a. As stakes keep coming, n good audits
delay an alarm only by the logarithm of n^2.
"""

from typing import Final

from hedgerow.core import records as r
from hedgerow.core.arms import LocalModel
from hedgerow.core.chance import RANGE, draw
from hedgerow.core.flight import Audit, Flight, Job
from hedgerow.core.link import Link

BETS: Final = (0.1, 0.3, 0.6, 0.95)
_LEAST: Final = 1e-3  # no calibration shows less


class Trust:
    """One test, over when `observe` says so; `false_alarm` is its own rate."""

    def __init__(self, false_alarm: float) -> None:
        self._false_alarm = false_alarm
        self._wealth = [0.0] * len(BETS)
        self.next_ns = 0
        self.audited = self.disagreed = 0
        self.expected = 0.0

    @property
    def wealth(self) -> float:
        """All that is won and all that is not yet bet; 1 before the first audit."""
        return sum(self._wealth) / len(BETS) + 1.0 / (self.audited + 1)

    def observe(self, agrees: bool, expected: float) -> bool:
        """Count one audit whose answers differ with probability `expected` (0 < p < 1) at most; True if it ends the trust."""
        self.audited += 1
        self.disagreed += not agrees
        self.expected += expected
        stake = 1.0 / (self.audited * (self.audited + 1))
        for index, size in enumerate(BETS):
            factor = 1.0 - size if agrees else 1.0 + size * (1.0 - expected) / expected
            self._wealth[index] = (self._wealth[index] + stake) * factor
        return self.wealth * self._false_alarm >= 1.0


class Audits:
    """The audits under way. `records` and `actions` are the core's lists of the present step."""

    def __init__(
        self, limits: r.Limits, models: tuple[LocalModel, ...], links: dict[str, Link], records: list[r.Record],
        actions: list[r.Action],
    ) -> None:  # fmt: skip
        self._limits, self._models, self._links = limits, models, links
        self._records, self._actions = records, actions
        self._trust: dict[tuple[str, bool], Trust] = {}
        for link in links.values():
            self.restore(link)
        self.flights: dict[int, Flight] = {}

    def consider(self, flight: Flight, now_ns: int) -> None:
        """A remote answer was accepted: compare it now, or once the device has answered as well, or not at all."""
        limits, arm = self._limits, flight.arm
        assert arm is not None
        assert arm.crossing is not None
        link = self._links[arm.crossing.link]
        alone = flight.result is None
        trust = self._trust[link.name, alone]
        models = [each for each in self._models if each.name not in flight.failed]
        model = flight.result or min(models, key=lambda each: each.tail_bound_ns[0], default=None)
        wanted = limits.audit_share > 0 and link.trusted
        if model is None or not wanted or len(self.flights) >= limits.audits_max or now_ns < trust.next_ns:
            return
        if alone and draw(limits.seed, "audit", flight.request) >= limits.audit_share * RANGE:
            return
        expected = max(limits.audit_allowance + (1.0 - flight.remote_quality) + (1.0 - model.quality), _LEAST)
        if expected < 1.0:  # else no answer could be unexpected
            trust.next_ns = now_ns + limits.audit_spacing_ns
            first = flight.joints.get(model.name, -1) + 1
            flight.audit = Audit(link.name, alone, model, expected, now_ns + limits.audit_wait_ns, first)
            self.flights[flight.request] = flight
            self._compare_if_run(flight, flight.audit)

    def ran(self, job: Job, event: r.RunDone | r.EncodeDone | r.JobEnded) -> None:
        """A job of an answered request has ended."""
        audit = job.flight.audit
        if audit is None or audit.first is None or job.model != audit.model.name:
            return
        if isinstance(event, r.RunDone):
            audit.first = event.last + 1
            self._compare_if_run(job.flight, audit)
        elif isinstance(event, r.JobEnded) and event.failure is not None:
            self._end(job.flight)

    def _compare_if_run(self, flight: Flight, audit: Audit) -> None:
        if audit.first is not None and audit.first > audit.model.last:
            audit.first = None
            self._actions.append(r.Compare(flight.request, audit.model.name))

    def compared(self, event: r.Compared) -> list[Flight]:
        """The shell has compared: learn from it. Returns whose audit this ends: none if it was not asked for, or is over."""
        flight = self.flights.get(event.request)
        audit = flight.audit if flight else None
        if flight is None or audit is None or audit.first is not None or audit.model.name != event.model:
            self._records.append(r.Ignored("Compared", event.request))
            return []
        self._end(flight)
        link, trust = self._links[audit.link], self._trust[audit.link, audit.alone]
        if event.agrees is not None and link.trusted and trust.observe(event.agrees, audit.expected):
            link.trusted = False
            figures = (trust.audited, trust.disagreed, round(trust.expected, 4), round(trust.wealth, 4))
            self._records.append(r.RemoteDistrusted(audit.link, *figures, self._limits.audit_false_alarm))
        return [flight]

    def restore(self, link: Link) -> None:
        """The operator trusts the link again: its tests begin anew."""
        link.trusted = True
        for alone in (True, False):
            self._trust[link.name, alone] = Trust(self._limits.audit_false_alarm / 2)

    def expired(self, now_ns: int) -> list[Flight]:
        """End and return those that found no room in time."""
        over = [each for each in self.flights.values() if each.audit is not None and now_ns >= each.audit.until_ns]
        for flight in over:
            self._end(flight)
        return over

    def _end(self, flight: Flight) -> None:
        flight.audit = None
        self.flights.pop(flight.request, None)
