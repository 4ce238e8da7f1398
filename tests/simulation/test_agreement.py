import numpy as np
import pytest

from hedgerow.errors import UsageError
from hedgerow.simulation.agreement import Agreements
from tests.simulation.profiles import profile

REQUESTS = 200_000


def test_two_arms_agree_together_as_often_as_in_the_profile_and_not_as_often_as_if_they_were_independent() -> None:
    found = Agreements.of_profile(profile(), np.random.default_rng(1))
    small, cloud = found.agreeing("local:small", REQUESTS), found.agreeing("cloud:small:jpeg:75", REQUESTS)
    # per sample: 11011010 and 11001010: both in 4 of 8, the local one alone in 1, the cloud's alone never
    error = 4 * (0.25 / REQUESTS) ** 0.5
    assert abs((small & cloud).mean() - 4 / 8) < error
    assert abs((small & ~cloud).mean() - 1 / 8) < error
    assert not (cloud & ~small).any()
    assert abs((small & cloud).mean() - small.mean() * cloud.mean()) > 0.1  # 5/8 x 4/8 were they drawn apart


def test_each_arm_agrees_as_often_as_its_mean_says_in_runs_too() -> None:
    for run_length in (1.0, 20.0):
        found = Agreements.of_profile(profile(), np.random.default_rng(2), run_length=run_length)
        for name, each in profile().agreement.items():
            error = 4 * (0.25 * 2 * run_length / REQUESTS) ** 0.5
            assert abs(found.agreeing(name, REQUESTS).mean() - each.mean) < error


def test_runs_have_the_asked_mean_length_across_blocks() -> None:
    found = Agreements.of_profile(profile(), np.random.default_rng(3), run_length=10.0)
    found.sample(REQUESTS)
    drawn = np.array([found.sample(at) for at in range(REQUESTS)])
    changes = (drawn[1:] != drawn[:-1]).mean()
    # a run ends with probability 1/10, and the next sample is another one in 7 of 8 cases
    assert abs(changes - 0.1 * 7 / 8) < 4 * (0.09 / REQUESTS) ** 0.5


def test_the_sample_of_a_request_does_not_depend_on_the_order_of_questions() -> None:
    one = Agreements.of_profile(profile(), np.random.default_rng(4), run_length=3.0)
    other = Agreements.of_profile(profile(), np.random.default_rng(4), run_length=3.0)
    late_first = [other.sample(at) for at in reversed(range(10_000))][::-1]
    assert [one.sample(at) for at in range(10_000)] == late_first
    assert [one.agrees(at, "local:small") for at in range(9_000)] == one.agreeing("local:small", 9_000).tolist()


def test_two_answers_are_compared_only_where_the_profile_can_say() -> None:
    found = Agreements({"local:a": "1100", "cloud:b": "1010"}, np.random.default_rng(5))
    seen = {found.sample(at): found.same(at, "cloud:b", "a") for at in range(200)}
    assert seen == {0: True, 1: False, 2: False, 3: None}


def test_confidence_is_that_of_the_same_sample() -> None:
    found = Agreements.of_profile(profile(), np.random.default_rng(6))
    for at in range(50):
        assert found.confidence(at, "small") == profile().model("small").confidence[found.sample(at)]
    assert found.confidence(0, "unknown") is None


def test_what_cannot_be_is_refused() -> None:
    found = Agreements.of_profile(profile(), np.random.default_rng(7))
    with pytest.raises(UsageError, match=r"did not judge arm 'cloud:none'; it has local:small"):
        found.agrees(0, "cloud:none")
    with pytest.raises(UsageError, match="same samples"):
        Agreements({"a": "10", "b": "1"}, np.random.default_rng(0))
    with pytest.raises(UsageError, match="same samples"):
        Agreements({"a": ""}, np.random.default_rng(0))
    with pytest.raises(UsageError, match="give 1 or more"):
        Agreements({"a": "1"}, np.random.default_rng(0), run_length=0.5)
