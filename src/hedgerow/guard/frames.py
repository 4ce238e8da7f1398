"""One stream as the guard sees it: what was announced, what was answered, what is due.

Rules: exactly one message a frame; an answer counts only from the session that runs now; the safe value goes out `bound_ns`
before the deadline. No clock and no socket: `settle` is told the time and yields what is to be sent.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from hedgerow.guard.memory import ANSWER, EXPECTED, SAFE_VALUE, Ring

Message = tuple[int, int, int, int, bytes]  # frame, captured_ns, kind, reason, payload


class Frames:
    """The frames of one stream; their numbers run on when the session starts again."""

    def __init__(self, stream: dict[str, Any], announced: Ring, answers: Ring, safe: bytes, bound_ns: int) -> None:
        self._announced, self._answers, self._safe, self._bound_ns = announced, answers, safe, bound_ns
        self._period_ns: int | None = stream["period_ns"]
        self._patience_ns: int = stream["deadline_ns"] - bound_ns
        self._pending: dict[int, tuple[int, int]] = {}  # frame: captured, due; in rising frames
        self._overdue: deque[int] = deque(maxlen=announced.count)
        self._expected_ns: int | None = None
        self.next_frame = self.unanswered = self.worst_late_ns = 0
        self.counts = {"answers": 0, "safe_values": 0, "late_answers": 0, "beyond_bound": 0}

    def settled(self) -> int:
        """Every frame below this one has had its message."""
        return next(iter(self._pending), self.next_frame)

    def due_ns(self) -> list[int]:
        """When safe values are due, unless something comes before."""
        expected = [] if self._expected_ns is None else [self._expected_ns + self._patience_ns]
        return [due_ns for _, due_ns in self._pending.values()] + expected

    def expect(self, captured_ns: int) -> None:
        """The next frame of a stream with a period is due to be captured then."""
        self._expected_ns = None if self._period_ns is None else captured_ns

    def settle(self, now_ns: int, epoch: int, running: bool) -> Iterator[Message]:
        """What is answered or due; neither a capture in the future nor a long deadline makes the consumer wait longer."""
        while found := self._announced.get(self.next_frame) or self._announced.get(self.next_frame + 1):
            due_ns = min(found.moment_ns - self._bound_ns, now_ns + self._patience_ns)
            if found.number != self.next_frame:  # announced before the one that is there, but not to be read any more
                due_ns = now_ns
            self._pending[self.next_frame] = (found.captured_ns, due_ns)
            self.next_frame += 1
            self.expect(min(found.captured_ns, now_ns) + (self._period_ns or 0))
        for frame, (captured_ns, due_ns) in list(self._pending.items()):
            answer = self._answers.get(frame)
            if answer is not None and answer.epoch == epoch:
                del self._pending[frame]
                self.unanswered = 0
                self.counts["answers"] += 1
                yield frame, captured_ns, ANSWER, 0, answer.payload
            elif now_ns >= due_ns:
                del self._pending[frame]
                yield self._stand_in(frame, captured_ns, now_ns - due_ns, SAFE_VALUE, 1 if running else 2)
        for frame in [frame for frame in self._overdue if self._answers.get(frame) is not None]:
            self._overdue.remove(frame)
            self.counts["late_answers"] += 1
        if self._expected_ns is not None and (late_ns := now_ns - self._expected_ns - self._patience_ns) >= 0:
            captured_ns, period_ns = self._expected_ns, self._period_ns or 1
            self._expected_ns += period_ns * (1 + late_ns // period_ns)  # a guard that was stopped does not catch up
            self.next_frame += 1
            yield self._stand_in(self.next_frame - 1, captured_ns, late_ns, EXPECTED, 3 if running else 2)

    def _stand_in(self, frame: int, captured_ns: int, late_ns: int, kind: int, reason: int) -> Message:
        self.unanswered += 1
        self._overdue.append(frame)
        self.worst_late_ns = max(self.worst_late_ns, late_ns)
        self.counts["safe_values"] += 1
        self.counts["beyond_bound"] += late_ns > self._bound_ns
        return frame, captured_ns, kind, reason, self._safe
