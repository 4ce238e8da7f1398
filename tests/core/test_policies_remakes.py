"""Each remake against brute force on 200 random chains and 200 random graphs of layers, counted anew from their definitions."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hedgerow.core.arms import Arm, ArmTable, CrossStep, GateStep, RunStep
from hedgerow.core.policies import Feedback, View, by_name
from hedgerow.core.policies.ans import Ans, forces
from hedgerow.core.policies.dads import Dads
from hedgerow.core.policies.examples import chain, steady
from hedgerow.core.policies.graphs import Layers, brute_force, least_latency, most_throughput
from hedgerow.core.policies.spinn import Spinn
from hedgerow.core.policies.splits import RAW_SAMPLE, WHOLE, faithful, joint_of, network
from hedgerow.core.records import MS
from hedgerow.errors import UsageError
from tests.core.random_networks import NETWORKS, Segments, masks, random_layers, view_of
from tests.core.world import small_table

MICRO_MS = 1.001e-3  # latencies are compared in whole microseconds
CHAINED = pytest.mark.parametrize("chained", [True, False], ids=["chains", "graphs"])


# ------------------------------------------------------------------------------------------------------------- the graph


@CHAINED
def test_the_least_latency_is_that_of_the_best_of_all_cuts(chained: bool) -> None:
    for seed in range(NETWORKS):
        layers = random_layers(seed, chained=chained)
        best = min(sum(layers.stages(head)) for head in brute_force(layers))
        found = least_latency(layers)
        assert found in set(brute_force(layers)), "no cut at all"
        assert sum(layers.stages(found)) == pytest.approx(best, rel=1e-9), seed


@CHAINED
def test_the_most_throughput_is_exact_on_chains_and_within_a_factor_of_three_on_graphs(chained: bool) -> None:
    exact, worst = 0, 1.0
    for seed in range(NETWORKS):
        layers = random_layers(seed, chained=chained)
        best = min(max(layers.stages(head)) for head in brute_force(layers))
        alone, found = max(layers.stages(least_latency(layers))), max(layers.stages(most_throughput(layers)))
        assert best <= found * (1 + 1e-12) <= alone * (1 + 1e-12) <= 3 * best * (1 + 1e-9), seed
        exact, worst = exact + (found == pytest.approx(best, rel=1e-9)), max(worst, found / best)
    assert exact == NETWORKS if chained else exact > 0.9 * NETWORKS
    assert worst < 1.3


@CHAINED
def test_the_joints_are_the_cuts_that_a_single_output_crosses(chained: bool) -> None:
    for seed in range(NETWORKS):
        layers = random_layers(seed, chained=chained)
        every = brute_force(layers)
        everything = frozenset(range(len(layers.device)))
        crossing = {
            head: {read for layer in everything - head for read in layers.reads[layer] if read in head}
            for head in every
        }
        assert set(layers.joints()) == {head for head in every if len(crossing[head]) <= 1}
        assert len(every) == len(set(every))


def test_a_graph_may_be_cut_better_than_at_its_joints() -> None:
    """Two branches from the input: one shrinks it here, the other is work for the cloud."""
    layers = Layers((0, 5, 50, 1), (0, 1, 2, 1), (8, 1, 9, 9), ((), (0,), (1,), (1, 2)))
    assert least_latency(layers) == {0, 1}
    skip = Layers((0, 1, 40, 40, 1), (0, 1, 1, 1, 1), (90, 2, 3, 4, 1), ((), (0,), (1,), (0,), (2, 3)))
    best = sum(skip.stages(least_latency(skip)))
    assert best < min(sum(skip.stages(head)) for head in skip.joints())


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": (0.0, 1.0)},
        {"device": (1.0, 1.0, 1.0)},
        {"cloud": (0.0, -1.0, 1.0)},
        {"send": (1.0, float("nan"), 1.0)},
        {"reads": ((), (0,), (2,))},
        {"reads": ((), (0,), ())},
        {"reads": ((0,), (0,), (1,))},
    ],
)
def test_what_is_no_network_is_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    right = Layers((0, 1, 1), (0, 1, 1), (1, 1, 1), ((), (0,), (1,)))
    with pytest.raises(UsageError, match="layer"):
        replace(right, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at most 20"):
        brute_force(Layers((0.0,) * 21, (0.0,) * 21, (0.0,) * 21, ((), *((each,) for each in range(20)))))


# ---------------------------------------------------------------------------------------------------------- Neurosurgeon


@CHAINED
def test_neurosurgeon_takes_the_best_cut(chained: bool) -> None:
    for seed in range(NETWORKS):
        segments = Segments.of(random_layers(seed, chained=chained))
        table, rtt_ms = segments.table(encode_ms=0.5), 10.0 + seed % 7
        for allowed in masks(seed, len(table.arms)):
            view = view_of(table, allowed, rtt_ms=rtt_ms)
            cuts = [cut for cut in range(segments.cuts) if allowed[cut]]
            latency_ms = {c: sum(segments.stages_ms(c, 0.5)) + (rtt_ms if c < segments.cuts - 1 else 0) for c in cuts}
            energy = {cut: _energy_mj(table, segments, cut) for cut in cuts}
            for name, score, slack in (("neurosurgeon", latency_ms, MICRO_MS), ("neurosurgeon-energy", energy, 1e-5)):
                choice = by_name(name).choose(view)
                assert (choice is None) == (not cuts)
                if choice is not None:
                    assert score[choice.arm] <= min(score.values()) + slack, (seed, name)


def _energy_mj(table: ArmTable, segments: Segments, cut: int) -> float:
    here, crossing, _ = segments.stages_ms(cut, 0.5)
    tail = table.energy.radio_tail_mj if cut < segments.cuts - 1 else 0.0
    return (here * table.energy.active_mw + crossing * table.energy.radio_mw) / 1000 + tail


# ------------------------------------------------------------------------------------------------------------------ DADS


@CHAINED
def test_dads_takes_the_quickest_cut_when_it_keeps_up_and_else_the_least_stage(chained: bool) -> None:
    congested = 0
    for seed in range(NETWORKS):
        layers = random_layers(seed, chained=chained)
        segments = Segments.of(layers)
        table, period_ms = segments.table(), 5 + seed % 60
        for allowed in masks(seed, len(table.arms)):
            policy = by_name("dads")
            policy.choose(view_of(table, allowed))
            choice = policy.choose(view_of(table, allowed, now_ns=period_ms * MS))
            stages = {cut: segments.stages_ms(cut) for cut in range(segments.cuts) if allowed[cut]}
            assert (choice is None) == (not stages)
            if choice is None:
                continue
            least = min(sum(each) for each in stages.values())
            slowest = max(next(each for each in stages.values() if sum(each) <= least + MICRO_MS))
            heavy = slowest >= period_ms
            score = {cut: max(each) if heavy else sum(each) for cut, each in stages.items()}
            assert score[choice.arm] <= min(score.values()) + MICRO_MS, seed
            congested += heavy
    assert 0.1 < congested / (2 * NETWORKS) < 0.9, "one of the two cases was hardly tried"


def test_on_chains_dads_is_the_minimum_cut_and_on_graphs_it_gives_away_what_is_told() -> None:
    given_away = []
    for chained, seed in product((True, False), range(NETWORKS)):
        layers = random_layers(seed, chained=chained)
        segments = Segments.of(layers)
        table = segments.table()
        choice = by_name("dads").choose(view_of(table, [True] * len(table.arms)))
        assert choice is not None
        mine, best = sum(segments.stages_ms(choice.arm)), sum(layers.stages(least_latency(layers)))
        if chained:
            assert mine == pytest.approx(best, abs=MICRO_MS)
        else:
            assert mine >= best - MICRO_MS
            given_away.append(mine / best - 1.0)
    assert np.mean(np.array(given_away) > 1e-6) > 0.02, "these graphs do not tell joints from cuts"


def test_dads_calls_it_heavy_when_requests_pile_up() -> None:
    table = chain(device_ms=(20, 30, 5), cloud_ms=(1, 1, 1), kilobytes=(70, 20, 20), encode_ms=0)
    view = steady(table, rtt_ms=40)
    arms = [Dads().choose(replace(view, in_flight=count)) for count in (0, 3, 4)]
    assert [each and each.arm for each in arms] == [3, 3, 1]


def test_one_short_gap_is_no_load_and_several_are() -> None:
    table = chain(device_ms=(20, 30, 5), cloud_ms=(1, 1, 1), kilobytes=(70, 20, 20), encode_ms=0)
    policy, now_ns, taken = Dads(), 0, []
    for gap_ms in (0, 100, 100, 10, 10, 10, 10, 10):  # mean 100, 100, 77, 61, 48 ...; all here takes 55
        now_ns += gap_ms * MS
        choice = policy.choose(steady(table, rtt_ms=40, now_ns=now_ns))
        taken.append(choice and choice.arm)
    assert taken == [3, 3, 3, 3, 3, 1, 1, 1]


@pytest.mark.parametrize("name", ["neurosurgeon", "dads"])
def test_they_believe_the_newest_that_was_observed_and_the_prior_only_before_that(name: str) -> None:
    """The newest is what weighs most beside the prior in row 0, whatever that weighs."""
    table = chain(device_ms=(10, 40, 40), cloud_ms=(1, 1, 1), kilobytes=(200, 10, 5))
    quick, slow = np.array([20.0 * MS, 8.0, 1.0]), np.array([20.0 * MS, 16_000.0, 1.0])
    for samples, weights, arm in (
        ([slow, quick, slow], [0.1, 0.6, 0.3], 0),
        ([quick, quick, slow], [0.1, 0.3, 0.6], 3),
        ([quick, slow, quick], [0.1, 0.3, 0.6], 0),
        ([quick, slow], [0.9, 0.1], 3),
        ([quick, slow], [1.0, 0.0], 0),
        ([slow, quick], [1.0, 0.0], 3),
    ):
        choice = by_name(name).choose(sampled(steady(table), np.array(samples), weights))
        assert choice is not None
        assert choice.arm == arm


# ----------------------------------------------------------------------------------------------------------------- SPINN


def gated(seed: int, segments: Segments) -> ArmTable:
    """Every cut of the network, plain and with one or two gates of different thresholds on its head."""
    rng = np.random.default_rng((seed, 5))
    plain = segments.table(encode_ms=0.5)
    arms = list(plain.arms)
    for number in range(6):
        cut = int(rng.integers(1, segments.cuts))
        steps = list(plain.arms[min(cut, segments.cuts - 2)].steps) if segments.cuts > 2 else list(plain.arms[0].steps)
        place = next(place for place, step in enumerate(steps) if isinstance(step, CrossStep))
        head = steps[0]
        if place and isinstance(head, RunStep) and head.last > 0 and number % 2:  # a gate within the head as well
            middle = replace(head, last=0, median_ns=round(segments.device_ms[0] * MS))
            rest = replace(head, first=1, median_ns=head.median_ns - middle.median_ns)
            steps[:1] = [middle, GateStep(0.9, float(rng.uniform(0.1, 0.9))), rest]
            place += 2
        if place:
            steps.insert(place, GateStep(0.8, float(rng.uniform(0.1, 0.9))))
        arms.append(Arm(f"gated {number}", tuple(steps), round(float(rng.uniform(0.5, 1.0)), 3)))
    return ArmTable(tuple(replace(arm, quality=round(float(rng.uniform(0.5, 1.0)), 2)) for arm in arms), plain.locals)


def outcomes_of(arm: Arm, sample: list[float]) -> list[tuple[float, float]]:
    """(probability, ms until then) of each way in which the arm may end, step by step."""
    ways, passing, now_ms = [], 1.0, 0.0
    trip_ns, per_byte, factor = sample
    for step in arm.steps:
        match step:
            case GateStep():
                ways.append((passing * step.stop_share, now_ms))
                passing *= 1 - step.stop_share
            case RunStep(tier="device"):
                now_ms += step.median_ns / MS
            case RunStep():
                now_ms += step.median_ns * factor / MS
            case CrossStep():
                now_ms += (step.encode_median_ns + trip_ns + step.up_bytes * per_byte + step.decode_ns * factor) / MS
    return [*ways, (passing, now_ms)]


def sampled(view: View, samples: np.ndarray[tuple[int, int], np.dtype[np.float64]], weights: list[float]) -> View:
    """The view under several samples of the link."""
    amounts = view.table.rows(("trips", "bytes", "tier"), "cloud")
    network = np.array([sum(value * row for value, row in zip(each, amounts, strict=True)) for each in samples])
    return replace(view, network_ns=network, samples=samples, weights=np.array(weights))


@CHAINED
def test_spinn_takes_what_meets_the_target_best(chained: bool) -> None:
    met = stopped = 0
    for seed in range(NETWORKS):
        table = gated(seed, Segments.of(random_layers(seed, chained=chained)))
        rng = np.random.default_rng((seed, 6))
        samples = np.stack([rng.uniform(5, 60, 3) * MS, rng.uniform(200, 3000, 3), rng.uniform(0.8, 2, 3)], axis=1)
        weights = [0.5, 0.3, 0.2]
        for allowed in masks(seed, len(table.arms)):
            view = sampled(view_of(table, allowed), samples, weights)
            view.available_ns = float(rng.uniform(10, 150)) * MS
            choice, ranks = Spinn().choose(view), {}
            for column in (place for place, each in enumerate(allowed) if each):
                ways = [
                    (weight * share, moment)
                    for weight, sample in zip(weights, samples.tolist(), strict=True)
                    for share, moment in outcomes_of(table.arms[column], sample)
                ]
                success = sum(share for share, moment in ways if moment * MS <= view.available_ns)
                mean_ms = sum(share * moment for share, moment in ways)
                meets = success >= 0.9 - 1e-9
                rank = (not meets, 0.0 if meets else -round(success, 6), -table.quality[column], round(mean_ms, 3))
                ranks[column] = rank
            assert (choice is None) == (not ranks)
            if choice is not None:
                best, mine = min(ranks.values()), ranks[choice.arm]
                assert mine[0] == best[0]
                assert np.allclose(mine[1:], best[1:], atol=2e-3), (seed, mine, best)
                met += not best[0]
                stopped += any(isinstance(step, GateStep) for step in table.arms[choice.arm].steps)
    assert met > NETWORKS // 2
    assert stopped > NETWORKS // 10


# ------------------------------------------------------------------------------------------------------------------- ANS


@CHAINED
def test_ans_is_ridge_regression_with_optimism_and_forced_sampling(chained: bool) -> None:
    for seed in range(NETWORKS):
        segments, rng = Segments.of(random_layers(seed, chained=chained)), np.random.default_rng((seed, 7))
        table = segments.table(encode_ms=0.5)
        policy, a, b = by_name("ans"), np.eye(3), np.zeros(3)
        assert isinstance(policy, Ans)
        for request in range(25):
            allowed = [bool(each) for each in rng.random(len(table.arms)) < 0.9]
            view = view_of(table, allowed, rtt_ms=20.0, request=request)
            choice = policy.choose(view)
            theta, inverse = np.linalg.solve(a, b), np.linalg.inv(a)
            remote = [cut for cut in range(segments.cuts - 1) if allowed[cut]]
            key = 0.9 if request % 15 == 0 else 0.1
            score = {
                cut: segments.stages_ms(cut, 0.5)[0] + theta @ x - 20 * np.sqrt((1 - key) * (x @ inverse @ x))
                for cut in remote
                for x in [_features(segments, cut)]
            }
            if allowed[segments.cuts - 1] and not (forces(request) and remote):
                score[segments.cuts - 1] = sum(segments.device_ms)
            assert (choice is None) == (not score)
            if choice is None:
                continue
            assert score[choice.arm] <= min(score.values()) + 2 * MICRO_MS, (seed, request)
            if choice.arm in remote:
                lost = rng.random() < 0.1
                took_ms = float(rng.uniform(20, 200)) + segments.stages_ms(choice.arm, 0.5)[0]
                policy.learn(Feedback(request, choice.arm, None if lost else round(took_ms * MS)))
                beyond = (2 * view.time_left_ns / MS if lost else took_ms) - segments.stages_ms(choice.arm, 0.5)[0]
                x = _features(segments, choice.arm)
                a, b = a + np.outer(x, x), b + beyond * x
        assert np.allclose(policy.theta, np.linalg.solve(a, b), rtol=1e-6, atol=1e-6)


def _features(segments: Segments, cut: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    _, _, there = segments.stages_ms(cut, 0.5)
    return np.array([1.0, round(segments.kilobytes[cut] * 1000) / 1e4, there / 10])


def test_ans_learns_a_steady_link_and_takes_its_best_cut() -> None:
    for seed in range(20):
        segments = Segments.of(random_layers(seed, chained=True))
        table, policy = segments.table(encode_ms=0.5), by_name("ans")
        assert isinstance(policy, Ans)
        latency = [
            sum(segments.stages_ms(cut, 0.5)) + (20 if cut < segments.cuts - 1 else 0) for cut in range(segments.cuts)
        ]
        taken = []
        for request in range(400):
            choice = policy.choose(view_of(table, [True] * len(table.arms), rtt_ms=20.0, request=request))
            assert choice is not None
            taken.append(latency[choice.arm])
            if choice.arm < segments.cuts - 1:
                policy.learn(Feedback(request, choice.arm, round(latency[choice.arm] * MS)))
        free = [each for request, each in enumerate(taken) if request >= 300 and not forces(request)]
        assert np.mean(free) <= 1.1 * min(latency) + 1, seed


def test_ans_counts_what_never_left_as_lost() -> None:
    """The core tells how attempts ended that were sent; of a head that the reserve overtook nothing is ever heard."""
    policy, table = Ans(), chain(device_ms=(10, 40, 40), cloud_ms=(1, 1, 1), kilobytes=(200, 10, 5))
    first = policy.choose(steady(table, request=0))
    assert first is not None
    assert table.is_remote[first.arm]
    for request, now_ns in ((1, 100 * MS), (2, 590 * MS), (3, 610 * MS)):
        policy.choose(steady(table, request=request, now_ns=now_ns))
        assert (0 in policy.pending) == (now_ns < 600 * MS)
    assert policy.theta != [0.0, 0.0, 0.0]
    before = policy.theta
    policy.learn(Feedback(0, first.arm, 5 * MS))  # whatever comes after all is not learned twice
    assert policy.theta == before


def test_ans_is_forced_ever_less_often_and_keeps_few_open_attempts() -> None:
    shares = [sum(forces(count) for count in range(start, start + 1000)) / 1000 for start in (0, 4000, 100_000)]
    assert shares[0] > shares[1] > shares[2] > 0
    table, policy = small_table(), Ans()
    for request in range(2000):
        policy.choose(steady(table, rtt_ms=0.0, mbps=1000, request=request))
    assert len(policy.pending) <= 256
    before = policy.theta
    policy.learn(Feedback(0, 2, 5 * MS))  # an attempt of long ago, and one that never was
    policy.learn(Feedback(10**6, 2, 5 * MS))
    assert policy.theta == before


# ---------------------------------------------------------------------------------------------------------------- splits


def test_the_cuts_of_one_network_are_found_in_a_table() -> None:
    table = small_table()
    assert network(table) == "big"
    assert [joint_of(table, column) for column in range(4)] == [WHOLE, WHOLE, RAW_SAMPLE, 1]
    assert faithful(table).tolist() == [False, True, True, False]
    coarse = replace(table.arms[2], name="cloud:big:jpeg:25", quality=0.9)
    fine = replace(table.arms[2], name="cloud:big:raw", quality=0.98)
    wider = ArmTable((*table.arms, coarse, fine), table.locals)
    assert faithful(wider).tolist() == [False, True, True, False, False, True]
