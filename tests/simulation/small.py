"""A small world for tests: the demo-shaped table on a steady or given course, with lanes that run as their medians."""

from collections.abc import Callable

from hedgerow.core import ArmTable, Criticality, Margins, Stream
from hedgerow.core import records as r
from hedgerow.simulation.body import Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.course import Course
from hedgerow.simulation.world import Arrival, Setup
from tests.core.world import MS, small_table

MARGINS = Margins(timer_ns=2 * MS, cancel_ns=8 * MS, deliver_ns=MS)


class PlainLanes:
    """Medians times a factor for each request."""

    def __init__(self, table: ArmTable, factors: tuple[float, ...] = (1.0,)) -> None:
        self._medians = {model.name: model.segment_median_ns for model in table.locals}
        self._factors = factors
        crossings = [(arm, arm.crossing) for arm in table.arms if arm.crossing is not None]
        self._encode = {cross.codec: cross.encode_median_ns for _, cross in crossings}
        self._bytes = {cross.codec: cross.up_bytes for _, cross in crossings}

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]:
        factor = self._factors[request % len(self._factors)]
        return tuple(int(each * factor) for each in self._medians[model][first : last + 1])

    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int:
        return self._encode[codec]

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        return self._bytes[codec]


class PlainServer:
    """Answers after a given time, one request not waiting for another."""

    def __init__(self, takes_ns: int = 10 * MS, *, alive: bool = True) -> None:
        self.takes_ns, self.alive = takes_ns, alive

    def submit(self, work: Work, clock: Clock, done: Callable[[Ended], None]) -> None:
        if clock.now_ns + self.takes_ns > work.deadline_ns:
            clock.at(clock.now_ns, done, Ended("too_late"))
        else:
            clock.at(clock.now_ns + self.takes_ns, done, Ended("", 0, 0, self.takes_ns, 1000))


def small_setup(
    course: Course | None = None,
    *,
    count: int = 50,
    period_ms: int = 200,
    deadline_ms: int = 100,
    criticality: Criticality = Criticality.MISSION,
    factors: tuple[float, ...] = (1.0,),
    table: ArmTable | None = None,
    server: Callable[[], PlainServer] = PlainServer,
) -> Setup:
    """One periodic stream on one device."""
    table = table or small_table()
    stream = Stream("camera", deadline_ms * MS, criticality, period_ns=period_ms * MS)
    arrivals = tuple(Arrival(each * period_ms * MS, each * period_ms * MS, "camera", each) for each in range(count))
    course = course or Course.steady(round_trip_ms=30, up_mbps=20, down_mbps=50)
    lanes = PlainLanes(table, factors)
    return Setup(
        "small", table, MARGINS, (stream,), arrivals, course, lambda: lanes, server, limits=r.Limits(audit_share=0.0)
    )
