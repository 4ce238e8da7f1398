"""What the streams may count on at present: which local models may answer them, how many of their samples are taken.

Without a certificate: every model, every sample, for good. With one: what its mode in force says (core/certificate.py), and
what the proof assumes of the streams is watched: captures no closer than declared, arrivals no later after them.
"""

from collections.abc import Iterator

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, LocalModel
from hedgerow.core.certificate import Allowance, Certificate, Governor, Mode
from hedgerow.core.flight import Flight
from hedgerow.core.records import Reason, Status
from hedgerow.errors import UsageError

_ROUNDING = 1000  # a capture may be closer than the declared distance by this part of it: clocks of cameras are rounded


class Modes:
    """The streams and their allowances. `records` is the core's list of the present step."""

    def __init__(
        self, table: ArmTable, limits: r.Limits, certificate: Certificate | None, records: list[r.Record]
    ) -> None:
        self.governor = None if certificate is None else Governor(certificate, records)
        self.streams: dict[str, r.Stream] = {}
        self._locals, self._limits = table.locals, limits
        self._every = tuple(each.name for each in table.locals)
        self._free: dict[str, Allowance] = {}  # what each stream may count on when nothing is certified
        # of each stream: samples so far, and the last one's place on its grid
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def mode(self) -> Mode | None:
        """The mode whose rules are in force."""
        return None if self.governor is None else self.governor.mode

    @property
    def proven(self) -> str:
        """The name of the mode in force, if its proof stands; else empty."""
        return self.governor.mode.name if self.governor is not None and self.governor.certified else ""

    def open(self, stream: r.Stream) -> None:
        """Take a stream, or its new settings; UsageError past the limit or if it is not as it was certified."""
        if stream.name not in self.streams and len(self.streams) >= self._limits.streams_max:
            raise UsageError(f"more than {self._limits.streams_max} streams")
        if self.governor is not None and self.governor.certificate.stream(stream.name) != stream:
            raise UsageError(f"stream '{stream.name}' is not as it was certified; certify it again as it is now")
        self.streams[stream.name] = stream
        self._free[stream.name] = Allowance(stream.name, self._every)

    def allowance(self, stream: str) -> Allowance:
        """What this stream may count on now."""
        return self._free[stream] if self.governor is None else self.governor.mode.allowance(stream)

    def reserves(self, stream: str) -> tuple[LocalModel, ...]:
        """The local models that may answer this stream now."""
        if self.governor is None:
            return self._locals
        names = self.allowance(stream).reserves
        return tuple(each for each in self._locals if each.name in names)

    def promises(self, stream: r.Stream) -> bool:
        """Whether a proof says that a sample of this stream is answered, or gets its safe value, in time."""
        return self.governor is not None and bool(self.proven) and stream.criticality is not r.Criticality.BACKGROUND

    def ended(self, flight: Flight, status: Status, reason: Reason, now_ns: int) -> None:
        """A request ends so: what was promised and is not kept breaks the proof."""
        if self.governor is None:
            return
        kept = status is Status.ANSWERED or reason in (Reason.WITHDRAWN, Reason.LOWER_RATE)
        if status is Status.SAFE_VALUE and not self.allowance(flight.stream.name).reserves:
            kept = now_ns <= flight.deadline_ns  # it is what the mode promises
        if flight.promised and not kept:
            how = f"request {flight.request} of '{flight.stream.name}' ended {status.value} ({reason.value})"
            self.governor.broken(how, now_ns, flight.captured_ns)

    def expected(self) -> list[tuple[r.Stream, tuple[str, ...], int]]:
        """For the desks: each stream, the models that may answer it, and of how many samples one is taken.

        As in the most demanding of the modes that may return: what is put off now must still fit when it does.
        """
        return [(stream, *self._most(name)) for name, stream in self.streams.items()]

    def _most(self, stream: str) -> tuple[tuple[str, ...], int]:
        """The reserves whose cheapest is the dearest, and the highest rate, of the present mode and those before it."""
        modes = self.governor.returning if self.governor is not None else ()
        allowed = [each.allowance(stream) for each in modes] or [self.allowance(stream)]
        bounds = {model.name: model.tail_bound_ns[0] for model in self._locals}
        held = [each for each in allowed if any(name in bounds for name in each.reserves)]
        if not held:
            return (), 1
        dearest = max(held, key=lambda each: min(bounds[name] for name in each.reserves if name in bounds))
        return dearest.reserves, min(each.keep_every for each in held)

    def arrived(self, event: r.RequestArrived, now_ns: int) -> bool:
        """Count a sample; False if the present mode's lower rate leaves it out."""
        if self.governor is None:
            return True
        count, _ = self._seen.get(event.stream, (0, 0))
        self._seen[event.stream] = (count + 1, min(self._place_ns(event, now_ns), event.captured_ns))
        return count % self.allowance(event.stream).keep_every == 0

    def _place_ns(self, event: r.RequestArrived, now_ns: int) -> int:
        """Where on its stream's grid, one period apart, a sample may have been due at the earliest.

        The proof holds for captures on that grid and arrivals within `capture_delay_ns` of them; so a capture may itself
        come later than its place, and the next then sooner after it, as long as both arrive by then (as in the generic cell
        rate algorithm, ITU-T I.371).
        """
        stream = self.streams[event.stream]
        count, last_ns = self._seen.get(event.stream, (0, 0))
        earliest = now_ns - stream.capture_delay_ns
        return max(earliest, last_ns + (stream.period_ns or 0)) if count else earliest

    def assumptions(self, event: r.RequestArrived, now_ns: int) -> Iterator[tuple[str, int, int]]:
        """(what, measured, bound) of what the proof assumes of this sample; before it is counted."""
        stream = self.streams[event.stream]
        if self.governor is None:
            return
        yield "capture delay", now_ns - event.captured_ns, stream.capture_delay_ns
        count, last_ns = self._seen.get(event.stream, (0, 0))
        if count and stream.period_ns:  # how much sooner it came than it may
            too_soon = last_ns + stream.period_ns - event.captured_ns
            yield "least distance, by", too_soon, stream.period_ns // _ROUNDING

    def temperature(self, celsius: float, now_ns: int) -> None:
        """Heat presses for the next mode from `hot_celsius` on, until it is no more than `cool_celsius`."""
        if self.governor is None:
            return
        rule = self.governor.certificate.rule
        hot = rule.hot_celsius
        if hot is not None:
            cool = hot if rule.cool_celsius is None else rule.cool_celsius
            pressing = True if celsius >= hot else False if celsius <= cool else None
            self.governor.press("heat", pressing=pressing, now_ns=now_ns)

    def throttled(self, share: float, now_ns: int) -> None:
        """So does a processor that is held back for at least `throttled_share` of the time."""
        if self.governor is not None:
            pressing = share >= self.governor.certificate.rule.throttled_share
            self.governor.press("throttling", pressing=pressing, now_ns=now_ns)
