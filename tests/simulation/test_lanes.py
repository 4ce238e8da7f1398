import math
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct
from numpy.typing import NDArray

from hedgerow.core.arms import Arm, ArmTable, CrossStep, LocalModel, RunStep
from hedgerow.core.records import MS, SECOND
from hedgerow.errors import UsageError
from hedgerow.planning.arms import Tiers
from hedgerow.profiling.profile import ModelProfile, Profile
from hedgerow.profiling.times import IdleAndLoaded, Times
from hedgerow.simulation.lanes import BLOCK, Heat, Lane, LaneTimes, Neighbour, Work, encode_key, quantile_curve
from tests.simulation.profiles import kin_profile, profile, spread, streams

BLOCKS = 200


def _drawn(times: LaneTimes, name: str, *, loaded: bool = False, blocks: int = BLOCKS) -> NDArray[np.int64]:
    return np.concatenate([times.block(at, name, loaded=loaded) for at in range(blocks)])


@pytest.mark.parametrize("loaded", [False, True])
def test_every_quantile_of_the_profile_comes_back_within_its_sampling_error(loaded: bool) -> None:
    lane = LaneTimes.of_profile(profile(), streams(1), persistence=0.0)
    for name in ("small", "big"):
        drawn = _drawn(lane, name, loaded=loaded)
        for at, segment in enumerate(profile().model(name).segments):
            times = segment.time.loaded if loaded else segment.time.idle
            for value, share in (
                (times.median_ns, 0.5),
                (times.p90_ns, 0.1),
                (times.p99_ns, 0.01),
                (times.p999_ns, 0.001),
            ):
                above = (drawn[:, at] > value).mean()
                assert abs(above - share) < 4 * math.sqrt(share * (1 - share) / len(drawn)) + 1e-5
            assert drawn[:, at].max() <= times.max_ns + 1
            assert drawn[:, at].min() >= 0.5 * times.median_ns


def test_median_and_tail_come_back_however_alike_neighbours_are() -> None:
    lane = LaneTimes.of_profile(profile(), streams(2), persistence=0.9)
    drawn = _drawn(lane, "small")
    idle = profile().model("small").segments[1].time.idle
    # the effective number of draws is less by (1 + rho) / (1 - rho), at most 19
    assert abs((drawn[:, 1] > idle.median_ns).mean() - 0.5) < 4 * math.sqrt(19 * 0.25 / len(drawn))
    assert abs((drawn[:, 1] > idle.p999_ns).mean() - 0.001) < 4 * math.sqrt(19 * 0.001 / len(drawn))


def test_a_whole_run_has_the_measured_tail() -> None:
    """The profile's tails were chosen as if segments moved together: the fit must find that, and no more."""
    drawn = _drawn(LaneTimes.of_profile(profile(), streams(3), persistence=0.0), "small").sum(axis=1)
    whole = profile().model("small").segments[0].tail.idle
    assert abs(np.quantile(drawn, 0.999) / whole.p999_ns - 1) < 0.05
    assert abs(np.median(drawn) / whole.median_ns - 1) < 0.01


def test_a_tail_of_independent_segments_is_found_too() -> None:
    steady = Times(2000, 10 * MS, 10_300_000, 10_900_000, 12 * MS, 13 * MS)
    usual = profile().model("small")
    segments = tuple(replace_struct(each, tail=IdleAndLoaded(steady, steady)) for each in usual.segments)
    small: ModelProfile = replace_struct(usual, segments=segments)
    lane = LaneTimes.of_profile(_with_models(small), streams(4), persistence=0.0)
    total = _drawn(lane, "small").sum(axis=1)
    lowest = _drawn(LaneTimes.of_profile(profile(), streams(4), persistence=0.0), "small").sum(axis=1)
    assert np.quantile(total, 0.999) < 0.85 * np.quantile(lowest, 0.999)


def _with_models(*models: ModelProfile) -> Profile:
    return replace_struct(profile(), models=models)


@pytest.mark.parametrize("persistence", [0.5, 0.9])
def test_neighbouring_requests_are_as_alike_as_the_theory_says(persistence: float) -> None:
    curve = quantile_curve(spread(5000).idle)
    lane = LaneTimes({"m": Work((curve, curve), (curve, curve), 0.6)}, streams(5), persistence=persistence)
    drawn = _drawn(lane, "m")
    ranks = np.argsort(np.argsort(drawn[:, 0])).astype(float)
    for lag in (1, 2, 5, 10):
        found = np.corrcoef(ranks[:-lag], ranks[lag:])[0, 1]
        assert abs(found - 6 / math.pi * math.asin(0.6 * persistence**lag / 2)) < 0.02
    other = np.argsort(np.argsort(drawn[:, 1])).astype(float)
    assert abs(np.corrcoef(ranks, other)[0, 1] - 6 / math.pi * math.asin(0.3)) < 0.02


def test_times_are_a_function_of_seed_request_and_work_alone() -> None:
    one, other = (LaneTimes.of_profile(profile(), streams(6)) for _ in range(2))
    requests = [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7]
    forwards = [one.segments_ns(at, "small", 0, 3) for at in requests]
    other.encode_ns(5 * BLOCK, "small", 1, "q4")  # another piece of work, and a later block, first
    other.segments_ns(2, "big", 0, 2)
    assert [other.segments_ns(at, "small", 0, 3) for at in reversed(requests)] == forwards[::-1]
    assert one.segments_ns(1, "small", 1, 2) == forwards[1][1:3]
    assert LaneTimes.of_profile(profile(), streams(7)).segments_ns(0, "small", 0, 3) != forwards[0]
    small = _with_models(profile().model("small"))
    assert LaneTimes.of_profile(small, streams(6)).segments_ns(BLOCK, "small", 0, 3) == forwards[3]


def test_a_slower_device_adds_what_the_arm_table_adds() -> None:
    usual, slow = (LaneTimes.of_profile(profile(), streams(8), device_factor=factor) for factor in (1.0, 3.0))
    tiers = Tiers(device_factor=3.0)
    for at in range(100):
        pairs = zip(usual.segments_ns(at, "big", 0, 2), slow.segments_ns(at, "big", 0, 2), strict=True)
        for (mine, theirs), segment in zip(pairs, profile().model("big").segments, strict=True):
            assert abs(theirs - mine - (tiers.median_ns(segment.time) - segment.time.median_ns)) <= 1
        extra = slow.encode_ns(at, "big", -1, "jpeg:75") - usual.encode_ns(at, "big", -1, "jpeg:75")
        assert abs(extra - 2 * 300_000) <= 1


def test_a_raw_samples_encoder_is_every_models() -> None:
    lane = LaneTimes.of_profile(profile(), streams(9))
    assert lane.encode_ns(3, "small", -1, "jpeg:75") == lane.encode_ns(3, "big", -1, "jpeg:75")
    with pytest.raises(UsageError, match=r"no times of 'encode:small@2:q4'; there are: small"):
        lane.encode_ns(3, "small", 2, "q4")


def test_payloads_have_the_measured_median_and_spread() -> None:
    lane = LaneTimes.of_profile(profile(), streams(15))
    sizes = np.array([lane.payload_bytes(at, "big", -1, "jpeg:75") for at in range(40_000)])
    assert abs((sizes > 11_000).mean() - 0.5) < 4 * 0.5 / 200
    assert abs((sizes > 22_000).mean() - 0.1) < 4 * 0.3 / 200


def test_the_clouds_medians_are_what_it_told_times_the_factor() -> None:
    lane = LaneTimes.of_cloud(profile(), streams(10), cloud_factor=0.5, persistence=0.0)
    medians = np.median(_drawn(lane, "big", blocks=50), axis=0)
    assert medians == pytest.approx([250_000, 4_500_000, 2_500_000], rel=0.01)
    assert np.median([lane.decode_ns(at, "big", -1, "jpeg:75") for at in range(5000)]) == pytest.approx(
        100_000, rel=0.01
    )


def test_without_a_profile_the_tables_medians_and_bounds_serve() -> None:
    model = LocalModel("m", "cpu", 0.9, (10 * MS, 20 * MS), (22 * MS, 44 * MS), (30 * MS, 20 * MS), (66 * MS, 44 * MS))
    cross = CrossStep("cloud", "q4", 4000, MS, 2 * MS)
    arms = (
        Arm("local:m", (RunStep("device", "m", 0, 1, 30 * MS),), 0.9),
        Arm("split:m@0:q4", (RunStep("device", "m", 0, 0, 10 * MS), cross, RunStep("cloud", "m", 1, 1, MS)), 0.9),
    )
    lane = LaneTimes.of_table(ArmTable(arms, (model,)), streams(11), persistence=0.0)
    drawn = _drawn(lane, "m")
    assert np.median(drawn, axis=0) == pytest.approx([10 * MS, 20 * MS], rel=0.01)
    assert abs((drawn[:, 0] > 20 * MS).mean() - 0.001) < 0.0005
    assert lane.encode_ns(0, "m", 0, "q4") > 0
    assert encode_key("m", 0, "q4") == "encode:m@0:q4"


def test_a_noisy_neighbour_is_there_for_its_share_of_the_time_in_bursts_of_its_length() -> None:
    neighbour = Neighbour(np.random.default_rng(12), busy_ns=200 * MS, away_ns=800 * MS)
    seen = np.array([neighbour.is_busy(at * 10 * MS) for at in range(400_000)])
    turns = np.count_nonzero(seen[1:] & ~seen[:-1])
    # about 4,000 turns: the share's error is that of a renewal process, 0.2 x 0.8 x sqrt(2 / turns)
    assert abs(seen.mean() - 0.2) < 4 * 0.16 * math.sqrt(2 / turns)
    assert abs(seen.sum() * 10 / turns - 210) < 4 * 200 / math.sqrt(turns) + 5  # bursts under 10 ms are not all seen
    again = Neighbour(np.random.default_rng(12), busy_ns=200 * MS, away_ns=800 * MS)
    assert [again.is_busy(at * 10 * MS) for at in (399_999, 5, 0)] == [seen[399_999], seen[5], seen[0]]


def test_a_neighbour_makes_times_the_loaded_ones() -> None:
    lane = Lane(
        LaneTimes.of_profile(profile(), streams(13)),
        neighbour=Neighbour(np.random.default_rng(1), busy_ns=SECOND, away_ns=SECOND),
    )
    assert lane.neighbour is not None
    for at in range(200):
        now = at * 37 * MS
        busy = lane.neighbour.is_busy(now)
        assert lane.segments_ns(at, "big", 0, 2, now) == lane.times.segments_ns(at, "big", 0, 2, loaded=busy)
        assert lane.encode_ns(at, "small", 1, "q4", now) == lane.times.encode_ns(at, "small", 1, "q4", loaded=busy)


def test_temperature_follows_the_equation_and_nears_the_load_share() -> None:
    heat = Heat(ambient_c=20.0, rise_c=60.0, time_constant_ns=30.0 * SECOND, throttle_at_c=200.0, release_at_c=190.0)
    heat.worked(0, 30 * SECOND)
    assert heat.celsius == pytest.approx(20 + 60 * (1 - math.exp(-1)))
    assert heat.rest(60 * SECOND) == pytest.approx(20 + 60 * (1 - math.exp(-1)) * math.exp(-1))
    for at in range(60, 1000):
        heat.worked(at * SECOND, at * SECOND + 250 * MS)
    assert abs(heat.celsius - (20 + 0.25 * 60)) < 0.5
    before = heat.celsius
    heat.worked(0, SECOND)  # long over
    assert heat.celsius == before


def test_a_hot_lane_slows_until_it_has_cooled() -> None:
    heat = Heat(time_constant_ns=10.0 * SECOND, slowdown=2.0)
    lane = Lane(LaneTimes.of_profile(profile(), streams(14)), heat=heat)
    now = 0
    while heat.factor(now) == 1.0:
        lane.worked(now, now + SECOND)
        now += SECOND
    # 25 + 60 (1 - exp(-t/10 s)) reaches 75 degrees at t = 10 s ln 6 = 17.9 s
    assert now == 18 * SECOND
    assert sum(lane.segments_ns(1, "big", 0, 2, now)) == pytest.approx(
        2 * sum(lane.times.segments_ns(1, "big", 0, 2)), abs=3
    )
    assert heat.throttled_ns == 0
    lane.worked(now, now + SECOND)
    assert heat.throttled_ns == SECOND
    assert heat.factor(now + 1100 * MS) == 2.0  # 76 degrees, still above 70
    assert heat.factor(now + 4 * SECOND) == 1.0
    assert heat.celsius < 70


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="persistence"):
        LaneTimes({}, streams(1), persistence=1.0)
    with pytest.raises(UsageError, match="no times of 'x'"):
        LaneTimes.of_profile(profile(), streams(1)).segments_ns(0, "x", 0, 0)
    with pytest.raises(UsageError, match="above 0"):
        Neighbour(np.random.default_rng(0), busy_ns=0, away_ns=1)
    with pytest.raises(UsageError, match="time constant"):
        replace(Heat(), slowdown=0.5)


def test_a_branch_takes_on_its_trunks_segments_what_the_trunk_takes_and_its_own_time_behind_them() -> None:
    for lane in (LaneTimes.of_profile(kin_profile(), streams(5)), LaneTimes.of_cloud(kin_profile(), streams(5))):
        trunk, branch = lane.block(0, "small"), lane.block(0, "small.exit")
        assert np.array_equal(trunk[:, :2], branch[:, :2])
        assert not np.array_equal(trunk[:, 2], branch[:, 2])
        assert lane.segments_ns(7, "small.exit", 0, 1) == lane.segments_ns(7, "small", 0, 1)
        assert lane.drawn_from(streams(6)).segments_ns(7, "small.exit", 0, 1) != lane.segments_ns(7, "small", 0, 1)
        assert not np.array_equal(lane.block(0, "small.int8")[:, 1], trunk[:, 1])  # a copy's work is its own
