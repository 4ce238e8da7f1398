"""How many requests a second of a core's time the virtual world answers: `python bench/simulate_speed.py [--json] [--requests N]`.

The plain comparison path (`simulation.world.run`: a body and a recorder, no invariants) on a table of real size: the shipped profile
of photographs, lane times drawn as measured, a queueing cloud, the shipped link `drive-mixed`, one camera every 100 ms whose
answers are due 100 ms after capture. Processor time, best and median of the rounds. `--digest` prints what came of it instead:
equal before and after a change that must leave behaviour as it was.
"""

import argparse
import hashlib
import importlib.resources
import json
import platform
import statistics
import sys
import time

import numpy as np

from hedgerow.core import Criticality, Margins, Stream
from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.planning.arms import arm_table
from hedgerow.profiling.profile import Profile
from hedgerow.simulation import world
from hedgerow.simulation.agreement import Agreements
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.lanes import Lane, LaneTimes
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import Arrival, Run, Setup

MS = r.MS
PROFILE = importlib.resources.files("hedgerow.simulation") / "profiles" / "photographs.json"


def photographs(
    requests: int, *, link: str = "drive-mixed", period_ms: int = 100, deadline_ms: int = 100, seed: int = 1
) -> Setup:
    """A camera on one device, its lane as measured on the machine of the shipped profile, a cloud as fast as that machine."""
    with importlib.resources.as_file(PROFILE) as path:
        profile = Profile.load(path)
    table, draws = arm_table(profile), Draws(seed)
    times = LaneTimes.of_profile(profile, draws.within("lane").generator)
    clouds = LaneTimes.of_cloud(profile, draws.within("cloud").generator)
    samples = Agreements.of_profile(profile, draws.generator("agreement"))
    stream = Stream("camera", deadline_ms * MS, Criticality.MISSION, period_ns=period_ms * MS)
    arrivals = tuple(
        Arrival(each * period_ms * MS, each * period_ms * MS + MS, "camera", samples.sample(each)) for each in range(requests)
    )  # fmt: skip
    return Setup(
        f"photographs on {link}", table, Margins(), (stream,), arrivals, Course.load(link), lambda: Lane(times),
        lambda: QueueServer.of_profile(Cloud(CloudSettings(replicas=2)), profile, lambda device: clouds),
        limits=r.Limits(seed=seed), agreement={name: each.per_sample for name, each in profile.agreement.items()},
    )  # fmt: skip


def digest(run: Run) -> str:
    """Everything that a run holds, bit for bit."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(vars(run)):
        value = getattr(run, name)
        found.update(name.encode() + (value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()))
    return found.hexdigest()


def measure(setup: Setup, policy: str, rounds: int) -> dict[str, float]:
    """Requests by second of processor time, over so many rounds after one that warms up (and draws the lanes' times)."""
    made = world.run(setup, by_name(policy), r.Prices())
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        made = world.run(setup, by_name(policy), r.Prices())
        taken.append(time.process_time() - began)
    count = len(setup.arrivals)
    return {
        "requests_per_s": round(count / statistics.median(taken), 1), "best": round(count / min(taken), 1),
        "events_per_request": round(made.steps / count, 2), "remote": round(made.source.count("remote") / count, 4),
        "late": round(float(made.late.mean()), 4), "reserves_used": round(float(made.reserve.mean()), 4),
    }  # fmt: skip


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--policies", default="ours,device-only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--digest", action="store_true")
    given = parser.parse_args()
    setup, policies = photographs(given.requests), given.policies.split(",")
    if given.digest:
        for policy in policies:
            print(digest(world.run(setup, by_name(policy), r.Prices())), policy)
        return 0
    found = {policy: measure(setup, policy, given.rounds) for policy in policies}
    figures = {"arms": len(setup.table.arms), "requests": given.requests, "python": platform.python_version(), **found}
    if given.json:
        print(json.dumps(figures))
        return 0
    for name, value in figures.items():
        print(f"{name:12} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
