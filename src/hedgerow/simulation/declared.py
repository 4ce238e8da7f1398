"""Faults that a scenario declares, laid over its world: the very mechanisms of the campaign (faulty.py) around measured lanes and
the queueing cloud.

Rules: a fault comes once at its moment, also where the link's course begins again; what it does is a function of the seed, the
request and the moment, so every policy meets the same; a fault that never comes about changes nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hedgerow.core import Core
from hedgerow.core import records as r
from hedgerow.simulation.body import Body, Ended, LaneTimes, Link, Server, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.course import Course
from hedgerow.simulation.faults import Fault, Sample, disturb_samples, shape
from hedgerow.simulation.faulty import FaultyBody, Kinds, LaneFaults, ServerFaults, chance, on
from hedgerow.simulation.servers import QueueServer

WITHDRAWN_SHARE = 0.3
WRONG_CODEC = "wrong_codec"
LIES_AGREE = 0.2  # how often the answer of a server that lies is right by chance


def shaped(course: Course, faults: Sequence[Fault], until_ns: int) -> Course:
    """The course with what the faults do to the link, written out as far as `until_ns`."""
    if not faults:
        return course
    laid = course.unrolled(max(until_ns, *(fault.until_ns + 1 for fault in faults)))
    for fault in faults:
        laid = shape(laid, fault)
    return laid


def disturbed(samples: list[Sample], faults: Sequence[Fault], deadlines_ns: Sequence[int]) -> list[Sample]:
    """The samples as the faults make them, numbered anew in the order of arrival."""
    for fault in faults:
        disturb_samples(samples, fault, deadlines_ns)
    samples.sort(key=lambda each: (each.arrival_ns, each.request))
    return [replace(each, request=number) for number, each in enumerate(samples)]


class DisturbedLanes:
    """Lanes that take longer while the device is disturbed."""

    def __init__(self, lanes: LaneTimes, faults: Kinds, seed: int) -> None:
        self._lanes, self._faults = lanes, LaneFaults(faults, seed)
        self.heat = getattr(lanes, "heat", None)
        self.worked: Callable[[int, int], None] | None = getattr(lanes, "worked", None)

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]:
        return self._faults.segments_ns(request, self._lanes.segments_ns(request, model, first, last, now_ns), now_ns)

    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int:
        return self._faults.encode_ns(self._lanes.encode_ns(request, model, joint, codec, now_ns), now_ns)

    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int:
        return self._lanes.payload_bytes(request, model, joint, codec)

    def may_exceed(self, request: int, model: str) -> bool:
        """Nobody keeps count here: the core notices by itself."""
        return False


class DisturbedServer:
    """A queueing cloud that dies, stops, slows, or refuses; `begin` plans its deaths on the clock.

    `calibrated`: what it decodes only with a calibration, as "MODEL@JOINT:CODEC". A new server has none: it refuses these as
    "wrong_codec" until a device that it has refused probes it, for then the device introduces itself again (device/network.py).
    """

    def __init__(self, server: QueueServer, faults: Kinds, link: str, calibrated: Collection[str] = ()) -> None:
        self.inner, self._faults, self._calibrated = server, ServerFaults(faults, link), frozenset(calibrated)
        self._introduced_ns, self._refused_codec = 0, False
        server.lengthen = self._lengthened
        self._clock: Clock | None = None

    def begin(self, clock: Clock) -> None:
        """To be called before anything runs; a second call, by another device, does nothing."""
        if self._clock is not None:
            return
        self._clock = clock
        for kill in self._faults.kills:
            clock.at(kill.from_ns, partial(self.inner.crash, clock, down_ns=kill.for_ns))

    @property
    def alive(self) -> bool:
        dead = self._clock is not None and self._faults.dead(self._clock.now_ns)
        return not dead and self.inner.alive

    def submit(self, work: Work, clock: Clock, done: Callable[[Ended], None]) -> None:
        refusal = self._faults.refusal(work, clock.now_ns)
        if not refusal and self._forgot(work, clock.now_ns):
            refusal, self._refused_codec = WRONG_CODEC, True
        if refusal:
            clock.at(clock.now_ns, done, Ended(refusal))
        else:
            self.inner.submit(work, clock, lambda ended: self._leaves(ended, clock, done))

    def probed(self) -> None:
        """A probe was answered."""
        if self._refused_codec and self._clock is not None:
            self._introduced_ns, self._refused_codec = self._clock.now_ns, False

    def _forgot(self, work: Work, now_ns: int) -> bool:
        if not any(self._introduced_ns < kill.until_ns <= now_ns for kill in self._faults.kills):
            return False
        return f"{work.model}@{work.joint}:{work.codec}" in self._calibrated

    def _leaves(self, ended: Ended, clock: Clock, done: Callable[[Ended], None]) -> None:
        end_ns = self._faults.end_ns(clock.now_ns)
        if self._faults.dead(clock.now_ns):
            done(Ended("link"))
        elif end_ns > clock.now_ns:
            clock.at(end_ns, done, ended)
        else:
            done(ended)

    def _lengthened(self, segments_ns: tuple[int, ...], now_ns: int) -> tuple[int, ...]:
        whole = sum(segments_ns)
        more = self._faults.compute_ns(whole, now_ns) - whole
        return segments_ns if not more else (segments_ns[0] + more, *segments_ns[1:])


def body(
    core: Core, clock: Clock, lanes: LaneTimes, links: dict[str, Link], servers: dict[str, Server],
    faults: Sequence[Fault], seed: int, **settings: Any,
) -> Body:  # fmt: skip
    """A device that meets these faults, or a plain one where there are none."""
    if not faults:
        return Body(core, clock, lanes, links, servers, **settings)
    kinds = Kinds(faults)
    lies = kinds["liar"]

    def agrees(compare: r.Compare) -> bool | None:
        return on(lies, clock.now_ns) is None or chance(seed, compare.request, 31) < LIES_AGREE

    return FaultyBody(
        core, clock, lanes, links, servers, faults=kinds, seed=seed, on_excess=lambda now_ns: None,
        agrees=agrees, **settings,
    )  # fmt: skip


def withdrawn_ns(faults: Sequence[Fault], seed: int, request: int, arrival_ns: int) -> int | None:
    """The moment at which its caller withdraws this request, if it does."""
    for fault in faults:
        lasts = fault.kind == "withdraw" and fault.from_ns <= arrival_ns < fault.until_ns
        if lasts and chance(seed, request, 34) < WITHDRAWN_SHARE:
            return arrival_ns + int(chance(seed, request, 35) * 100 * r.MS)
    return None
