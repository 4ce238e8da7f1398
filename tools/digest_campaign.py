"""A digest of what the core does in simulated worlds: `python tools/digest_campaign.py --seeds 300 --requests 200`.

For a change that must leave behaviour as it was (a quicker form of the same sums): run it before and after. Every event, record
and action of every world goes into one digest for each seed, and these into one in all; `--each` prints them apart, so that a
difference is found at its seed. Equal digests are equal to the last bit of every figure that a journal keeps.
"""

import argparse
import hashlib
import sys

from hedgerow.core import records as r
from hedgerow.simulation.campaign import scene_of
from hedgerow.simulation.drawing import build
from hedgerow.simulation.foolish import policy_of


def digest_of(seed: int, requests: int) -> str:
    """The world of this seed, event by event, with what was used in the end."""
    scene, found = scene_of(seed, requests), hashlib.blake2b(digest_size=16)

    def see(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        found.update(f"{now_ns} {event!r} {outcome!r}\n".encode())

    def disturb(until_ns: int) -> None:
        found.update(f"excess until {until_ns}\n".encode())

    body = build(scene, policy_of(scene.policy), see, disturb)
    try:
        body.clock.run(scene.end_ns)
    except (
        LookupError,
        ValueError,
        RuntimeError,
        AssertionError,
    ) as error:  # a policy that is broken on purpose is guarded;
        found.update(f"{type(error).__name__}: {error}".encode())  # what still comes out belongs to the behaviour
    found.update(f"{body.tally!r} {body.core.next_wakeup_ns()}".encode())
    return found.hexdigest()


def main() -> int:
    """Print the digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--each", action="store_true", help="one line a seed as well")
    given = parser.parse_args()
    whole = hashlib.blake2b(digest_size=16)
    for seed in range(given.seed, given.seed + given.seeds):
        digest = digest_of(seed, given.requests)
        whole.update(digest.encode())
        if given.each:
            print(seed, digest)
    print(f"{whole.hexdigest()}  {given.seeds} seeds from {given.seed}, {given.requests} requests each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
