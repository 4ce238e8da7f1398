"""Bytes over a link's course: how long a transfer takes, in the physics of the emulated relay (emulation/pipe.py).

One direction is a first-in-first-out bottleneck at the course's rate, then a delay line of half the round trip that keeps the
order; while the course is frozen nothing moves, and what was under way arrives after the thaw. That is a connection that is
long-lived and paced, as the wire keeps it: after the first second its window never limits, so slow start is charged only to
a transfer that begins a connection (`fresh`): one round trip to connect and, beyond an initial window of 10 segments, one
more for each doubling that the transfer needs (RFC 6928, RFC 5681).
Retransmission is seen as frozen stretches of the course, which is how lost probes are recorded.

A position is the count of bytes that the bottleneck could have carried since the start. A transfer of n bytes takes the
positions from max(position now, taken) on; the moment it is through is where the course reaches its last position.
"""

from bisect import bisect_right
from typing import Final

from hedgerow.simulation.course import Course

NEVER_NS: Final = 1 << 62
INITIAL_WINDOW_BYTES: Final = 10 * 1448
_FASTEST: Final = 100.0  # bytes per ns, where a course says unlimited


class Direction:
    """One direction of one link; moments in ns of the virtual clock."""

    def __init__(self, course: Course, *, up: bool) -> None:
        rates = course.up_bytes_per_s if up else course.down_bytes_per_s
        self._starts: list[int] = [int(each) for each in course.starts_ns]
        self._frozen: list[bool] = [bool(each) for each in course.frozen]
        self._rates: list[float] = [
            0.0 if frozen else min(float(rate) * 1e-9, _FASTEST)
            for rate, frozen in zip(rates, self._frozen, strict=True)
        ]
        self._delays: list[int] = [int(each / 2) for each in course.round_trip_ns]
        self._end, self._loops = int(course.end_ns), course.at_end == "loop"
        self._positions = [0.0]
        for row, rate in enumerate(self._rates):
            until = self._starts[row + 1] if row + 1 < len(self._starts) else self._end
            self._positions.append(self._positions[-1] + rate * (until - self._starts[row]))
        self._whole = self._positions.pop()
        self._moving = [0]  # ns until each row's beginning in which bytes could move
        for row, rate in enumerate(self._rates):
            until = self._starts[row + 1] if row + 1 < len(self._starts) else self._end
            self._moving.append(self._moving[-1] + (until - self._starts[row] if rate > 0 else 0))
        self._whole_moving = self._moving.pop()
        self._taken = 0.0
        self._last_due = 0
        self._from, self._until, self._here = 0, 0, (0, 0)  # the row that was last looked up, and its moments

    def _locate(self, now_ns: int) -> tuple[int, int]:
        """(row, start of the round) at a moment."""
        if self._from <= now_ns < self._until:
            return self._here  # mostly it is asked for moments close to the last
        base, starts = 0, self._starts
        if now_ns >= self._end and self._loops:
            base = now_ns - now_ns % self._end
        row = bisect_right(starts, now_ns - base) - 1
        self._from, self._here = base + starts[row], (row, base)
        if row + 1 < len(starts):
            self._until = base + starts[row + 1]
        else:
            self._until = base + self._end if self._loops else NEVER_NS
        return self._here

    def _position(self, now_ns: int) -> float:
        row, base = self._locate(now_ns)
        rounds = base // self._end
        return rounds * self._whole + self._positions[row] + self._rates[row] * (now_ns - base - self._starts[row])

    def _moment(self, position: float) -> int:
        """When the bottleneck reaches a position; NEVER_NS if it never does."""
        base = 0
        if position > self._whole:
            if not self._loops:
                rate, left = self._rates[-1], position - self._whole
                return self._end + int(left / rate) + 1 if rate > 0 else NEVER_NS
            if self._whole <= 0:
                return NEVER_NS
            rounds = int(position // self._whole)
            position -= rounds * self._whole
            base = rounds * self._end
        row = bisect_right(self._positions, position) - 1
        while row > 0 and self._rates[row] <= 0:  # a position on the edge of a pause was reached before it
            row -= 1
        rate = self._rates[row]
        return base + self._starts[row] + (int((position - self._positions[row]) / rate) + 1 if rate > 0 else 0)

    def _arrival(self, out_ns: int) -> int:
        """When what left the bottleneck at this moment is at the far side."""
        if out_ns >= NEVER_NS:
            return NEVER_NS
        due = out_ns + self._delays[self._locate(out_ns)[0]]
        row, base = self._locate(due)
        return self._thaw(row, base) if self._frozen[row] else due

    def pass_by(self, now_ns: int) -> int:
        """When something too small to queue (an acknowledgement) that leaves now is at the far side."""
        return self._arrival(now_ns)

    def _in_order(self, due_ns: int) -> int:
        if due_ns > self._last_due:
            self._last_due = due_ns
        return self._last_due

    def _thaw(self, row: int, base: int) -> int:
        """The moment at which the stretch that is frozen in this row ends."""
        for later in range(row, len(self._starts)):
            if not self._frozen[later]:
                return base + self._starts[later]
        if self._loops:
            for later in range(row):
                if not self._frozen[later]:
                    return base + self._end + self._starts[later]
        return NEVER_NS

    def forget(self) -> None:
        """Be idle: as if nothing had been sent."""
        self._taken, self._last_due = 0.0, 0

    def backlog_bytes(self, now_ns: int) -> float:
        """Bytes before the bottleneck."""
        return max(0.0, self._taken - self._position(now_ns))

    def sending_ns(self, size: int, now_ns: int) -> int:
        """How long the bottleneck alone would take for so many bytes from now, nothing else being sent."""
        return min(self._moment(self._position(now_ns) + size) - now_ns, NEVER_NS)

    def opening_ns(self, now_ns: int) -> int:
        """How long it takes to open a connection now: one round trip."""
        return 2 * self._delays[self._locate(now_ns)[0]]

    def moving_ns(self, from_ns: int, until_ns: int) -> int:
        """For how long of this stretch bytes could move: what a radio sends in. While all stands still it waits, which costs
        what waiting for an answer does: nothing of its own in the core's model."""
        return self._moved(until_ns) - self._moved(from_ns)

    def _moved(self, now_ns: int) -> int:
        row, base = self._locate(now_ns)
        found = base // self._end * self._whole_moving + self._moving[row]
        return found + (now_ns - base - self._starts[row] if self._rates[row] > 0 else 0)

    def alone(self, size: int, now_ns: int, first: int = 1024) -> tuple[int, int]:
        """(`sending_ns`, when all is at the far side by `send`) of a transfer on an idle link; nothing is remembered of it."""
        row, base = place = self._locate(now_ns)
        begin = (base // self._end) * self._whole + self._positions[row]
        begin += self._rates[row] * (now_ns - base - self._starts[row])
        out = self._moment(begin + size)
        if out >= NEVER_NS:
            return min(out - now_ns, NEVER_NS), NEVER_NS
        arrival = self._arrival(out)
        if self._locate(out) != place and size > first:
            first_out = self._moment(begin + first)
            arrival = max(arrival, self._arrival(first_out), self._held_up(first_out, out))
        return out - now_ns, arrival

    def send(self, size: int, now_ns: int, first: int = 1024, *, fresh: bool = False) -> tuple[int, int]:
        """Send `size` bytes; returns when the first `first` of them and when all of them are at the far side."""
        begin = max(self._position(now_ns), self._taken)
        self._taken = begin + size
        first_out = self._moment(begin + min(first, size))
        done_out = first_out if size <= first else self._moment(self._taken)
        if fresh and done_out < NEVER_NS:
            extra = self._rounds(size) * 2 * self._delays[self._locate(now_ns)[0]]
            first_out, done_out = first_out + 2 * self._delays[self._locate(now_ns)[0]], done_out + extra
        first_ns = self._in_order(self._arrival(first_out))
        return first_ns, self._in_order(max(self._arrival(done_out), self._held_up(first_out, done_out)))

    def _held_up(self, first_out: int, done_out: int) -> int:
        """When the last of those bytes arrive that left before the delay last changed: later ones do not overtake them."""
        if done_out >= NEVER_NS or (row := self._locate(first_out)) == self._locate(done_out):
            return 0
        latest, (place, base) = 0, row
        while (edge := base + (self._starts[place + 1] if place + 1 < len(self._starts) else self._end)) <= done_out:
            if self._rates[place] > 0:
                latest = max(latest, self._arrival(edge - 1))
            if not self._loops and place + 1 == len(self._starts):
                break
            place, base = (place + 1, base) if place + 1 < len(self._starts) else (0, base + self._end)
        return latest

    @staticmethod
    def _rounds(size: int) -> int:
        """Round trips that connecting and slow start add to a transfer on a fresh connection."""
        rounds, window, sent = 1, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_BYTES
        while sent < size:
            window *= 2
            sent += window
            rounds += 1
        return rounds
