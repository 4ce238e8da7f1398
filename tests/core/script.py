"""A core driven by hand: each step's actions and records, so that a test can hold them against figures worked out on paper.

Margins: timer 2 ms, cancellation 3 ms, delivery 1 ms. `small` has segments of 8 and 12 ms (bounds; medians 6 and 9), so its
reserve takes 20 ms; `big` 4, 20 and 16 ms. Requests have numbers in the order of their arrival. All moments in ms.
"""

from collections.abc import Sequence

from hedgerow.core import ArmTable, Core, Limits, Stream
from hedgerow.core import records as r
from hedgerow.core.certificate import Certificate
from hedgerow.core.policies import Policy, by_name
from tests.core.walker import KNOWN, MARGINS, MS, Prefers


class Script:
    """One core; `do` takes an event and gives its actions; `told` gives the last step's records."""

    def __init__(
        self, table: ArmTable, *streams: Stream, policy: str = "jpeg", open_link: bool = True,
        certificate: Certificate | None = None, **limits: float,
    ):  # fmt: skip
        chosen: Policy = by_name(policy) if policy in KNOWN else Prefers(policy)  # type: ignore[assignment]
        limited = r.Limits(**{"audit_share": 0.0, **limits})  # type: ignore[arg-type]
        self.core = Core(
            table, policy=chosen, streams=streams, limits=limited, margins=MARGINS, certificate=certificate
        )
        self._told: tuple[r.Record, ...] = ()
        self._requests = 0
        self.asked: list[r.Action] = []
        if open_link:
            self.do(0, r.LinkUp("cloud"))
            self.do(2, r.ProbeAnswered(1, MS, 2 * MS, 8192))

    @property
    def limits(self) -> Limits:
        return self.core.limits

    def do(self, at_ms: float, event: r.Event) -> tuple[r.Action, ...]:
        outcome = self.core.step(event, now_ns=int(at_ms * MS))
        self._told = outcome.records
        self.asked += outcome.actions
        return outcome.actions

    def told(self) -> tuple[r.Record, ...]:
        return self._told

    def arrive(self, at_ms: float, stream: str, captured_ms: float | None = None) -> tuple[r.Action, ...]:
        self._requests += 1
        captured = at_ms if captured_ms is None else captured_ms
        return self.do(at_ms, r.RequestArrived(self._requests - 1, stream, int(captured * MS)))

    def ran(self, at_ms: float, job: int, last: int, *times_ms: float) -> tuple[r.Action, ...]:
        return self.do(at_ms, r.RunDone("cpu", job, last, tuple(int(each * MS) for each in times_ms)))

    def encoded(self, at_ms: float, job: int, size: int = 9000) -> tuple[r.Action, ...]:
        return self.do(at_ms, r.EncodeDone("cpu", job, size, 2 * MS))

    def timer(self, at_ms: float) -> tuple[r.Action, ...]:
        return self.do(at_ms, r.TimerFired())

    def answered(self, at_ms: float, request: int, attempt: int = 1) -> tuple[r.Action, ...]:
        return self.do(at_ms, r.AnswerArrived(request, attempt, 4000, 0, 0, 5 * MS))

    @property
    def wake_ms(self) -> float | None:
        wake = self.core.next_wakeup_ns()
        return None if wake is None else wake / MS

    def all(self, kind: type[r.Record]) -> list[r.Record]:
        return [each for each in self._told if isinstance(each, kind)]


def kinds(actions: Sequence[r.Action]) -> list[str]:
    return [type(each).__name__ for each in actions]
