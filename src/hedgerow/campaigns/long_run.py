"""A long run: very many requests of a tiny model through real sessions, and whether anything grows with their number.

Most are answered by a session alone with its lane; every REMOTE_EVERY-th crosses to a server on this machine, by a session that
sends everything. Rules: measured after WARM_UP_SHARE of the requests, as a line fitted through the samples; what is kept
open (descriptors, threads, requests, crossings) must be what it was; the journal has a limit and keeps to it.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hedgerow.campaigns.footprint import Footprint
from hedgerow.campaigns.small_task import write_tiny
from hedgerow.core.records import Status
from hedgerow.demo.processes import Child
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.models.task import Task
from hedgerow.profiling.measure import make_profile

REMOTE_EVERY: Final = 20
WARM_UP_SHARE: Final = 0.2
SAMPLES: Final = 50
JOURNAL_BYTES_MAX: Final = 32 << 20
RSS_BYTES_MAX_PER_100K: Final = 1 << 20
RSS_BYTES_SPARE: Final = 1 << 20
"""A short run's level differs by this much from one moment to another."""
INPUTS: Final = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """What is held after so many requests. `kept`: entries in the sessions' own tables of requests and crossings."""

    requests: int
    rss_bytes: int
    native_threads: int
    descriptors: int
    kept: int


def slope_per_100k(samples: Sequence[Sample]) -> float:
    """Bytes of memory by which 100,000 requests more raise the fitted line (least squares); 0 for fewer than two samples.

    >>> [round(slope_per_100k([Sample(n, 7 + 3 * n, 1, 1, 0) for n in range(0, count, 10)])) for count in (10, 50)]
    [0, 300000]
    """
    if len(samples) < 2:
        return 0.0
    requests = np.array([each.requests for each in samples], np.float64)
    held = np.array([each.rss_bytes for each in samples], np.float64)
    away = requests - requests.mean()
    return float((away * (held - held.mean())).sum() / (away * away).sum() * 1e5)


def grown(samples: Sequence[Sample]) -> list[str]:
    """What grew over these samples, in words."""
    found = []
    rise, first, last = slope_per_100k(samples), samples[0], samples[-1]
    if rise > RSS_BYTES_MAX_PER_100K and last.rss_bytes - first.rss_bytes > RSS_BYTES_SPARE:
        found.append(f"memory by {rise / 2**20:.2f} MiB in 100,000 requests")
    for name in ("native_threads", "descriptors", "kept"):
        before, after = getattr(first, name), getattr(last, name)
        if after > before:
            found.append(f"{name} from {before} to {after}")
    return found


def run_long(count: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Send `count` requests one after the other; returns what was held on the way and what of it grew."""
    folder.mkdir(parents=True, exist_ok=True)
    path = write_tiny(folder)
    task = Task.load(path)
    profile = make_profile(task, quick=True)
    journal = folder / "journal"
    words = ["hedgerow.cli.main", "serve", str(path), "--port", "0"]
    server = Child("server", words, core=None, log=folder / "server.log")
    try:
        address = server.await_line("serving on ", timeout_s=60.0).split()[-1]
        with (
            Session(
                task, profile=profile, deadline_ms=500, journal=journal, journal_bytes_max=JOURNAL_BYTES_MAX
            ) as near,
            Session(
                task, address, profile=profile, deadline_ms=500, policy="cloud-only", say=lambda _text: None
            ) as far,
        ):
            began_s = time.monotonic()
            samples, statuses, remote = _drive(near, far, count, say)
            seconds = time.monotonic() - began_s
    finally:
        server.stop()
    steady = [each for each in samples if each.requests >= count * WARM_UP_SHARE]
    replayed = replay(journal)
    problems = grown(steady)
    if journal.stat().st_size > JOURNAL_BYTES_MAX:
        problems.append("the journal beyond its limit")
    return {
        "requests": count,
        "seconds": round(seconds, 1),
        "remote": remote,
        "statuses": statuses,
        "rss_mib": [round(each.rss_bytes / 2**20, 1) for each in (samples[0], steady[0], steady[-1])],
        "rss_mib_per_100k": round(slope_per_100k(steady) / 2**20, 3),
        "native_threads": [steady[0].native_threads, steady[-1].native_threads],
        "descriptors": [steady[0].descriptors, steady[-1].descriptors],
        "kept": [steady[0].kept, steady[-1].kept],
        "journal_bytes": journal.stat().st_size,
        "journal_replays": replayed.difference is None,
        "grown": problems,
    }


def _drive(
    near: Session, far: Session, count: int, say: Callable[[str], None]
) -> tuple[list[Sample], dict[str, int], int]:
    inputs = np.random.default_rng(5).standard_normal((INPUTS, 1, 16)).astype(np.float32)
    statuses = dict.fromkeys((each.value for each in Status), 0)
    samples, remote, every = [], 0, max(1, count // SAMPLES)
    for number in range(count):
        if number % every == 0:
            samples.append(_sample(number, near, far))
            if number % (10 * every) == 0:
                say(f"{number} requests: {samples[-1].rss_bytes / 2**20:.1f} MiB")
        there = number % REMOTE_EVERY == REMOTE_EVERY - 1
        answer = (far if there else near).answer(inputs[number % INPUTS])
        statuses[answer.status.value] += 1
        remote += answer.source.value == "remote"
    samples.append(_sample(count, near, far))
    return samples, {name: found for name, found in statuses.items() if found}, remote


def _sample(requests: int, *sessions: Session) -> Sample:
    gc.collect()
    held = Footprint.now()
    return Sample(
        requests, held.rss_bytes, held.native_threads, len(held.files) + held.sockets, sum(map(_kept, sessions))
    )


def _kept(session: Session) -> int:
    """Entries in the tables that could forget to forget."""
    driver = session._driver
    network: Any = driver._network
    tables = [driver._pending] if network is None else [driver._pending, network._works, network._heard]
    return sum(len(table) for table in tables) + driver._core.in_flight
