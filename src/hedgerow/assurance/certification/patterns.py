"""Release patterns that are hard on a lane: all at once, any phases, just behind a long hold, and jittered towards each other."""

from random import Random

from hedgerow.assurance.certification.runner import Release
from hedgerow.assurance.certification.streams import Declared, DeclaredStream

KINDS = ("synchronous", "phases", "blocking", "jitter")


def releases(declared: Declared, kind: str, random: Random, *, requests_max: int) -> list[Release]:
    """At most `requests_max` releases of all streams, none closer than declared and none later after its capture."""
    shortest = min(stream.period_ns for stream in declared.streams)
    load = sum(1 / stream.period_ns for stream in declared.streams)
    until = max(int(requests_max / load), shortest)
    found: list[Release] = []
    start = max(stream.latest_arrival_ns for stream in declared.streams) + 100_000_000
    for stream in declared.streams:
        found += _one(stream, kind, random, start, until)
    found.sort(key=lambda each: each.arrived_ns)
    return found[:requests_max]


def _one(stream: DeclaredStream, kind: str, random: Random, start: int, until: int) -> list[Release]:
    """One stream's releases; its first arrival is at `start` if all are to arrive at once, as late as it may."""
    found: list[Release] = []
    delays = random.random()
    if kind == "phases":
        first = start + random.randrange(stream.period_ns)
    elif kind == "blocking":  # one of the streams comes a little before all others
        first = start + random.choice((0, 1, random.randrange(max(2, stream.period_ns // 4))))
    else:
        first = start
    captured = first - stream.latest_arrival_ns
    while captured < first + until:
        jitter = stream.jitter_ns
        if found and kind != "synchronous":
            jitter = 0 if kind == "jitter" else random.randint(0, stream.jitter_ns)
        found.append(Release(stream.name, captured, captured + stream.capture_delay_ns + jitter))
        more = random.randrange(stream.period_ns) if kind == "phases" and delays < 0.3 else 0
        captured += stream.period_ns + more
    return found
