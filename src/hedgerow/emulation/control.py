"""The relay's line protocol, for a harness that runs it as a process of its own: one command a line, one answer a line.

    start                    begin the course (trace and script) now
    set uplink_mbps=5 downlink_mbps=20 rtt_ms=40     these instead of the course's; what is left out stays as it is now;
                             `none` is unlimited
    stall on|off, blackout on|off, refuse on|off
    reset                    kill every connection
    swallow up|down|off      lose every byte of one direction; at `off` the connections that lost some are reset
    trip connect, trip up N, trip down N, trip off   reset one connection: the next that is opened, or the first on which N
                             more bytes have come out in that direction
    clear                    take back `set` and whatever is held
    stats                    counts and conditions as JSON

Rules: the answer is `ok <command>` (once it is in force), `ok stats {...}` or `error <why>`; a bad line changes
nothing.
"""

import json
from dataclasses import asdict, replace
from typing import Final

from hedgerow.emulation.conditions import BYTES_PER_S_PER_MBPS, LinkConditions, bytes_per_s
from hedgerow.emulation.relay import Relay
from hedgerow.emulation.switchboard import Trip
from hedgerow.errors import HedgerowError, UsageError

LINE_BYTES_MAX: Final = 1000
_SWITCHES: Final = ("stall", "blackout", "refuse")
_COMMANDS: Final = ("start", "set", *_SWITCHES, "reset", "swallow", "trip", "clear", "stats")


def obey(relay: Relay, line: str) -> str:
    """Carry out one command and return the line to answer."""
    try:
        return _obey(relay, line.split())
    except HedgerowError as error:
        return f"error {error}"


def report(relay: Relay) -> str:
    """Counts and conditions as one line of JSON; rates in Mbit/s, null for unlimited."""
    now = relay.conditions
    return json.dumps(
        {
            "clock_s": None if relay.clock_s is None else round(relay.clock_s, 3),
            "uplink_mbps": _mbps(now.uplink_bytes_per_s),
            "downlink_mbps": _mbps(now.downlink_bytes_per_s),
            "rtt_ms": now.rtt_ms,
            "stalled": now.stalled,
            "blackout": now.blackout,
            "refused": now.refused,
            **asdict(relay.stats()),
            "emulated": True,
        }
    )


def changed(now: LinkConditions, words: list[str]) -> LinkConditions:
    """`now` with `name=value` words laid over it. Raises UsageError for an unknown name or a bad value."""
    if not words:
        raise UsageError("set changes nothing: give uplink_mbps=, downlink_mbps= or rtt_ms=")
    for word in words:
        name, _, text = word.partition("=")
        try:
            value = None if text == "none" else float(text)
        except ValueError:
            raise UsageError(f"{word!r} is not name=number") from None
        match name:
            case "uplink_mbps":
                now = replace(now, uplink_bytes_per_s=bytes_per_s(value))
            case "downlink_mbps":
                now = replace(now, downlink_bytes_per_s=bytes_per_s(value))
            case "rtt_ms":
                now = replace(now, rtt_ms=value or 0.0)
            case _:
                raise UsageError(f"{name!r} cannot be set: give uplink_mbps, downlink_mbps or rtt_ms")
    return replace(now, stalled=False, blackout=False, refused=False)


def _obey(relay: Relay, words: list[str]) -> str:
    match words:
        case ["start"]:
            relay.begin()
        case ["set", *rest]:
            relay.set_conditions(changed(relay.conditions, rest))
        case ["stall", "on" | "off" as state]:
            relay.stall(state == "on")
        case ["blackout", "on" | "off" as state]:
            relay.blackout(state == "on")
        case ["refuse", "on" | "off" as state]:
            relay.refuse(state == "on")
        case ["reset"]:
            relay.reset()
        case ["swallow", "up" | "down" | "off" as way]:
            relay.swallow("" if way == "off" else way)
        case ["trip", *rest]:
            relay.trip(_trip(rest))
        case ["clear"]:
            relay.clear()
        case ["stats"]:
            return f"ok stats {report(relay)}"
        case [str(first), *_] if first in _COMMANDS:
            takes = "on or off" if first in _SWITCHES else "up, down or off" if first == "swallow" else "nothing more"
            raise UsageError(f"{first!r} takes {takes}")
        case _:
            raise UsageError(f"unknown command {' '.join(words)!r}: know {', '.join(_COMMANDS)}")
    return f"ok {' '.join(words)}"


def _trip(words: list[str]) -> Trip | None:
    match words:
        case ["off"]:
            return None
        case ["connect"]:
            return Trip("connect")
        case ["up" | "down" as way, str(count)] if count.isascii() and count.isdigit() and 0 < int(count) < 1 << 30:
            return Trip(way, int(count))
        case _:
            raise UsageError("'trip' takes connect, up BYTES, down BYTES or off")


def _mbps(rate: float | None) -> float | None:
    return None if rate is None else round(rate / BYTES_PER_S_PER_MBPS, 3)
