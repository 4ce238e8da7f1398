"""Exits, copies in another precision and gates drawn for a profile that was measured without them: for worlds to learn in.

What is learned is what to do with arms that may stop half-way, whatever models they are of, so they are made up, from wide ranges and
from the profile's own samples: an exit is right where its trunk is and less often elsewhere the earlier it leaves, and is surer where it
is right; a copy takes a share of the time and differs on a few samples; a gate is a threshold that somebody may have chosen. None of this
says what real exits are worth; that is measured (docs/comparison.md).
"""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from hedgerow.profiling.agreement import local_name
from hedgerow.profiling.profile import Agreement, ModelProfile, Profile, SegmentProfile
from hedgerow.profiling.times import IdleAndLoaded, Times

EXITS_SHARE, COPY_SHARE, GATE_SHARE = 0.6, 0.5, 0.7  # of worlds
EXIT, COPY = "exit", "int8"


def gated(profile: Profile, random: np.random.Generator) -> Profile:
    """The profile with exits and a copy of its quickest model, each in some worlds, and gates."""
    trunk = min(profile.models, key=lambda model: model.segments[0].tail.median_ns)
    models, agreement = list(profile.models), dict(profile.agreement)
    if random.random() < EXITS_SHARE:
        last = len(trunk.segments) - 1
        joints = sorted(random.choice(np.arange(1, last), int(random.integers(1, 3)), replace=False).tolist())
        for joint in joints:
            early, bits = _exit(profile, trunk, int(joint), random)
            models.append(early)
            agreement[local_name(early.name)] = _agreement(bits)
    if random.random() < COPY_SHARE:
        copy, bits = _copy(profile, trunk, random)
        models.append(copy)
        agreement[local_name(copy.name)] = _agreement(bits)
    gate = _gate(trunk.confidence, random) if random.random() < GATE_SHARE else None
    models[models.index(trunk)] = replace(trunk, gate=gate)
    return replace(profile, models=tuple(models), agreement=agreement)


def _exit(profile: Profile, trunk: ModelProfile, joint: int, random: np.random.Generator) -> tuple[ModelProfile, str]:
    depth = 1.0 - trunk.segments[joint + 1].tail.median_ns / trunk.segments[0].tail.median_ns
    own_ns = float(random.uniform(0.02, 0.15)) * trunk.segments[0].tail.median_ns
    right = np.array([bit == "1" for bit in profile.agreement[local_name(trunk.name)].per_sample])
    kept = np.where(right, 0.35 + 0.6 * depth, 0.05) * random.uniform(0.85, 1.0)
    bits = random.random(len(right)) < kept
    sure = np.where(bits, random.beta(4.0, 1.2, len(bits)), random.beta(1.5, 2.5, len(bits)))
    segments = [_with_rest(each, trunk.segments[joint + 1], own_ns) for each in trunk.segments[: joint + 1]]
    own = _scaled(trunk.segments[-1].tail, own_ns / trunk.segments[-1].tail.median_ns)
    confidence = tuple(round(float(each), 4) for each in sure)
    made = replace(
        trunk,
        name=f"{trunk.name}.{EXIT}{joint}",
        segments=(*segments, SegmentProfile(f"{EXIT}{joint}", own, own)),
        confidence=confidence,
        trunk=trunk.name,
        shared=joint,
        gate=_gate(confidence, random),
    )
    return made, _text(bits)


def _copy(profile: Profile, trunk: ModelProfile, random: np.random.Generator) -> tuple[ModelProfile, str]:
    share = float(random.uniform(0.35, 0.8))
    right = np.array([bit == "1" for bit in profile.agreement[local_name(trunk.name)].per_sample])
    bits = right ^ (random.random(len(right)) < np.where(right, random.uniform(0.0, 0.06), 0.02))
    segments = tuple(
        SegmentProfile(each.name, _scaled(each.time, share), _scaled(each.tail, share)) for each in trunk.segments
    )
    made = replace(trunk, name=f"{trunk.name}.{COPY}", segments=segments, precision_of=trunk.name, gate=None)
    return made, _text(bits)


def _gate(confidence: Sequence[float | None], random: np.random.Generator) -> float:
    """A threshold that lets between a tenth and nine tenths of the samples stop."""
    known = np.array([each for each in confidence if each is not None])
    return float(np.clip(np.quantile(known, random.uniform(0.1, 0.9)), 0.01, 1.0))


def _with_rest(segment: SegmentProfile, gone: SegmentProfile, own_ns: float) -> SegmentProfile:
    """A shared segment, its tail ending behind the exit's own in place of the trunk's rest."""
    tail = max(segment.tail.median_ns - gone.tail.median_ns, segment.time.median_ns) + own_ns
    return SegmentProfile(segment.name, segment.time, _scaled(segment.tail, tail / segment.tail.median_ns))


def _scaled(times: IdleAndLoaded, factor: float) -> IdleAndLoaded:
    def of(each: Times) -> Times:
        values = (each.median_ns, each.p90_ns, each.p99_ns, each.p999_ns, each.max_ns)
        return Times(each.samples, *(max(1, round(value * factor)) for value in values))

    return IdleAndLoaded(of(times.idle), of(times.loaded))


def _agreement(bits: str) -> Agreement:
    return Agreement(round(bits.count("1") / len(bits), 4), bits)


def _text(bits: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    return "".join("1" if each else "0" for each in bits.tolist())
