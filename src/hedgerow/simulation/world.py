"""One device in the virtual world: everything that no policy decides (`Setup`), and what one policy made of it (`Run`).

A setup is made once and run under many policies; all that may change in a run (a lane's heat, a server's queue, the link's
backlog) is made afresh for each, from the same draws. Components of cost are kept apart, so that one run can be priced again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hedgerow.core import Core
from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, Floats
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import Policy
from hedgerow.core.views import PrefixAnswer
from hedgerow.simulation.answering import Answering, Confidences
from hedgerow.simulation.body import Body, LaneTimes, Link, Server, Watch
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.course import Course
from hedgerow.simulation.declared import DisturbedServer, withdrawn_ns
from hedgerow.simulation.declared import body as disturbed_body
from hedgerow.simulation.faults import Fault
from hedgerow.simulation.gauges import Gauges
from hedgerow.simulation.resting import collector_at_rest
from hedgerow.simulation.reusing import MOVING, Scenes, Seen
from hedgerow.simulation.transfer import Direction

Ints = NDArray[np.int64]
SETTLE_NS = 10 * r.SECOND  # after the last capture, until everything is over
NO_ARM = -1


@dataclass(frozen=True)
class Arrival:
    """One sample: moments in ns, its stream's name, and which sample of the profile it is like. `scene`: of a picture that stands
    still, MOVING else; `unnoticed`: the detector takes it for what was there before, and it is not (`reusing.py`)."""

    captured_ns: int
    arrival_ns: int
    stream: str
    sample: int = 0
    deadline_ns: int | None = None  # a length; None: the stream's own
    scene: int = MOVING
    unnoticed: bool = False


@dataclass(frozen=True)
class Setup:
    """One device's world before any policy. `lanes` and `server` make fresh ones; `course` is of the link named in the table."""

    name: str
    table: ArmTable
    margins: r.Margins
    streams: tuple[r.Stream, ...]
    arrivals: tuple[Arrival, ...]
    course: Course
    lanes: Callable[[], LaneTimes]
    server: Callable[[], Server]
    limits: r.Limits = field(default_factory=r.Limits)
    budgets: BudgetSettings | None = None
    agreement: Mapping[str, str] = field(default_factory=dict)  # by arm's name: a 1 or a 0 per sample of the profile
    confidences: Confidences = field(default_factory=dict)  # by model: how sure it is of each sample of the profile
    timer_late_ns: Callable[[int], int] = lambda wake_ns: 0
    cancel_ns: Callable[[int], int] = lambda request: r.MS
    link: str = "cloud"
    events: tuple[tuple[int, r.Event], ...] = ()  # readings that come by themselves: battery, heat
    faults: tuple[Fault, ...] = ()  # beyond what they do to course, arrivals, lanes and server, which is done already
    seed: int = 0
    gauges: Callable[[], Gauges] | None = None

    @cached_property
    def answering(self) -> Answering:
        """How good whose answers are."""
        return Answering(self.table, self.agreement, self.confidences)

    def confidence(self, request: int, model: str) -> float | None:
        """How sure this model is of its answer to this request; None where nobody knows."""
        known = self.confidences.get(model)
        return known[self.arrivals[request].sample % len(known)] if known else None


@dataclass
class Run:
    """What came of each request (arrays over requests): lengths from capture in ns, mJ, bytes; `told_ns` -1: never told.

    `quality`: calibrated agreement of the answer that was delivered in time (`answering.py`), 0 for a late or missing one.
    `agrees`: whether that answer agrees with the reference at this sample. `reserve`: a remote arm was chosen and its reserve had
    to start. `stood_in`: a remote arm was chosen, nothing came of it, and no gate stopped it: the device's answer was delivered.
    `stopped`: its answer stood at a gate.
    """

    policy: str
    told_ns: Ints
    late: NDArray[np.bool_]
    status: list[str]
    source: list[str]
    arm: list[str]
    quality: Floats
    agrees: NDArray[np.bool_]
    reserve: NDArray[np.bool_]
    energy_mj: Floats
    up_bytes: Floats
    cloud_ns: Floats
    exceeded_ns: list[int]
    chosen: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    stood_in: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    stopped: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    probe_mj: float = 0.0
    probe_bytes: int = 0
    steps: int = 0
    probes: int = 0
    traffic_money: Floats | None = None  # where an allowance makes it another sum than bytes times the price
    gauges: Gauges | None = None
    radio_mj: float = 0.0  # of the radio's own model, all in all; 0 without one

    def money(self, table: ArmTable) -> Floats:
        """What traffic and cloud time of each request cost; probes are spread over all of them."""
        bytes_ = self.up_bytes + self.probe_bytes / max(1, len(self.up_bytes))
        traffic = bytes_ * (table.money_per_mb * 1e-6) if self.traffic_money is None else self.traffic_money
        found: Floats = traffic + self.cloud_ns * (table.money_per_cloud_s * 1e-9)
        return found

    def cost_mj(self, prices: r.Prices, table: ArmTable) -> Floats:
        """Cost of each request by DESIGN.md's sum; probes are spread over all of them."""
        money = self.money(table)
        cost = self.energy_mj + self.probe_mj / max(1, len(self.energy_mj)) + money * prices.money_mj
        found: Floats = cost + prices.disagreement_mj * (1.0 - self.quality) + prices.reserve_mj * self.reserve
        return found


class Recorder:
    """Sees every step of one device's core and keeps what `Run` needs."""

    def __init__(self, setup: Setup, policy: Policy) -> None:
        count = len(setup.arrivals)
        self._setup, self._is_remote = setup, setup.table.is_remote.tolist()
        self._columns = {arm.name: column for column, arm in enumerate(setup.table.arms)}
        self.told = np.full(count, -1, np.int64)
        self.chosen = np.full(count, NO_ARM, np.int64)
        self.status, self.source, self.arm = [""] * count, [""] * count, [""] * count
        self.model = [""] * count
        self.stopped = np.zeros(count, np.bool_)
        self.part: dict[int, float] = {}  # of how much of what was sent a remote answer came, where not of all
        self.again: dict[int, int] = {}  # of which request's answer a request was given again
        self.reserve = np.zeros(count, np.bool_)
        self.exceeded: list[int] = []
        self.delivered = [0] * count

    def see(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        if type(event) is r.DeliveryTook:  # handing it over ended only now
            self.told[event.request] = now_ns
        for record in outcome.records:
            kind = type(record)
            if kind is r.Decision:
                self.chosen[record.request] = self._columns.get(record.arm, NO_ARM)  # type: ignore[union-attr]
            elif kind is r.ReserveStarted:
                column = self.chosen[record.request]  # type: ignore[union-attr]
                self.reserve[record.request] = column >= 0 and self._is_remote[column]  # type: ignore[union-attr]
            elif kind is r.Reused:
                self.again[record.request] = record.answer_of  # type: ignore[union-attr]
            elif kind is r.BoundExceeded:
                self.exceeded.append(now_ns)
            elif kind is PrefixAnswer:
                self.part[record.request] = record.prefix_bytes / record.payload_bytes  # type: ignore[union-attr]
        for action in outcome.actions:
            if type(action) is r.Deliver:
                request = action.request
                self.delivered[request] += 1
                self.told[request] = now_ns
                self.status[request], self.source[request] = action.status._value_, action.source._value_
                self.arm[request], self.model[request] = action.arm, action.model
                self.stopped[request] = action.reason is r.Reason.CONFIDENT_AT_GATE

    def _worth(self, request: int) -> tuple[float, bool]:
        """(calibrated quality, whether it agrees) of the answer that this request was given in time; that of another picture, given
        again, is held to be wrong."""
        arrivals, answering, whose = self._setup.arrivals, self._setup.answering, self.again.get(request, request)
        mine, theirs = arrivals[request], arrivals[whose]
        if whose != request and (mine.scene == MOVING or mine.scene != theirs.scene):
            return 0.0, False
        column = self._columns.get(self.arm[whose], NO_ARM)
        if self.source[whose] == "remote":
            known = (column, mine.sample, self.part.get(whose, 1.0))
            return answering.remote_quality(*known), answering.remote_agrees(*known)
        model = self.model[whose]
        return answering.local_quality(column, model, mine.sample), answering.local_agrees(model, mine.sample)

    def run(self, policy: str, body: Body, gauges: Gauges | None = None) -> Run:
        """Everything as arrays, once the world is over."""
        setup, tally = self._setup, body.tally
        count = len(setup.arrivals)
        captured = np.array([each.captured_ns for each in setup.arrivals], np.int64)
        deadlines = {stream.name: stream.deadline_ns for stream in setup.streams}
        lengths = (deadlines[each.stream] if each.deadline_ns is None else each.deadline_ns for each in setup.arrivals)
        due = captured + np.fromiter(lengths, np.int64, count)
        answered = np.array([source in ("local", "remote", "reused") for source in self.source], np.bool_)
        late = (self.told < 0) | (self.told > due) | ~answered
        quality, agrees = np.zeros(count), np.zeros(count, np.bool_)
        for request in np.flatnonzero(~late).tolist():
            quality[request], agrees[request] = self._worth(request)
        remote = np.array([column >= 0 and self._is_remote[column] for column in self.chosen.tolist()], np.bool_)
        stood_in = remote & ~self.stopped & np.array([source == "local" for source in self.source], np.bool_)

        def spread(values: dict[int, float] | dict[int, int]) -> Floats:
            found = np.zeros(count)
            for request, value in values.items():
                found[request] = value
            return found

        return Run(
            policy, np.where(self.told < 0, -1, self.told - captured), late, self.status, self.source, self.arm, quality,
            agrees, self.reserve, spread(tally.energy_mj), spread(tally.up_bytes), spread(tally.cloud_ns), self.exceeded,
            self.chosen, stood_in, self.stopped, tally.probe_mj, tally.probe_bytes, body.post_steps, tally.probes,
            None if gauges is None else gauges.traffic_money(count), gauges,
            0.0 if gauges is None else gauges.radio_mj(body.clock.now_ns),
        )  # fmt: skip


def build(
    setup: Setup,
    policy: Policy,
    prices: r.Prices,
    *,
    clock: Clock | None = None,
    watch: Watch | None = None,
    link: Link | None = None,
    device: int = 0,
    planned: bool = True,
) -> Body:
    """A device of this setup under this policy, its arrivals `planned` on the clock. `link`: one that it shares with others."""
    clock = clock or Clock()
    core = Core(
        setup.table,
        policy=policy,
        streams=setup.streams,
        limits=setup.limits,
        margins=setup.margins,
        prices=prices,
        budgets=setup.budgets,
    )
    server = setup.server()
    if isinstance(server, DisturbedServer):
        server.begin(clock)
    body = disturbed_body(
        core,
        clock,
        setup.lanes(),
        {setup.link: link or Link(Direction(setup.course, up=True), Direction(setup.course, up=False))},
        {setup.link: server},
        setup.faults,
        setup.seed,
        device=device,
        timer_late_ns=setup.timer_late_ns,
        cancel_ns=setup.cancel_ns,
        confidence=setup.confidence,
        watch=watch,
    )
    arrive = _comparing(setup, body)
    for number, each in enumerate(setup.arrivals if planned else ()):
        event = r.RequestArrived(number, each.stream, each.captured_ns, each.deadline_ns)
        clock.line_up(each.arrival_ns, arrive, event)
        if (moment := withdrawn_ns(setup.faults, setup.seed, number, each.arrival_ns)) is not None:
            clock.at(moment, body.post, r.RequestWithdrawn(number))
    for moment, reading in setup.events:
        clock.at(moment, body.post, reading)
    return body


def _comparing(setup: Setup, body: Body) -> Callable[[r.RequestArrived], None]:
    """How a sample comes to the core: compared with the one whose answer is kept, where its stream declares reuse."""
    below = {each.name: each.reuse_below for each in setup.streams if each.reuse_below is not None}
    if not below:
        return body.post
    scenes = Scenes([Seen(each.stream, each.scene, each.unnoticed) for each in setup.arrivals], below)
    body.tell_deliveries(scenes.delivered)
    return lambda event: body.post(scenes.compared(event) if event.stream in below else event)


def end_ns(setup: Setup) -> int:
    """When everything is over."""
    return (setup.arrivals[-1].arrival_ns if setup.arrivals else 0) + SETTLE_NS


def run(setup: Setup, policy: Policy, prices: r.Prices, *, watch: Watch | None = None) -> Run:
    """The whole of one setup under one policy."""
    recorder = Recorder(setup, policy)

    def see(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        recorder.see(now_ns, event, outcome)
        if watch is not None:
            watch(now_ns, event, outcome)

    body = build(setup, policy, prices, watch=recorder.see if watch is None else see)
    gauges = None if setup.gauges is None else setup.gauges()
    if gauges is not None:
        gauges.attach(body)
    with collector_at_rest():
        body.clock.run(end_ns(setup))
    return recorder.run(policy.name, body, gauges)
