"""Reads a link's recorded course from a CSV file and says what the link is like at a time.

The form is that of the cellular and Wi-Fi drives: header `time_s,rtt_ms,uplink_mbps,radio`, optionally `downlink_mbps`.
An empty `rtt_ms` is a lost probe: the link stalls until the next good row, and a run of lost probes of a second or more
is a blackout (a new connection's first packet would have been lost too). A row holds until the next one begins.
Rules: a bad file is refused whole, with its line; nothing is repaired in silence.
"""

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Final

from hedgerow.emulation.conditions import MBPS_MAX, RTT_MS_MAX, LinkConditions, bytes_per_s
from hedgerow.errors import HostError, UsageError

REQUIRED: Final = ("time_s", "rtt_ms", "uplink_mbps")
OPTIONAL: Final = ("radio", "downlink_mbps")
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
ROWS_MAX: Final = 200_000
TIME_S_MAX: Final = 1e7
BLACKOUT_S: Final = 1.0
"""A run of lost probes at least this long counts as a blackout, a shorter one as a stall."""
DOWNLINK_OVER_UPLINK: Final = 4.0
"""Where a trace has no downlink: the ratio of the published medians (41/11 and 50/13 Mbit/s), rounded."""
NEAREST_RTT_MS: Final = 1.0
"""An offset to a nearer site leaves at least this round trip."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One row: `rtt_ms` None is a lost probe, `downlink_mbps` None means that the file does not say."""

    time_s: float
    rtt_ms: float | None
    uplink_mbps: float
    downlink_mbps: float | None = None
    radio: str = ""


class Trace:
    """A link's course over time. Times are seconds since the first row.

    `at_end`: "loop" begins again one step after the last row, "hold" keeps the last row for ever.
    """

    def __init__(
        self, rows: tuple[TraceRow, ...], *, name: str, at_end: str = "loop", rtt_offset_ms: float = 0.0
    ) -> None:
        if at_end not in ("loop", "hold"):
            raise UsageError(f"a trace's end is {at_end!r}: give 'loop' or 'hold'")
        if not rows:
            raise UsageError(f"{name} has no rows: give at least one")
        if not math.isfinite(rtt_offset_ms) or abs(rtt_offset_ms) > RTT_MS_MAX:
            raise UsageError(f"the round-trip offset is {rtt_offset_ms:g} ms: give a number within {RTT_MS_MAX:g}")
        self.name, self.rows, self.at_end = name, rows, at_end
        self._times_s = [row.time_s - rows[0].time_s for row in rows]
        last_step_s = self._times_s[-1] - self._times_s[-2] if len(rows) > 1 else 1.0
        self.duration_s = self._times_s[-1] + last_step_s
        self._conditions = _conditions(rows, self._times_s, self.duration_s, rtt_offset_ms)

    @classmethod
    def load(cls, source: str | Path, *, at_end: str = "loop", rtt_offset_ms: float = 0.0) -> "Trace":
        """Read a CSV file, or one of the shipped links by name ("drive-mixed").

        Raises UsageError with file and line for a bad one, HostError when it cannot be read.
        """
        path = Path(source)
        if not path.exists() and str(source) in shipped():
            path = shipped()[str(source)]
        return cls(read_rows(path), name=str(path), at_end=at_end, rtt_offset_ms=rtt_offset_ms)

    def at(self, time_s: float) -> LinkConditions:
        """What the link is like `time_s` seconds (0 or more) after the start."""
        return self._conditions[self._index(time_s)[0]]

    def next_change_s(self, time_s: float) -> float | None:
        """When the next row begins, strictly after `time_s`; None when nothing more will change."""
        index, round_start_s = self._index(time_s)
        if index + 1 < len(self.rows):
            return round_start_s + self._times_s[index + 1]
        return round_start_s + self.duration_s if self.at_end == "loop" and len(self.rows) > 1 else None

    def _index(self, time_s: float) -> tuple[int, float]:
        round_start_s = 0.0
        if self.at_end == "loop":
            round_start_s = math.floor(time_s / self.duration_s) * self.duration_s
        # A float's rounding may land a hair before the row that was announced; the tolerance steps onto it.
        return max(0, bisect_right(self._times_s, time_s - round_start_s + 1e-9) - 1), round_start_s


def shipped() -> dict[str, Path]:
    """The links that come with Hedgerow, by name. All are generated; none was recorded."""
    folder = Path(str(resources.files("hedgerow.emulation"))) / "links"
    return {path.stem: path for path in sorted(folder.glob("*.csv"))}


def read_rows(path: Path) -> tuple[TraceRow, ...]:
    """Read and check a trace file. Raises UsageError with file and line, HostError when it cannot be read."""
    text = _text(path)
    if not text.strip():
        raise UsageError(f"{path} is empty: a trace needs the header {','.join(REQUIRED)},radio and rows")
    lines = text.splitlines()
    columns = _header(path, next(csv.reader(lines[:1])))
    if len(lines) - 1 > ROWS_MAX:
        raise UsageError(f"{path} has {len(lines) - 1} rows: the limit is {ROWS_MAX}")
    rows = tuple(_row(path, number, columns, line) for number, line in enumerate(lines[1:], start=2))
    if not text.endswith("\n"):
        raise UsageError(
            f"{path} line {len(lines)}: no newline at its end, the file looks cut off; "
            "add one if the line is whole, fetch the file again if not"
        )
    if not rows:
        raise UsageError(f"{path} line 1: a header but no rows; add at least one")
    for number, (before, after) in enumerate(pairwise(rows), start=3):
        if after.time_s <= before.time_s:
            raise UsageError(
                f"{path} line {number}: time_s {after.time_s:g} does not come after {before.time_s:g}; sort the rows"
            )
    return rows


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{path} is larger than {FILE_BYTES_MAX} bytes: give a shorter trace")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no trace {path}: give a CSV file or one of {', '.join(shipped())}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8: give a CSV file") from None
    except OSError as error:
        raise HostError(f"cannot read the trace {path}: {error.strerror}") from None


def _header(path: Path, columns: list[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    if missing or unknown or len(set(columns)) != len(columns):
        wrong = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(map(repr, unknown)) or 'a column twice'}"
        raise UsageError(
            f"{path} line 1: the header {wrong}; expected {','.join(REQUIRED)},radio and perhaps downlink_mbps"
        )
    return columns


def _row(path: Path, number: int, columns: list[str], line: str) -> TraceRow:
    fields = next(csv.reader([line]), [])
    if len(fields) != len(columns):
        raise UsageError(f"{path} line {number}: {len(fields)} fields where the header has {len(columns)}")
    row = dict(zip(columns, fields, strict=True))
    where = f"{path} line {number}"
    time_s, uplink = _number(where, row, "time_s", TIME_S_MAX), _number(where, row, "uplink_mbps", MBPS_MAX)
    if time_s is None or uplink is None:
        raise UsageError(f"{where}: {'time_s' if time_s is None else 'uplink_mbps'} is empty; only rtt_ms may be")
    return TraceRow(
        time_s=time_s,
        rtt_ms=_number(where, row, "rtt_ms", RTT_MS_MAX),
        uplink_mbps=uplink,
        downlink_mbps=_number(where, row, "downlink_mbps", MBPS_MAX),
        radio=row.get("radio", ""),
    )


def _number(where: str, row: dict[str, str], name: str, maximum: float) -> float | None:
    text = row.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{where}: {name} is {text!r}, not a number") from None
    if not math.isfinite(value) or not 0 <= value <= maximum:
        raise UsageError(f"{where}: {name} is {text}; expected 0 to {maximum:g}")
    return value


def _conditions(
    rows: tuple[TraceRow, ...], times_s: list[float], duration_s: float, rtt_offset_ms: float
) -> list[LinkConditions]:
    """One value a row; a lost probe keeps the last known round trip for when the stall is over."""
    found: list[LinkConditions] = []
    rtt_ms = next((row.rtt_ms for row in rows if row.rtt_ms is not None), 0.0)
    for row in rows:
        rtt_ms = rtt_ms if row.rtt_ms is None else row.rtt_ms
        downlink = row.uplink_mbps * DOWNLINK_OVER_UPLINK if row.downlink_mbps is None else row.downlink_mbps
        shifted_ms = max(rtt_ms + rtt_offset_ms, min(rtt_ms, NEAREST_RTT_MS))
        found.append(
            LinkConditions(
                bytes_per_s(row.uplink_mbps),
                bytes_per_s(min(downlink, MBPS_MAX)),
                min(shifted_ms, RTT_MS_MAX),
                stalled=row.rtt_ms is None,
            )
        )
    start = 0
    while start < len(rows):
        end = start
        while end < len(rows) and rows[end].rtt_ms is None:
            end += 1
        until_s = times_s[end] if end < len(rows) else duration_s
        if end > start and until_s - times_s[start] >= BLACKOUT_S - 1e-9:
            found[start:end] = [replace(each, blackout=True) for each in found[start:end]]
        start = max(end, start + 1)
    return found
