"""A small profile whose figures are chosen, not measured: rising quantiles, one model with exits' worth of segments, two arms."""

import numpy as np
from msgspec.structs import replace

from hedgerow.profiling.profile import (
    FORMAT,
    Agreement,
    CloudProfile,
    CrossingProfile,
    Machine,
    ModelProfile,
    Profile,
    SegmentProfile,
)
from hedgerow.profiling.times import IdleAndLoaded, Times
from hedgerow.simulation.lanes import Streams

MACHINE = Machine("chosen", 2, 1024, "Linux", "3.11", "1.22", "0.1.0")


def spread(median_us: int, *, samples: int = 2000, loaded: float = 1.5) -> IdleAndLoaded:
    """p90 10 % above the median, p99 40 %, p999 twice, the largest 2.5 times; beside a busy process all is longer."""

    def times(scale: float) -> Times:
        ns = [round(median_us * 1000 * share * scale) for share in (1.0, 1.1, 1.4, 2.0, 2.5)]
        return Times(samples, *ns)

    return IdleAndLoaded(times(1.0), times(loaded))


def segment(name: str, median_us: int, tail_us: int) -> SegmentProfile:
    return SegmentProfile(name, spread(median_us), spread(tail_us))


def model(name: str, medians_us: tuple[int, ...]) -> ModelProfile:
    tails = [sum(medians_us[at:]) for at in range(len(medians_us))]
    segments = tuple(segment(f"s{at}", *each) for at, each in enumerate(zip(medians_us, tails, strict=True)))
    return ModelProfile(name, "m" * 64, "c" * 64, "cpu", 0.1, 4000, (0.9, 0.8, 0.3, 0.5, 0.6, 0.7, 0.2, 0.95), segments)


def crossing(of: str, joint: int, codec: str, size: int) -> CrossingProfile:
    return CrossingProfile(of, joint, codec, size, size * 2, spread(300), spread(200).idle)


def profile() -> Profile:
    """Models "small" (four segments, 10 ms) and "big" (three, 100 ms, the reference); eight samples."""
    agreement = {
        "local:small": "11011010",
        "local:big": "11111111",
        "cloud:big:jpeg:75": "11110111",
        "cloud:small:jpeg:75": "11001010",
        "split:small@1:q4": "11011000",
    }
    return Profile(
        format=FORMAT,
        made="2026-01-01",
        machine=MACHINE,
        task_id="t" * 64,
        task_name="chosen",
        reference="big",
        quick=True,
        threads=1,
        busy_processes=1,
        inputs="pictures",
        samples=tuple(f"sample {at}" for at in range(8)),
        start_up_seconds=1.0,
        timer_lateness=spread(100).idle,
        cancellation=spread(2000).idle,
        models=(model("small", (1000, 3000, 4000, 2000)), model("big", (2000, 60_000, 38_000))),
        crossings=(crossing("", -1, "jpeg:75", 11_000), crossing("small", 1, "q4", 4_000)),
        agreement={name: Agreement(round(bits.count("1") / 8, 4), bits) for name, bits in agreement.items()},
        cloud=CloudProfile("", True, {"small": None, "big": (500_000, 9_000_000, 5_000_000)}),
    )


def streams(seed: int) -> Streams:
    """Generators by name, as the simulator's draws give them: the same name, the same numbers."""

    def generator(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, *name.encode()])

    return generator


def kin_profile() -> Profile:
    """The same with an exit of "small" after its second segment, a copy of it in another precision, and gates."""
    plain = profile()
    small = plain.models[0]
    early = replace(
        model("small.exit", (1000, 3000, 500)), segments=(*small.segments[:2], segment("exit", 500, 500)),
        trunk="small", shared=1, gate=0.6, confidence=(0.95, 0.7, 0.1, 0.2, 0.65, 0.5, 0.3, 0.9),
    )  # fmt: skip
    copy = replace(model("small.int8", (1000, 1500, 2000, 1000)), precision_of="small")
    bits = {
        "local:small.exit": "11000001", "local:small.int8": "11011000", "split:small.int8>small@1:q4": "11011000",
    }  # fmt: skip
    more = {name: Agreement(round(each.count("1") / 8, 4), each) for name, each in bits.items()}
    return replace(
        plain, models=(replace(small, gate=0.8), plain.models[1], early, copy), agreement=plain.agreement | more
    )
