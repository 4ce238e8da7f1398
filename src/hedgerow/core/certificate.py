"""What a deadline certificate lets the core do, and when it no longer holds: modes as a table, moved by a Governor.

The proof itself is made and checked in `assurance.certification`. Here stands what it means at run time: each declared mode
was proven feasible by itself, with its streams' reserves, rates and the blocking that each lane bears. Rules:

    cause                                                      what happens
    more than `exceedances_max` bounds exceeded in a window    withdrawn; the next mode
    one answer later than was guaranteed                       withdrawn; the next mode
    heat or throttling                                         the next mode, before a bound breaks; while it lasts, one
                                                               more each `hot_step_ns`, down to the last
    neither for `return_after_ns`                              one mode back

Beyond the last mode nothing is certified: its rules stay in force, and the way back is the same. A relapse (a mode left again
after a return) doubles the wait for the next return, up to `return_after_max_ns`, until that long has been quiet: modes
cannot flap.
"""

from collections import deque
from dataclasses import dataclass

from hedgerow.core.records import SECOND, CertificateWithdrawn, ModeChanged, Record, Stream
from hedgerow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Allowance:
    """One stream in one mode: `reserves` are the local models that may stand in reserve (none: the stream's safe value is
    its reserve); of its samples every `keep_every`-th is taken, the others get the safe value or are dropped at once."""

    stream: str
    reserves: tuple[str, ...]
    keep_every: int = 1


@dataclass(frozen=True, slots=True)
class Blocking:
    """The longest that anything may hold this lane between two joints, reserves and optional work alike; the handing over
    (`Margins.timer_ns`) comes on top of it."""

    lane: str
    blocking_ns: int


@dataclass(frozen=True, slots=True)
class Mode:
    """A proven way to run all streams."""

    name: str
    allowances: tuple[Allowance, ...]
    blocking: tuple[Blocking, ...]

    def allowance(self, stream: str) -> Allowance:
        """The stream's part; UsageError for a stream that the certificate does not know."""
        for each in self.allowances:
            if each.stream == stream:
                return each
        raise UsageError(f"stream '{stream}' is not in the certificate; certify all streams together")

    def blocking_ns(self, lane: str) -> int:
        """What optional work may take of this lane between two joints; 0 on a lane that was not certified."""
        return next((each.blocking_ns for each in self.blocking if each.lane == lane), 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a mode is left and when it is taken up again. None: temperature does not matter."""

    exceedances_max: int = 3
    window_ns: int = 10 * SECOND
    return_after_ns: int = 10 * SECOND
    return_after_max_ns: int = 600 * SECOND
    hot_celsius: float | None = None
    cool_celsius: float | None = None
    throttled_share: float = 0.05
    hot_step_ns: int = 5 * SECOND


@dataclass(frozen=True, slots=True)
class Certificate:
    """What governs: the streams that were certified together, the modes in their order, and the rule between them."""

    digest: str
    streams: tuple[Stream, ...]
    modes: tuple[Mode, ...]
    rule: Rule = Rule()

    def stream(self, name: str) -> Stream:
        """The certified stream of that name; UsageError for one that the proof does not cover."""
        for each in self.streams:
            if each.name == name:
                return each
        raise UsageError(f"stream '{name}' is not in the certificate: certify all streams of the device together")


class Governor:
    """Which mode is in force. `records` is the core's list of the present step."""

    def __init__(self, certificate: Certificate, records: list[Record]) -> None:
        if not certificate.modes:
            raise UsageError("a certificate without a mode proves nothing; make it again with `hedgerow certify`")
        self.certificate = certificate
        self._rule, self._records = certificate.rule, records
        self._place = 0
        self._exceeded: deque[tuple[int, str]] = deque(maxlen=certificate.rule.exceedances_max + 1)
        self._pressed: set[str] = set()  # causes that last: heat, throttling
        self._step_ns = self._quiet_ns = 0
        self._left_ns: int | None = None
        self._returned = False  # since a mode was last left
        self._wait_ns = certificate.rule.return_after_ns

    @property
    def mode(self) -> Mode:
        """The mode whose rules are in force."""
        return self.certificate.modes[min(self._place, len(self.certificate.modes) - 1)]

    @property
    def returning(self) -> tuple[Mode, ...]:
        """The mode in force and those that may return."""
        return self.certificate.modes[: self._place + 1]

    @property
    def certified(self) -> bool:
        """Whether the proof of the mode in force stands."""
        return self._place < len(self.certificate.modes)

    def exceeded(self, what: str, now_ns: int, begun_ns: int) -> None:
        """A bound was exceeded by this, which began then: past the declared rate the proof no longer stands.

        What is told at one moment counts once (a run and its segments are the same work), and what began in a former mode
        says nothing against this one.
        """
        before = self._left_ns is not None and begun_ns <= self._left_ns
        if before or (self._exceeded and self._exceeded[-1][0] == now_ns):
            return
        self._quiet_ns = now_ns
        self._exceeded.append((now_ns, what))
        first = self._exceeded[0][0]
        if len(self._exceeded) > self._rule.exceedances_max and now_ns - first <= self._rule.window_ns:
            names = [each for _, each in self._exceeded]
            kinds = ", ".join(f"{name} x{names.count(name)}" for name in dict.fromkeys(names))
            self._withdraw(f"{len(names)} bounds exceeded in {(now_ns - first) / SECOND:.3f} s ({kinds})", now_ns)

    def broken(self, how: str, now_ns: int, begun_ns: int) -> None:
        """What was captured then was not answered as the proof says; `how` it ended, in words."""
        if self._left_ns is None or begun_ns > self._left_ns:
            self._withdraw(how, now_ns)

    def press(self, cause: str, *, pressing: bool | None, now_ns: int) -> None:
        """A lasting cause came (True), went (False), or is neither here nor there (None: as before)."""
        if pressing and cause not in self._pressed:
            self._pressed.add(cause)
            self._step_ns = now_ns
        elif pressing is False and cause in self._pressed:
            self._pressed.remove(cause)
            self._quiet_ns = now_ns

    def due_ns(self) -> int | None:
        """When `look` must be called at the latest; None while nothing is to come."""
        if self._pressed:
            return self._step_ns if self._place < len(self.certificate.modes) - 1 else None
        return self._quiet_ns + self._wait_ns if self._place else None

    def look(self, now_ns: int) -> None:
        """Take the step that is due by now, if any."""
        due = self.due_ns()
        if due is None or now_ns < due:
            return
        if self._pressed:
            self._step_ns = now_ns + self._rule.hot_step_ns
            self._leave(" and ".join(sorted(self._pressed)), now_ns)
        else:
            self._quiet_ns, self._returned = now_ns, True
            self._go(self._place - 1, f"quiet for {self._wait_ns / SECOND:g} s")

    def _withdraw(self, because: str, now_ns: int) -> None:
        if self.certified:
            self._records.append(CertificateWithdrawn(self.certificate.digest, self.mode.name, because))
            self._leave(because, now_ns)

    def _leave(self, because: str, now_ns: int) -> None:
        longest = self._rule.return_after_max_ns
        if self._left_ns is None or now_ns - self._left_ns > self._wait_ns + longest:
            self._wait_ns = self._rule.return_after_ns
        elif self._returned:
            self._wait_ns = min(2 * self._wait_ns, longest)
        self._returned = False
        self._left_ns = self._quiet_ns = now_ns
        self._exceeded.clear()
        self._go(self._place + 1, because)

    def _go(self, place: int, because: str) -> None:
        before, self._place = self.mode.name, place
        self._records.append(ModeChanged(before, self.mode.name, self.certified, because))
