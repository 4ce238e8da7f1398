"""Off-policy estimates against the truth: log with a policy that explores, estimate another one, then really run it there.

`python bench/evaluate_truth.py [--quick] [--requests N] [--seeds N] [--period-ms N] [--log NAME]`

The world is simulated: four arms of the shipped profile on a device four times as slow, links that come with Hedgerow (each seed begins
elsewhere on them), a lane and a cloud that draw their times. Requests are `--period-ms` apart. The truth is the mean cost of
the same requests in the same world under the policy itself, priced by the same journal reader.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from math import sqrt
from pathlib import Path

import numpy as np

from hedgerow.assurance.evaluation import Evaluation, Unsupported, evaluate, read
from hedgerow.core import ArmTable
from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.core.records import MS, SECOND, Prices, Stream
from hedgerow.planning import arm_table, margins_of
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.cloud import Cloud
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.journalling import record
from hedgerow.simulation.lanes import Lane, LaneTimes
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import Arrival, Setup

PROFILE = Path(__file__).parents[1] / "src/hedgerow/simulation/profiles/photographs.json"
DEVICE_FACTOR, CLOUD_FACTOR, DEADLINE_MS = 4.0, 0.3, 120
ARMS = (
    "local:mobilenet-v2",
    "local:efficientnet-lite2",
    "cloud:efficientnet-lite2:jpeg:75",
    "cloud:efficientnet-lite2:jpeg:90",
)
LINKS = ("steady", "blackouts", "drive-mixed", "drive-tunnel")
ESTIMATORS = ("ips", "snips", "dr")


def course_of(link: str, seed: int) -> Course:
    """The link, begun elsewhere for each seed."""
    draws = Draws(seed).generator("course")
    if link == "steady":
        return Course.steady(round_trip_ms=30, up_mbps=20, down_mbps=50)
    if link == "blackouts":
        course = Course.steady(round_trip_ms=40, up_mbps=12, down_mbps=50).unrolled(60 * SECOND).looped()
        course = course.with_blackout(20 * SECOND, 9 * SECOND).with_rate(
            35 * SECOND, 12 * SECOND, up_bytes_per_s=190_000
        )
    else:
        course = Course.load(link)
    return course.shifted(int(draws.integers(0, course.end_ns)))


def setup_of(link: str, seed: int, requests: int, period_ms: int) -> Setup:
    """One world."""
    profile = Profile.load(PROFILE)
    every = arm_table(profile, device_factor=DEVICE_FACTOR, cloud_factor=CLOUD_FACTOR)
    table = ArmTable(tuple(arm for arm in every.arms if arm.name in ARMS), every.locals, every.energy)
    draws, stream = Draws(seed), Stream("camera", DEADLINE_MS * MS, period_ns=period_ms * MS)
    arrivals = tuple(
        Arrival(each * period_ms * MS, each * period_ms * MS, stream.name, each) for each in range(requests)
    )

    def lane() -> Lane:
        return Lane(LaneTimes.of_profile(profile, draws.within("lane").generator, device_factor=DEVICE_FACTOR))

    def server() -> QueueServer:
        times = LaneTimes.of_cloud(profile, draws.within("cloud").generator, cloud_factor=CLOUD_FACTOR)
        return QueueServer.of_profile(Cloud(), profile, lambda device: times, cloud_factor=CLOUD_FACTOR)

    limits = r.Limits(audit_share=0.0, seed=seed + 1)
    return Setup(
        link, table, margins_of(profile), (stream,), arrivals, course_of(link, seed), lane, server, limits=limits
    )


class Tally:
    """One policy on one link, over seeds."""

    def __init__(self) -> None:
        self.truths: list[float] = []
        self.found: list[Evaluation] = []
        self.refused: list[str] = []

    def add(self, journal: Path, setup: Setup, name: str, prices: Prices) -> None:
        try:
            found = evaluate(journal, by_name(name, setup.table))
        except Unsupported as error:
            self.refused.append(str(error))
            return
        own = journal.with_suffix(".own")
        record(setup, by_name(name, setup.table), prices, own)
        self.truths.append(float(read(own, by_name(name, setup.table)).outcomes["cost_mj"].mean()))
        self.found.append(found)

    def row(self) -> str:
        if not self.found:
            return f"- | - | - | - | refused in all {len(self.refused)}"
        truth, cells = np.array(self.truths), []
        for name in ESTIMATORS:
            every = [getattr(each.figures["cost_mj"], name) for each in self.found]
            error = np.array([each.mean for each in every]) - truth
            covered = sum(each.covers(value) for each, value in zip(every, truth, strict=True))
            cells.append(f"{error.mean():+.1f}, {sqrt(float((error**2).mean())):.1f}, {covered} of {len(truth)}")
        effective = float(np.mean([each.support.effective for each in self.found]))
        return f"{truth.mean():.1f} | {' | '.join(cells)} | {effective:.0f}" + (
            f", refused {len(self.refused)}" if self.refused else ""
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--requests", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--period-ms", type=int, default=2100)
    parser.add_argument("--log", default="exploring-more")
    parser.add_argument("--links", nargs="*", default=list(LINKS))
    parser.add_argument("--policies", nargs="*", default=["hedgerow", "device-only", "neurosurgeon"])
    given = parser.parse_args()
    seeds, prices = (3 if given.quick else given.seeds), Prices()
    print(
        f"{given.requests} requests, {given.period_ms} ms apart, logged by '{given.log}', {seeds} seeds; cost mJ per request"
    )
    print("link | policy | truth | IPS: bias, rms error, covered | SNIPS | DR | effective")
    with tempfile.TemporaryDirectory() as folder:
        for link in given.links:
            tallies: dict[str, Tally] = defaultdict(Tally)
            for seed in range(seeds):
                setup, journal = setup_of(link, seed, given.requests, given.period_ms), Path(folder, "journal")
                record(setup, by_name(given.log), prices, journal)
                for name in given.policies:
                    tallies[name].add(journal, setup, name, prices)
            for name, tally in tallies.items():
                print(f"{link} | {name} | {tally.row()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
