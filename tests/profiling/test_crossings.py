"""What is said of a codec is what the codec does, and no sample is judged by a calibration that saw it."""

import numpy as np
import pytest

from hedgerow import codecs
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.profiling.crossings import (
    FOLDS,
    LIMITS,
    WHOLE_NUMBERS,
    Crossing,
    crossing_profile,
    crossings_for,
    encode_times_ns,
    time_crossing,
)
from tests.profiling.tasks import pictures, tensor_samples

Alive = dict[tuple[str, int], list[Tensors]]


@pytest.fixture(scope="module")
def alive(tensor_task: Task) -> Alive:
    samples = list(tensor_samples(7).values())
    with tensor_task.open("tiny") as chain:
        return {("", -1): samples, ("tiny", 2): [chain.run(each, last=2).tensors for each in samples]}


def _by_place(crossings: list[Crossing]) -> dict[tuple[str, int, str], Crossing]:
    return {(each.model, each.joint, each.codec.name): each for each in crossings}


def test_every_place_gets_its_codecs(alive: Alive) -> None:
    found = _by_place(crossings_for(alive | {("big", 0): alive["", -1]}, ("raw", "q8"), ("q4", "q4:channel")))
    assert set(found) == {
        ("", -1, "raw"),
        ("", -1, "q8"),
        ("tiny", 2, "q4"),
        ("tiny", 2, "q4:channel"),
        ("big", 0, "raw"),
    }


def test_a_sample_is_judged_by_a_calibration_made_of_the_others(alive: Alive) -> None:
    (crossing,) = crossings_for({("tiny", 2): alive["tiny", 2]}, (), ("q4:channel",))
    tensors = alive["tiny", 2]
    assert crossing.calibration == codecs.calibrate("q4:channel", tensors)
    for sample in range(len(tensors)):
        others = [each for index, each in enumerate(tensors) if index % FOLDS != sample % FOLDS]
        assert crossing.codec_for(sample).calibration_id == codecs.calibrate("q4:channel", others).id


def test_a_single_sample_still_calibrates(alive: Alive) -> None:
    (crossing,) = crossings_for({("tiny", 2): alive["tiny", 2][:1]}, (), ("q2:channel",))
    assert crossing.codec_for(0).calibration_id == crossing.codec.calibration_id


def test_sizes_are_those_of_the_payloads() -> None:
    frames: list[Tensors] = [{"frame": each} for each in pictures(5).values()]
    (crossing,) = crossings_for({("", -1): frames}, ("jpeg:75",), ())
    idle = time_crossing(crossing, frames)
    expected = [len(codecs.get("jpeg:75").encode(each)) for each in frames]
    assert idle.payload_bytes == expected
    profile = crossing_profile(crossing, idle, encode_times_ns(crossing, frames, count=8))
    assert profile.bytes_median == int(np.median(expected))
    assert (profile.encode.idle.samples, profile.encode.loaded.samples, profile.decode.samples) == (5, 8, 5)
    assert profile.calibration is None


def test_what_was_encoded_decodes_within_the_limits_of_the_other_side(alive: Alive) -> None:
    for crossing in crossings_for(alive, ("raw",), ("q8", "q3:channel")):
        for tensors in alive[crossing.model, crossing.joint]:
            back = crossing.codec.decode(crossing.codec.encode(tensors), limits=LIMITS)
            assert back.keys() == tensors.keys()


def test_small_whole_numbers_get_their_own_code_and_nothing_else() -> None:
    chance = np.random.default_rng(0)
    latents: list[Tensors] = [{"latent": chance.integers(-3, 4, (1, 6, 3, 3)).astype(np.int8)} for _ in range(8)]
    found = crossings_for({("slim", 1): latents}, ("raw",), ("q4", "q4:channel"))
    assert [crossing.codec.name for crossing in found] == list(WHOLE_NUMBERS)
    assert all(crossing.calibration is not None and len(crossing.fold_codecs) == 2 for crossing in found)
