"""One row for each request that a harness offered, as the harness saw it; in files a row is a line of JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from hedgerow.core.records import Source, Status
from hedgerow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Timed:
    """One request: `captured_ns` is the scheduled capture, `told_ns` the moment at which the consumer had its answer, or
    was told that there is none; both of time.monotonic_ns(). `deadline_ns` is a length. `request` is the core's number.
    """

    index: int
    request: int
    captured_ns: int
    told_ns: int
    deadline_ns: int
    status: Status
    source: Source
    arm: str
    model: str
    reason: str
    energy_mj: float
    uplink_bytes: int
    label_index: int | None = None

    @property
    def latency_ms(self) -> float:
        """Capture to told."""
        return (self.told_ns - self.captured_ns) / 1e6

    @property
    def answered(self) -> bool:
        """Something usable was delivered, in time or not."""
        return self.status in (Status.ANSWERED, Status.LATE, Status.SAFE_VALUE)

    @property
    def late_by_ns(self) -> int | None:
        """None when in time; else how late. What was dropped or failed is late by at least 1 ns."""
        over = self.told_ns - self.captured_ns - self.deadline_ns
        if self.answered:
            return over if over > 0 else None
        return max(over, 1)

    @property
    def in_time(self) -> bool:
        """Answered, by the harness's clock, no later than its deadline."""
        return self.late_by_ns is None


def rows_to_text(rows: Iterable[Timed]) -> str:
    """One line of JSON a row."""
    return "".join(json.dumps(asdict(row)) + "\n" for row in rows)


def rows_from_text(text: str) -> list[Timed]:
    """The rows of such a text; UsageError naming the line that is none."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            fields = json.loads(line)
            fields |= {"status": Status(fields["status"]), "source": Source(fields["source"])}
            rows.append(Timed(**fields))
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"line {number} is not a row of a timed request ({error})") from None
    return rows
