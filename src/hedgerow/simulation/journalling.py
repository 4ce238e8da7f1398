"""Keeps the journal of a simulated run: the same lines as a live session's, so that what reads one reads the other.

Rules: the core in it is made of the header alone, and its streams are opened by events, as a session opens them; so a replay
needs nothing of the world. Moments are those of the virtual clock.
"""

from dataclasses import replace
from pathlib import Path

from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import Policy
from hedgerow.errors import HostError
from hedgerow.journal import Header, line
from hedgerow.simulation.world import SETTLE_NS, Recorder, Run, Setup, build


def header_of(setup: Setup, policy: Policy, prices: r.Prices) -> Header:
    """What the core of this run is made of."""
    return Header(setup.table, policy.name, setup.limits, setup.margins, prices, setup.budgets or BudgetSettings())


def record(setup: Setup, policy: Policy, prices: r.Prices, path: str | Path) -> Run:
    """Run one setup under one policy, as `world.run` does, and write its journal to `path`; HostError where that cannot be
    written. `policy` is a fresh one; `hedgerow replay` finds it again by its name."""
    recorder, lines = Recorder(setup, policy), [header_of(setup, policy, prices).encode()]

    def see(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        recorder.see(now_ns, event, outcome)
        lines.append(line(len(lines) - 1, now_ns, event, outcome))

    body = build(replace(setup, streams=()), policy, prices, watch=see)
    for stream in setup.streams:
        body.post(r.StreamOpened(stream))
    body.clock.run((setup.arrivals[-1].arrival_ns if setup.arrivals else 0) + SETTLE_NS)
    try:
        Path(path).write_bytes(b"".join(lines))
    except OSError as error:
        raise HostError(f"cannot write the journal {path}: {error.strerror}; choose another place") from None
    return recorder.run(policy.name, body)
