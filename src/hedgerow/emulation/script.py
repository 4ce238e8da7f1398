"""Reads a script of faults: what happens to the link, and when, beside or instead of a trace.

    [[event]]
    at_s = 2.0
    kind = "blackout"
    for_s = 3.0

Kinds: `rate` (uplink_mbps, downlink_mbps, rtt_ms: those given replace what is in force, until `clear`), `stall`,
`blackout` and `refuse` (each with for_s), `reset` (every connection is killed), `clear` (ends all that is in force).
Rules: a bad script is refused whole, naming the event; times count from the start of the link's clock.
"""

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hedgerow.emulation.conditions import MBPS_MAX, RTT_MS_MAX, LinkConditions, bytes_per_s
from hedgerow.errors import HostError, UsageError

_RATE_MAXIMA: Final = {"uplink_mbps": MBPS_MAX, "downlink_mbps": MBPS_MAX, "rtt_ms": RTT_MS_MAX}
_SPANS: Final = ("stall", "blackout", "refuse")
KINDS: Final = ("rate", *_SPANS, "reset", "clear")
TIME_S_MAX: Final = 1e7
EVENTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class ScriptEvent:
    """One event; fields that its kind does not use are None."""

    at_s: float
    kind: str
    for_s: float | None = None
    uplink_mbps: float | None = None
    downlink_mbps: float | None = None
    rtt_ms: float | None = None

    @property
    def until_s(self) -> float:
        """When a span ends; for the other kinds the moment itself."""
        return self.at_s + (self.for_s or 0.0)


class Script:
    """Events in the order of their times (equal times: in the order of the file)."""

    def __init__(self, events: tuple[ScriptEvent, ...] = ()) -> None:
        self.events = tuple(sorted(events, key=lambda event: event.at_s))

    @classmethod
    def load(cls, path: str | Path) -> "Script":
        """Read a TOML file. Raises UsageError naming the event, HostError when the file cannot be read."""
        try:
            return cls.parse(Path(path).read_text(encoding="utf-8"), name=str(path))
        except FileNotFoundError:
            raise UsageError(f"there is no script {path}: give a TOML file of [[event]] tables") from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not a text file in UTF-8: give a TOML file") from None
        except OSError as error:
            raise HostError(f"cannot read the script {path}: {error.strerror}") from None

    @classmethod
    def parse(cls, text: str, *, name: str = "script") -> "Script":
        """Read a script's text. Raises UsageError with the line (bad TOML) or the event's number (bad content)."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{name} is not TOML: {error}") from None
        tables = document.get("event")
        if set(document) - {"event"} or not isinstance(tables, list) or not tables:
            raise UsageError(f"{name} must hold [[event]] tables and nothing else")
        if len(tables) > EVENTS_MAX:
            raise UsageError(f"{name} has {len(tables)} events: the limit is {EVENTS_MAX}")
        return cls(tuple(_event(f"{name} event {number}", table) for number, table in enumerate(tables, start=1)))

    def over(self, base: LinkConditions, time_s: float) -> LinkConditions:
        """What `base` becomes at `time_s` once the events so far are laid over it."""
        rated, active = base, set[str]()
        for event in self.events:
            if event.at_s > time_s:
                break
            if event.kind == "clear":
                rated, active = base, set()
            elif event.kind == "rate":
                rated = _rated(rated, event)
            elif event.kind in _SPANS and time_s < event.until_s:
                active.add(event.kind)
        return replace(
            rated,
            stalled=base.stalled or "stall" in active,
            blackout=base.blackout or "blackout" in active,
            refused=base.refused or "refuse" in active,
        )

    def next_change_s(self, time_s: float) -> float | None:
        """The next moment, strictly after `time_s`, at which an event begins or ends."""
        moments = [moment for event in self.events for moment in (event.at_s, event.until_s) if moment > time_s]
        return min(moments, default=None)

    def resets(self, after_s: float, upto_s: float) -> int:
        """How many resets fall into (after_s, upto_s]."""
        return sum(event.kind == "reset" and after_s < event.at_s <= upto_s for event in self.events)


def _rated(base: LinkConditions, event: ScriptEvent) -> LinkConditions:
    if event.uplink_mbps is not None:
        base = replace(base, uplink_bytes_per_s=bytes_per_s(event.uplink_mbps))
    if event.downlink_mbps is not None:
        base = replace(base, downlink_bytes_per_s=bytes_per_s(event.downlink_mbps))
    return base if event.rtt_ms is None else replace(base, rtt_ms=event.rtt_ms)


def _event(where: str, table: object) -> ScriptEvent:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is not a table: write [[event]]")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"{where}: kind is {kind!r}; expected one of {', '.join(KINDS)}")
    own = _RATE_MAXIMA if kind == "rate" else {"for_s": TIME_S_MAX} if kind in _SPANS else {}
    allowed = {"at_s": TIME_S_MAX, **own}
    unknown = sorted(set(table) - set(allowed) - {"kind"})
    if unknown:
        raise UsageError(f"{where}: {kind!r} knows no {', '.join(unknown)}; it takes {', '.join(allowed)}")
    values = {name: _number(where, name, table[name], allowed[name]) for name in allowed if name in table}
    required = ["at_s"] + (["for_s"] if kind in _SPANS else [])
    missing = [name for name in required if name not in values]
    if missing:
        raise UsageError(f"{where}: {kind!r} lacks {', '.join(missing)}")
    if kind == "rate" and len(values) == 1:
        raise UsageError(f"{where}: 'rate' changes nothing; give uplink_mbps, downlink_mbps or rtt_ms")
    return ScriptEvent(kind=kind, at_s=values.pop("at_s"), **values)


def _number(where: str, name: str, value: object, maximum: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: {name} is {value!r}, not a number")
    if not math.isfinite(value) or not 0 <= value <= maximum:
        raise UsageError(f"{where}: {name} is {value:g}; expected 0 to {maximum:g}")
    return float(value)
