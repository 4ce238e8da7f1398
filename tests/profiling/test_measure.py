"""A whole profile of small tasks: everything that a plan needs is there, and fits together."""

from dataclasses import replace

import numpy as np
import pytest

from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile, make_profile, measure
from hedgerow.profiling.times import IdleAndLoaded
from tests.profiling.tasks import pictures, tensor_samples


def test_every_segment_and_tail_is_timed_idle_and_loaded(picture_profile: Profile, picture_task: Task) -> None:
    assert [model.name for model in picture_profile.models] == ["small", "big"]
    for model in picture_profile.models:
        with picture_task.open(model.name) as chain:
            assert (model.model_id, model.chain_id) == (chain.model_id, chain.chain_id)
            assert [each.name for each in model.segments] == [each.name for each in chain.segments]
        for segment in model.segments:
            for measured in (segment.time, segment.tail):
                assert isinstance(measured, IdleAndLoaded)
                assert min(measured.idle.samples, measured.loaded.samples) >= 5
        assert model.open_seconds > 0
        assert model.answer_bytes == 16
    assert picture_profile.start_up_seconds > 0
    assert picture_profile.timer_lateness.samples > 0
    assert picture_profile.cancellation.samples > 0


def test_every_sample_has_a_confidence_and_an_agreement_of_every_arm(picture_profile: Profile) -> None:
    count = len(picture_profile.samples)
    assert len(set(picture_profile.samples)) == count
    assert set(picture_profile.samples) <= set(pictures(14))
    assert count >= 12
    for model in picture_profile.models:
        assert len(model.confidence) == count
        assert all(each is not None and 0 < each <= 1 for each in model.confidence)
    assert {len(each.per_sample) for each in picture_profile.agreement.values()} == {count}
    assert picture_profile.agreement["local:big"].mean == 1.0
    assert set(picture_profile.agreement) >= {
        "local:small",
        "cloud:big:jpeg:75",
        "cloud:small:raw",
        "split:small@0:raw",
        "split:big@1:q4:channel",
    }


def test_every_arm_that_crosses_has_its_bytes_and_times(picture_profile: Profile) -> None:
    places = {(each.model, each.joint, each.codec) for each in picture_profile.crossings}
    for arm in picture_profile.agreement:
        kind, _, rest = arm.partition(":")
        if kind == "cloud":
            assert ("", -1, rest.partition(":")[2]) in places
        elif kind == "split":
            place, _, codec = rest.partition(":")
            model, _, joint = place.partition("@")
            assert (model, int(joint), codec) in places


def test_a_task_of_tensors_is_profiled_without_pictures(tensor_profile: Profile) -> None:
    assert tensor_profile.inputs == "tensors"
    assert tensor_profile.models[0].confidence == (None,) * len(tensor_profile.samples)
    assert tensor_profile.agreement["cloud:tiny:raw"].mean == 1.0
    assert "split:tiny@0:raw" not in tensor_profile.agreement, "joint 0 is the raw sample where nothing is prepared"
    assert "cloud:tiny:q8" in tensor_profile.agreement
    assert {each.joint for each in tensor_profile.crossings} == {-1, 1, 2, 3}


def test_without_samples_inputs_are_generated_and_that_is_said(tensor_task: Task) -> None:
    said: list[str] = []
    profile = make_profile(tensor_task, seconds=1.0, quick=True, progress=said.append)
    assert profile.inputs == "generated"
    assert any("generated" in line for line in said)


def test_more_samples_than_a_quick_profile_takes_are_left_out_and_that_is_said(tensor_task: Task) -> None:
    said: list[str] = []
    profile = make_profile(tensor_task, tensor_samples(30), seconds=1.0, quick=True, progress=said.append)
    assert len(profile.samples) <= 24
    assert any("of 30 samples" in line for line in said)


def test_a_full_profile_tries_more_codecs(
    picture_task: Task, picture_profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure.FULL.timer_waits == 1000
    monkeypatch.setattr(measure, "FULL", replace(measure.FULL, timer_waits=120))
    profile = make_profile(picture_task, pictures(8), seconds=1.0)
    assert set(profile.agreement) > set(picture_profile.agreement)
    assert not profile.quick
    assert profile.timer_lateness.samples == 120


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_too_little_time_is_refused(tensor_task: Task, seconds: float) -> None:
    with pytest.raises(UsageError, match="at least"):
        make_profile(tensor_task, seconds=seconds)


def test_a_sample_that_does_not_fit_is_refused_before_anything_is_measured(tensor_task: Task) -> None:
    said: list[str] = []
    with pytest.raises(UsageError, match="'x'"):
        make_profile(tensor_task, [{"x": np.zeros((1, 3), np.float32)}], progress=said.append)
    assert not said
