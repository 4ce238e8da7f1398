"""The table made of a profile: each figure traced back to what was measured."""

import pytest

from hedgerow.codecs import get
from hedgerow.core.arms import ArmTable, CrossStep, RunStep
from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning import arm_table, every_arm
from hedgerow.planning.arms import Tiers, cloud_segments_ns
from hedgerow.planning.composing import shrunk
from hedgerow.profiling import Profile
from tests.profiling.tasks import pictures


def _device_ns(table: ArmTable, arm: str) -> int:
    steps = next(each.steps for each in table.arms if each.name == arm)
    return sum(step.median_ns for step in steps if isinstance(step, RunStep) and step.tier == "device")


def _crossing(table: ArmTable, arm: str) -> CrossStep:
    crossing = next(each.crossing for each in table.arms if each.name == arm)
    assert crossing is not None
    return crossing


def test_every_measured_arm_is_there_with_its_steps(picture_profile: Profile, picture_task: Task) -> None:
    table = every_arm(picture_profile, picture_task)
    assert {arm.name for arm in table.arms} == set(picture_profile.agreement)
    for column, arm in enumerate(table.arms):
        kind, _, rest = arm.name.partition(":")
        assert (kind == "local") == (not table.is_remote[column])
        crossing = arm.crossing
        if crossing is not None:
            position = arm.steps.index(crossing)
            model, joint = arm.sends(position)
            expected = f"cloud:{model}" if joint < 0 else f"split:{model}@{joint}"
            assert arm.name == f"{expected}:{crossing.codec}"
            assert rest.startswith(model)
            beyond = arm.beyond(position)
            assert (beyond.tier, beyond.last) == ("cloud", len(picture_profile.model(model).segments) - 1)


def test_bytes_are_those_of_the_codec(picture_profile: Profile, picture_task: Task) -> None:
    table = every_arm(picture_profile, picture_task)
    frames = [pictures(14)[name] for name in picture_profile.samples]
    sizes = sorted(len(get("jpeg:75").encode({"frame": frame})) for frame in frames)
    middle = (sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2
    assert _crossing(table, "cloud:big:jpeg:75").up_bytes == int(middle)


def test_quality_is_the_agreement_shrunk_and_one_by_construction(picture_profile: Profile, picture_task: Task) -> None:
    count = len(picture_profile.samples)
    table = every_arm(picture_profile, picture_task)
    for arm in table.arms:
        if arm.name in ("local:big", "cloud:big:raw", "split:big@0:raw"):
            assert arm.quality == 1.0
        else:
            agreeing = picture_profile.agreement[arm.name].per_sample.count("1")
            assert arm.quality == pytest.approx((agreeing + 0.5) / (count + 1), abs=1e-6)
    assert [model.quality for model in table.locals] == [
        next(arm.quality for arm in table.arms if arm.name == f"local:{name}") for name in ("small", "big")
    ]


@pytest.mark.parametrize(("agreeing", "count", "expected"), [(0, 0, 0.5), (20, 20, 20.5 / 21), (0, 20, 0.5 / 21)])
def test_shrinking_draws_small_samples_to_one_half(agreeing: int, count: int, expected: float) -> None:
    assert shrunk(agreeing, count) == pytest.approx(expected)


def test_bounds_of_tails_cover_their_segments_and_never_grow(picture_profile: Profile, tensor_profile: Profile) -> None:
    for profile in (picture_profile, tensor_profile):
        for factor in (1.0, 3.5):
            for model in arm_table(profile, device_factor=factor).locals:
                for index in range(len(model.tail_bound_ns)):
                    assert model.tail_bound_ns[index] >= max(model.segment_bound_ns[index:])
                    assert model.tail_bound_ns[index] >= model.tail_median_ns[index]
                    assert model.tail_bound_ns[index:] == tuple(sorted(model.tail_bound_ns[index:], reverse=True))


def test_a_slower_device_is_stretched_by_its_medians_bounds_included(
    picture_profile: Profile, picture_task: Task
) -> None:
    slow = SlowDevice(4.0)
    one, four = every_arm(picture_profile, picture_task), every_arm(picture_profile, picture_task, tiers=Tiers(4.0))
    for measured, before, after in zip(picture_profile.models, one.locals, four.locals, strict=True):
        for index, segment in enumerate(measured.segments):
            extra = slow.extra_ns(segment.time.idle.median_ns)
            assert after.segment_median_ns[index] - before.segment_median_ns[index] == extra
            assert after.segment_bound_ns[index] - before.segment_bound_ns[index] == extra
    name = "split:big@1:q4:channel"
    extra = sum(slow.extra_ns(each.time.idle.median_ns) for each in picture_profile.model("big").segments[:2])
    assert _device_ns(four, name) - _device_ns(one, name) == extra
    encode = next(
        each for each in picture_profile.crossings if (each.model, each.joint, each.codec) == ("big", 1, "q4:channel")
    )
    extra = slow.extra_ns(encode.encode.idle.median_ns)
    assert _crossing(four, name).encode_median_ns - _crossing(one, name).encode_median_ns == extra
    assert _crossing(four, name).encode_bound_ns - _crossing(one, name).encode_bound_ns == extra
    assert (four.cloud_ns == one.cloud_ns).all()
    assert (four.up_bytes == one.up_bytes).all()


def test_cloud_times_are_the_servers_where_told_else_this_machines(picture_profile: Profile) -> None:
    import msgspec

    told = {"small": (1, 2, 3), "big": None}
    profile = msgspec.structs.replace(
        picture_profile, cloud=msgspec.structs.replace(picture_profile.cloud, segments_ns=told)
    )
    assert cloud_segments_ns(profile, profile.model("small")) == (1, 2, 3)
    own = tuple(each.time.idle.median_ns for each in profile.model("big").segments)
    assert cloud_segments_ns(profile, profile.model("big")) == own
    table = every_arm(profile, tiers=Tiers(cloud_factor=10.0))
    run = next(arm for arm in table.arms if arm.name == "split:small@0:raw").steps[-1]
    assert isinstance(run, RunStep)
    assert run.median_ns == 50


def test_only_models_that_the_server_has_are_sent_to_it(picture_profile: Profile, picture_task: Task) -> None:
    table = every_arm(picture_profile, picture_task, server_models=["small"])
    assert {arm.model for arm in table.arms if arm.crossing} == {"small"}
    assert {arm.name for arm in table.arms if not arm.crossing} == {"local:small", "local:big"}
    alone = arm_table(picture_profile, picture_task, server_models=())
    assert not alone.is_remote.any()


def test_a_live_table_holds_undominated_arms_within_its_limit(picture_profile: Profile, picture_task: Task) -> None:
    table = arm_table(picture_profile, picture_task, arms_max=3)
    assert 1 <= len(table.arms) <= 3
    assert [model.name for model in table.locals] == ["small", "big"]


def test_links_and_lanes_are_named_as_asked(picture_profile: Profile) -> None:
    table = every_arm(picture_profile, tiers=Tiers(link="edge", lane="npu"))
    assert set(table.amounts) == {"bytes:edge", "lane:npu", "tier:edge", "trips:edge"}
    assert {model.lane for model in table.locals} == {"npu"}


def test_what_cannot_be_is_refused(picture_profile: Profile, tensor_task: Task) -> None:
    with pytest.raises(UsageError, match="measured for task"):
        arm_table(picture_profile, tensor_task)
    with pytest.raises(UsageError, match="1 or more"):
        arm_table(picture_profile, device_factor=0.5)
    for factor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="cloud's factor"):
            arm_table(picture_profile, cloud_factor=factor)
