"""The lines between a Session and its view: JSON objects, one a line, through a pipe that is never waited for.

Kinds: `start` (what is run), `decision`, `answer`, `link` (the breaker moved), `observed` (what a crossing or probe taught),
`bound` (a device bound was exceeded), `note` (a sentence), `end`. Times are ms since the start. A full pipe loses lines
(`dropped` counts them), a closed one ends the feed; neither delays an answer.
"""

import json
import os
import select
from typing import Any

from hedgerow.core import records as r

LINE_BYTES_MAX = getattr(select, "PIPE_BUF", 512)
"""What a pipe takes whole or not at all (POSIX); longer lines are not sent."""


class Feed:
    """Writes to `fd`, which becomes non-blocking. `tell` is a listener for Session.listen: microseconds, no waiting."""

    def __init__(self, fd: int, *, since_ns: int = 0) -> None:
        os.set_blocking(fd, False)
        self._fd, self._since_ns = fd, since_ns
        self.dropped = 0
        self.closed = False

    def send(self, kind: str, now_ns: int, **fields: Any) -> bool:
        """Send one line; False if it was dropped."""
        if self.closed:
            return False
        message = {"kind": kind, "t_ms": round((now_ns - self._since_ns) / 1e6, 2), **fields}
        line = json.dumps(message).encode() + b"\n"
        try:
            whole = len(line) <= LINE_BYTES_MAX and os.write(self._fd, line) == len(line)
        except BlockingIOError:
            whole = False
        except OSError:
            self.closed, whole = True, False
        self.dropped += not whole
        return whole

    def tell(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """Send what a view shows of one step."""
        for record in outcome.records:
            self._tell(now_ns, record)

    def _tell(self, now_ns: int, record: r.Record) -> None:
        match record:
            case r.Decision():
                self.send(
                    "decision",
                    now_ns,
                    request=record.request,
                    arm=record.arm,
                    reason=record.reason,
                    reserve=record.reserve,
                    slack_ms=round(record.slack_ms, 1),
                    predicted_ms=round(record.predicted_ms, 1),
                )
            case r.Delivered():
                self.send(
                    "answer",
                    now_ns,
                    request=record.request,
                    status=record.status,
                    source=record.source,
                    arm=record.arm,
                    reason=record.reason,
                    age_ms=round(record.age_ms, 2),
                    energy_mj=record.energy_mj,
                    uplink_bytes=record.uplink_bytes,
                )
            case r.BreakerMoved():
                self.send("link", now_ns, link=record.link, state=record.after, because=record.because)
            case r.RemoteDistrusted():
                figures = f"{record.disagreed} of {record.audited} audited answers differ"
                self.send(
                    "note", now_ns, text=f"{record.link} is distrusted: {figures}, {record.expected:.1f} expected"
                )
            case r.RemoteObserved():
                self.send(
                    "observed",
                    now_ns,
                    link=record.link,
                    round_trip_ms=round(record.round_trip_ms, 1),
                    mbit_per_s=round(record.mbit_per_s, 2),
                    late=record.late,
                    lost=record.lost,
                )
            case r.BoundExceeded():
                self.send(
                    "bound",
                    now_ns,
                    request=record.request,
                    what=record.what,
                    measured_ms=round(record.measured_ms, 2),
                    bound_ms=round(record.bound_ms, 2),
                )
            case r.ModeChanged():
                self.send("mode", now_ns, mode=record.after, certified=record.certified, because=record.because)
            case _:
                pass


def parse(line: bytes | str) -> dict[str, Any] | None:
    """One line as a dict with "kind" and "t_ms"; None for anything else, which a view skips."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        return None
    return found if isinstance(found.get("t_ms"), int | float) else None
