"""A link's course: what a link is like from moment to moment. Every model of a link yields one, every fault changes one.

The physics that it feeds is that of `emulation/pipe.py`: one shared first-in-first-out bottleneck for each direction,
then a delay line that keeps order, and frozen stretches in which nothing moves; so the simulator and the emulated link
can be compared.
Rules: piecewise constant; times are integer nanoseconds since the course's start; a course is never changed, every
`with_...` gives a new one; a bad one is refused whole, with what is wrong. A fault that is laid over a looping course
comes again in each round: `unrolled` first, where it is to come once.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hedgerow.emulation.conditions import BYTES_PER_S_PER_MBPS, MBPS_MAX, RTT_MS_MAX, check_range
from hedgerow.emulation.traces import NEAREST_RTT_MS, Trace, TraceRow
from hedgerow.errors import UsageError

AtEnd = Literal["loop", "hold"]
NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
ROWS_MAX: Final = 5_000_000
END_NS_MAX: Final = 10_000_000 * NS_PER_S
"""About 116 days: far inside of what 64 bits hold."""
_COLUMNS: Final = ("round_trip_ns", "up_bytes_per_s", "down_bytes_per_s")
_MAXIMA: Final = {"round_trip_ns": RTT_MS_MAX * NS_PER_MS}


class Moment(NamedTuple):
    """What a link is like at one moment. A rate of 0 lets nothing cross, `math.inf` is unlimited."""

    round_trip_ns: float
    up_bytes_per_s: float
    down_bytes_per_s: float
    frozen: bool


@dataclass(frozen=True, eq=False)
class Course:
    """Row i holds from `starts_ns[i]` until `starts_ns[i + 1]`, the last until `end_ns`; then it begins again ("loop")
    or the last row holds for ever ("hold").

    `starts_ns` (int64, rows) begins at 0 and rises; `round_trip_ns` (float64, rows) is propagation, both ways together,
    and where a probe was lost the last known one; rates (float64, rows) count payload bytes a second; where `frozen`
    (bool, rows) no byte moves in either direction, and what is under way arrives after the thaw.
    Arrays are copied and can not be written. UsageError names what is wrong, and the row.
    """

    name: str
    radio: str
    starts_ns: NDArray[np.int64]
    end_ns: int
    round_trip_ns: NDArray[np.float64]
    up_bytes_per_s: NDArray[np.float64]
    down_bytes_per_s: NDArray[np.float64]
    frozen: NDArray[np.bool_]
    at_end: AtEnd = "loop"
    _starts: list[int] = field(init=False, repr=False, compare=False)
    _moments: list[Moment] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._take("starts_ns", np.int64)
        for name in _COLUMNS:
            self._take(name, np.float64)
        self._take("frozen", np.bool_)
        self._check_times()
        for name in _COLUMNS:
            values = getattr(self, name)
            self._check(name, values.shape == self.starts_ns.shape, f"{values.size} values for {self.rows} rows")
            good = (values >= 0) & (values <= _MAXIMA.get(name, math.inf))
            self._check_rows(name, good, values)
        self._check("frozen", self.frozen.shape == self.starts_ns.shape, f"another length than {self.rows} rows")
        columns = (getattr(self, name).tolist() for name in (*_COLUMNS, "frozen"))
        object.__setattr__(self, "_starts", self.starts_ns.tolist())
        object.__setattr__(self, "_moments", [Moment(*values) for values in zip(*columns, strict=True)])

    @classmethod
    def load(cls, source: str | Path, *, at_end: AtEnd = "loop", rtt_offset_ms: float = 0.0) -> "Course":
        """Read a trace file, or a shipped link by name. Raises as `Trace.load` does: with file and line."""
        return cls.of_trace(Trace.load(source, at_end=at_end, rtt_offset_ms=rtt_offset_ms))

    @classmethod
    def of_rows(
        cls, rows: Sequence[TraceRow], *, name: str, at_end: AtEnd = "loop", rtt_offset_ms: float = 0.0
    ) -> "Course":
        """A course from rows; what a row leaves open is filled as `Trace` does (downlink, lost round trips)."""
        return cls.of_trace(Trace(tuple(rows), name=name, at_end=at_end, rtt_offset_ms=rtt_offset_ms))

    @classmethod
    def of_trace(cls, trace: Trace) -> "Course":
        """The trace's own course, with its offset and its end. `radio` is the one that most rows name (else "")."""
        first_s = trace.rows[0].time_s
        found = [trace.at(row.time_s - first_s) for row in trace.rows]
        radios = Counter(row.radio for row in trace.rows if row.radio)
        unlimited = math.inf
        return cls(
            name=Path(trace.name).stem,
            radio=radios.most_common(1)[0][0] if radios else "",
            starts_ns=np.array([round((row.time_s - first_s) * NS_PER_S) for row in trace.rows], np.int64),
            end_ns=round(trace.duration_s * NS_PER_S),
            round_trip_ns=np.array([each.rtt_ms * NS_PER_MS for each in found]),
            up_bytes_per_s=np.array([_or(each.uplink_bytes_per_s, unlimited) for each in found]),
            down_bytes_per_s=np.array([_or(each.downlink_bytes_per_s, unlimited) for each in found]),
            frozen=np.array([each.frozen for each in found]),
            at_end="hold" if trace.at_end == "hold" else "loop",
        )

    @classmethod
    def steady(
        cls,
        *,
        round_trip_ms: float,
        up_mbps: float | None = None,
        down_mbps: float | None = None,
        name: str = "steady",
        radio: str = "",
    ) -> "Course":
        """A link that never changes; a rate of None is unlimited. UsageError for a figure out of its range."""
        check_range("round_trip_ms", round_trip_ms, RTT_MS_MAX)
        for word, mbps in (("up_mbps", up_mbps), ("down_mbps", down_mbps)):
            if mbps is not None:
                check_range(word, mbps, MBPS_MAX)
        rates = [math.inf if mbps is None else mbps * BYTES_PER_S_PER_MBPS for mbps in (up_mbps, down_mbps)]
        round_trip_ns, up, down = (np.array([value]) for value in (round_trip_ms * NS_PER_MS, *rates))
        frozen = np.zeros(1, np.bool_)
        return cls(name, radio, np.zeros(1, np.int64), NS_PER_S, round_trip_ns, up, down, frozen, "hold")

    @property
    def rows(self) -> int:
        """How many rows there are, at least 1."""
        return int(self.starts_ns.size)

    @property
    def durations_ns(self) -> NDArray[np.int64]:
        """(rows,) how long each row holds within one round."""
        return np.diff(self.starts_ns, append=np.int64(self.end_ns))

    def at(self, now_ns: int) -> Moment:
        """What the link is like at `now_ns` (0 or later)."""
        return self._moments[self.row_at(now_ns)]

    def row_at(self, now_ns: int) -> int:
        """The row in force at `now_ns`. UsageError before the start."""
        if now_ns < 0:
            raise UsageError(f"the course {self.name} begins at 0: it says nothing of {now_ns} ns")
        if self.at_end == "loop":
            now_ns %= self.end_ns
        return bisect_right(self._starts, now_ns) - 1

    def rows_at(self, now_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the rows in force at many moments, each 0 or later."""
        if now_ns.size and int(now_ns.min()) < 0:
            raise UsageError(f"the course {self.name} begins at 0: it says nothing of {int(now_ns.min())} ns")
        within_ns = now_ns % self.end_ns if self.at_end == "loop" else now_ns
        return (np.searchsorted(self.starts_ns, within_ns, side="right") - 1).astype(np.int64)

    def next_change_ns(self, now_ns: int) -> int | None:
        """When the next row begins, strictly after `now_ns`; None when nothing more will change."""
        row = self.row_at(now_ns)
        round_start_ns = now_ns - now_ns % self.end_ns if self.at_end == "loop" else 0
        if row + 1 < self.rows:
            return round_start_ns + self._starts[row + 1]
        return round_start_ns + self.end_ns if self.at_end == "loop" and self.rows > 1 else None

    def equals(self, other: "Course") -> bool:
        """Whether both say the same of every moment by the same rows, whatever their names."""
        same = all(np.array_equal(getattr(self, each), getattr(other, each)) for each in ("starts_ns", *_COLUMNS))
        same = same and np.array_equal(self.frozen, other.frozen)
        return same and self.end_ns == other.end_ns and self.at_end == other.at_end

    def named(self, name: str) -> "Course":
        """The same course under another name."""
        return replace(self, name=name)

    def looped(self) -> "Course":
        """The same, beginning again after its end."""
        return replace(self, at_end="loop")

    def held(self) -> "Course":
        """The same, its last row holding for ever."""
        return replace(self, at_end="hold")

    def shifted(self, by_ns: int) -> "Course":
        """The course as one sees it who comes `by_ns` (0 or more) later: its moment 0 is this one's `by_ns`."""
        if by_ns < 0:
            raise UsageError(f"the course {self.name} can not be shifted by {by_ns} ns: give 0 or more")
        if self.at_end == "loop":
            by_ns %= self.end_ns
        elif by_ns >= self.end_ns:
            by_ns = int(self.starts_ns[-1])
        cut = self._split(by_ns)
        first = int(np.searchsorted(cut.starts_ns, by_ns))
        order = np.arange(first, cut.rows)
        starts_ns = cut.starts_ns[first:] - by_ns
        if self.at_end == "loop":
            order = np.concatenate((order, np.arange(first)))
            starts_ns = np.concatenate((starts_ns, cut.starts_ns[:first] + (self.end_ns - by_ns)))
            return cut._picked(order, starts_ns, self.end_ns)
        return cut._picked(order, starts_ns, self.end_ns - by_ns)

    def unrolled(self, until_ns: int) -> "Course":
        """The same for every moment before `until_ns`, written out in whole rounds; it still loops or holds after that.

        UsageError when that takes more than ROWS_MAX rows.
        """
        if until_ns <= self.end_ns:
            return self
        if self.at_end == "hold":
            return self._lasting(until_ns)
        rounds = -(-until_ns // self.end_ns)
        self._check("rows", self.rows * rounds <= ROWS_MAX, f"{rounds} rounds of {self.rows}: more than {ROWS_MAX}")
        starts_ns = (np.arange(rounds, dtype=np.int64)[:, None] * self.end_ns + self.starts_ns[None, :]).reshape(-1)
        return self._picked(np.tile(np.arange(self.rows), rounds), starts_ns, rounds * self.end_ns)

    def with_blackout(self, from_ns: int, for_ns: int) -> "Course":
        """Nothing moves in this stretch; what is under way arrives after it."""
        return self._over(from_ns, for_ns, {"frozen": lambda was: np.ones_like(was)})

    def with_rate(
        self,
        from_ns: int,
        for_ns: int,
        *,
        up_bytes_per_s: float | None = None,
        down_bytes_per_s: float | None = None,
        factor: float = 1.0,
    ) -> "Course":
        """In this stretch the rates given replace those of the course (None leaves one), then both are multiplied."""
        _check_number("factor", factor)
        changes = {
            name: _setting(name, value, factor, 0.0)
            for name, value in (("up_bytes_per_s", up_bytes_per_s), ("down_bytes_per_s", down_bytes_per_s))
        }
        return self._over(from_ns, for_ns, changes)

    def with_round_trip(
        self, from_ns: int, for_ns: int, *, round_trip_ns: float | None = None, factor: float = 1.0, added_ns: float = 0
    ) -> "Course":
        """In this stretch the round trip is that given (None: the course's own), times `factor`, plus `added_ns`.

        It ends within 0 and the bound of an emulated link (600 s).
        """
        _check_number("factor", factor)
        _check_number("added_ns", abs(added_ns))
        return self._over(
            from_ns, for_ns, {"round_trip_ns": _setting("round_trip_ns", round_trip_ns, factor, added_ns)}
        )

    def with_rtt_offset(self, offset_ms: float) -> "Course":
        """Every round trip longer or (negative: a nearer site) shorter; 1 ms remains, or what it was if that is less."""
        check_range("the round-trip offset in ms", abs(offset_ms), RTT_MS_MAX)
        nearest_ns = np.minimum(self.round_trip_ns, NEAREST_RTT_MS * NS_PER_MS)
        moved_ns = np.maximum(self.round_trip_ns + offset_ms * NS_PER_MS, nearest_ns)
        return replace(self, round_trip_ns=np.minimum(moved_ns, RTT_MS_MAX * NS_PER_MS))

    def _over(self, from_ns: int, for_ns: int, changes: dict[str, Callable[[NDArray[Any]], NDArray[Any]]]) -> "Course":
        """The course with columns changed between two moments, which become rows' beginnings."""
        if from_ns < 0 or for_ns < 0:
            raise UsageError(f"a stretch from {from_ns} ns for {for_ns} ns: give 0 or more for both")
        if for_ns == 0:
            return self
        until_ns = from_ns + for_ns
        laid = self.unrolled(until_ns) if self.at_end == "loop" else self._lasting(until_ns + 1)
        laid = laid._split(from_ns)._split(until_ns)
        within = (laid.starts_ns >= from_ns) & (laid.starts_ns < until_ns)
        columns: dict[str, Any] = {}
        for name, change in changes.items():
            columns[name] = getattr(laid, name).copy()
            columns[name][within] = change(columns[name][within])
        return replace(laid, **columns)

    def _lasting(self, until_ns: int) -> "Course":
        """A holding course that ends no earlier than `until_ns`: the last row is longer, nothing else changes."""
        return replace(self, end_ns=max(self.end_ns, until_ns))

    def _split(self, at_ns: int) -> "Course":
        """The same course with a row that begins at `at_ns` (within it; its very end needs none)."""
        if at_ns >= self.end_ns:
            return self
        row = self.row_at(at_ns)
        if self._starts[row] == at_ns:
            return self
        order = np.insert(np.arange(self.rows), row + 1, row)
        return self._picked(order, np.insert(self.starts_ns, row + 1, at_ns), self.end_ns)

    def _picked(self, order: NDArray[np.int64], starts_ns: NDArray[np.int64], end_ns: int) -> "Course":
        columns = {name: getattr(self, name)[order] for name in (*_COLUMNS, "frozen")}
        return replace(self, starts_ns=starts_ns, end_ns=int(end_ns), **columns)

    def _take(self, name: str, kind: type) -> None:
        given: ArrayLike = getattr(self, name)
        try:
            values: NDArray[Any] = np.array(given, dtype=kind)
        except (TypeError, ValueError):
            raise UsageError(f"the course {self.name}: {name} are not numbers") from None
        values.setflags(write=False)
        object.__setattr__(self, name, values)

    def _check_times(self) -> None:
        starts = self.starts_ns
        self._check("starts_ns", starts.ndim == 1 and 0 < starts.size <= ROWS_MAX, f"give 1 to {ROWS_MAX} rows")
        self._check("starts_ns", int(starts[0]) == 0, f"the first row begins at {int(starts[0])} ns, not at 0")
        self._check_rows("starts_ns", np.diff(starts, prepend=-1) > 0, starts, "does not come after the row before")
        self._check("end_ns", int(starts[-1]) < self.end_ns <= END_NS_MAX, f"{self.end_ns} is not after the last row")
        self._check("at_end", self.at_end in ("loop", "hold"), f"{self.at_end!r}: give 'loop' or 'hold'")

    def _check_rows(
        self, name: str, good: NDArray[np.bool_], values: NDArray[Any], wrong: str = "is out of its range"
    ) -> None:
        if not good.all():
            row = int(np.argmin(good))
            raise UsageError(f"the course {self.name}: {name} {values[row]} of row {row} {wrong}")

    def _check(self, name: str, good: bool, wrong: str) -> None:
        if not good:
            raise UsageError(f"the course {self.name}: {name}: {wrong}")


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _check_number(name: str, value: float) -> None:
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{name} is {value:g}: give a finite number that is not negative")


def _setting(
    name: str, value: float | None, factor: float, added: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A change of one column: the value or what was, times the factor, plus what is added, within 0 and its bound."""
    if value is not None and not 0 <= value <= _MAXIMA.get(name, math.inf):
        raise UsageError(f"{name} is {value:g}: give a number from 0 to {_MAXIMA.get(name, math.inf):g}")

    def change(was: NDArray[np.float64]) -> NDArray[np.float64]:
        base = was if value is None else np.full_like(was, value)
        scaled = np.zeros_like(base) if factor == 0 else base * factor
        return np.clip(scaled + added, 0.0, _MAXIMA.get(name, math.inf))

    return change
