"""What crosses at each joint in each codec: payload sizes, and the times to encode and decode.

Which codecs. Raw samples that are frames: raw, JPEG and WebP of a few qualities. At a joint: few-bit features, one grid a
tensor with its range in the payload ("q4"), or one a channel with calibrated ranges ("q4:channel"), which the server must
know. (On the twenty photographs that was the smaller choice for each: calibrated ranges clip, and so spread the levels of a
single grid, while a hundred ranges a payload outweigh what they save.) Small whole numbers, the latent of a bottleneck, in their own
code with counted frequencies, never rounded further; once as short as can be, once in layers of which the first can be answered
from alone. At joint 0, the prepared input, raw only.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hedgerow import codecs
from hedgerow.codecs import Calibration, Codec, CodecLimits, calibrate
from hedgerow.models.tensors import Tensors
from hedgerow.profiling.profile import RAW_SAMPLE, CrossingProfile
from hedgerow.profiling.times import IdleAndLoaded, times

LIMITS = CodecLimits()
FOLDS = 2
RAW = "raw"
WHOLE_NUMBERS = ("ints:channel", "ints:progressive")
CALIBRATED = (":channel", ":progressive")

Alive = Mapping[tuple[str, int], Sequence[Tensors]]
"""Tensors alive after (model, joint), one for each sample; the raw samples are ("", -1)."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One place and codec to measure. `fold_codecs[i % FOLDS]` never saw sample i, `codec` saw all."""

    model: str
    joint: int
    codec: Codec
    calibration: Calibration | None
    fold_codecs: tuple[Codec, ...]

    def codec_for(self, sample: int) -> Codec:
        """The codec with which sample number `sample` is judged: its calibration has not seen that sample."""
        return self.fold_codecs[sample % len(self.fold_codecs)]


def crossings_for(alive: Alive, input_specs: Sequence[str], feature_specs: Sequence[str]) -> list[Crossing]:
    """Every place with every codec that is to be tried there, calibrated on what is alive there."""
    found: list[Crossing] = []
    for (model, joint), tensors in alive.items():
        specs = input_specs if joint == RAW_SAMPLE else (RAW,) if joint == 0 else feature_specs
        if joint > 0 and _all_small_whole_numbers(tensors):
            specs = WHOLE_NUMBERS
        found += [_crossing(model, joint, spec, tensors) for spec in specs]
    return found


def _all_small_whole_numbers(samples: Sequence[Tensors]) -> bool:
    """Whether all that is alive there are small whole numbers with channels."""
    tensors = samples[0].values() if samples else ()
    return bool(tensors) and all(array.dtype.name in ("int8", "uint8") and array.ndim >= 2 for array in tensors)


def _crossing(model: str, joint: int, spec: str, tensors: Sequence[Tensors]) -> Crossing:
    if not spec.endswith(CALIBRATED):
        codec = codecs.get(spec)
        return Crossing(model, joint, codec, None, (codec,))
    whole = calibrate(spec, tensors)
    folds = [calibrate(spec, _others(tensors, fold)) for fold in range(FOLDS)]
    return Crossing(
        model,
        joint,
        codecs.get(spec, calibration=whole),
        whole,
        tuple(codecs.get(spec, calibration=each) for each in folds),
    )


def _others(tensors: Sequence[Tensors], fold: int) -> Iterator[Tensors]:
    """All but every FOLDS-th one from `fold` on; all of them where nothing else is left."""
    kept = [each for index, each in enumerate(tensors) if index % FOLDS != fold]
    return iter(kept or tensors)


def encode_times_ns(crossing: Crossing, tensors: Sequence[Tensors], *, count: int) -> list[int]:
    """Durations of `count` encodings, the samples in turn."""
    found = []
    for index in range(count):
        started_ns = time.perf_counter_ns()
        crossing.codec.encode(tensors[index % len(tensors)])
        found.append(time.perf_counter_ns() - started_ns)
    return found


@dataclass(frozen=True, slots=True)
class IdleCrossing:
    """What one crossing measured on a quiet machine: payload bytes per sample, and durations in ns."""

    payload_bytes: list[int]
    encode_ns: list[int]
    decode_ns: list[int]


def time_crossing(crossing: Crossing, tensors: Sequence[Tensors]) -> IdleCrossing:
    """Encode and decode every sample once, after one to warm up."""
    found = IdleCrossing([], [], [])
    crossing.codec.decode(crossing.codec.encode(tensors[0]), limits=LIMITS)
    for each in tensors:
        started_ns = time.perf_counter_ns()
        payload = crossing.codec.encode(each)
        encoded_ns = time.perf_counter_ns()
        crossing.codec.decode(payload, limits=LIMITS)
        found.decode_ns.append(time.perf_counter_ns() - encoded_ns)
        found.encode_ns.append(encoded_ns - started_ns)
        found.payload_bytes.append(len(payload))
    return found


def crossing_profile(crossing: Crossing, idle: IdleCrossing, loaded_ns: Sequence[int]) -> CrossingProfile:
    """The measured figures of one crossing."""
    return CrossingProfile(
        model=crossing.model,
        joint=crossing.joint,
        codec=crossing.codec.name,
        bytes_median=int(np.median(idle.payload_bytes)),
        bytes_p90=int(np.quantile(idle.payload_bytes, 0.9)),
        encode=IdleAndLoaded(times(idle.encode_ns), times(loaded_ns)),
        decode=times(idle.decode_ns),
        calibration=crossing.calibration.to_dict() if crossing.calibration else None,
    )
