"""One core a device, a thousand of them: `python bench/fleet.py fleet-outage --picture docs/fleet.png`.

Prints what `hedgerow simulate SCENARIO` prints for a scenario with [fleet], and how long it took; everything but the cores is
emulated.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

from hedgerow.cli._fleet import fleet
from hedgerow.simulation.scenario import load


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", default="fleet-outage")
    parser.add_argument("--policy", default="ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    fleet(load(chosen.scenario), policy=chosen.policy, seed=chosen.seed, picture=chosen.picture, as_json=chosen.json)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    print(f"{wall_s:.0f} s, {cpu_s:.0f} s of one core, at most {memory_mb:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
