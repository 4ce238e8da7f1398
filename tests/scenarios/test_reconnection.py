"""Back after an outage over real sockets: by a fresh connection, with the old ones gone, and at a moment of the device's own."""

import json
import time
from pathlib import Path

import psutil

from hedgerow.core import records as r
from hedgerow.core.records import Limits
from hedgerow.device.journal import read_steps, replay
from hedgerow.device.session import Session
from hedgerow.emulation.relay import Relay
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.scenarios.faults import Traffic, recovery_ms, wait_remote
from tests.scenarios.test_link_faults import relayed
from tests.wire.serving import ServerProcess, until


def ports_to(port: int) -> set[int]:
    """This process's own ends of its live connections to a port."""
    found = psutil.Process().net_connections("tcp")
    return {
        each.laddr.port for each in found if each.raddr and each.raddr.port == port and each.status == "ESTABLISHED"
    }


def probes(traffic: Traffic) -> list[tuple[int, r.Probe]]:
    return [
        (now, each) for now, _, out in list(traffic.steps.steps) for each in out.actions if isinstance(each, r.Probe)
    ]


def test_after_an_outage_only_fresh_connections_are_used(
    task: Task, profile: Profile, server: ServerProcess, tmp_path: Path
) -> None:
    """In a blackout the old connections look alive to this side: nothing but a fresh one can tell that the link is back."""
    journal = tmp_path / "journal"
    with relayed(server) as relay:
        with Session(task, f"127.0.0.1:{relay.port}", profile=profile, deadline_ms=400, journal=journal) as session:
            with Traffic(session) as traffic:
                wait_remote(traffic)
                for _ in range(2):
                    before = ports_to(relay.port)
                    assert len(before) == 2  # control and bulk
                    _outage(traffic, relay)
                    wait_remote(traffic)
                    until(lambda: not ports_to(relay.port) & before, "the end of the old connections")  # noqa: B023
                    until(lambda: len(ports_to(relay.port)) == 2, "two connections, no more")
            traffic.check(task)
        until(lambda: ports_to(relay.port) == set(), "the end of all connections")
    assert replay(journal).difference is None
    outcomes = [json.loads(outcome) for *_, outcome in read_steps(journal)[1]]
    asked = [fields for _, actions in outcomes for kind, fields in actions if kind == "Probe"]
    assert asked[0]["fresh"]  # the first of a session: nothing is entrusted to the server before it


def _outage(traffic: Traffic, relay: Relay) -> None:
    relay.blackout(True)
    begun = time.monotonic_ns()
    until(lambda: any(now >= begun for now in traffic.steps.moved_to("open")), "the breaker to open")
    time.sleep(1.0)
    relay.blackout(False)
    back = time.monotonic_ns()
    until(lambda: recovery_ms(traffic.steps, back) is not None, "the link to be used again")
    opened = next(now for now in traffic.steps.moved_to("open") if now >= begun)
    closed = next((now for now in traffic.steps.moved_to("closed") if now >= opened), back)
    outage = [probe for now, probe in probes(traffic) if opened <= now <= closed]
    assert outage
    assert all(probe.fresh for probe in outage)


def test_a_journal_keeps_what_the_retries_were_drawn_from(
    task: Task, profile: Profile, server: ServerProcess, tmp_path: Path
) -> None:
    seeds = []
    for index, limits in enumerate((None, None, Limits(seed=5))):
        journal = tmp_path / f"journal{index}"
        with Session(task, server.address, profile=profile, limits=limits, journal=journal):
            pass
        seeds.append(read_steps(journal)[0].limits.seed)
    assert seeds[2] == 5
    assert 0 not in seeds
    assert len(set(seeds)) == 3
