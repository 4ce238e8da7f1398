"""The arithmetic of `hedgerow bench overhead`, by figures made by hand; how fast Hedgerow is, no test says."""

import numpy as np
import pytest

from hedgerow.benchmarks.overhead import Watch
from hedgerow.core import records as r
from tests.cli.typed import hedgerow

WARM_UP = 50
EVENT = r.TimerFired()


def decision(request: int, median_ms: float, p90_ms: float) -> r.Decision:
    return r.Decision(request, "local:m", r.Reason.POLICY_FIXED, "", 0.0, 0.0, median_ms, p90_ms, p90_ms, 0.0)


def delivered(request: int, age_ms: float, reason: r.Reason = r.Reason.POLICY_FIXED) -> r.Delivered:
    return r.Delivered(request, r.Status.ANSWERED, r.Source.LOCAL, "local:m", reason, age_ms, 0.0, 0)


def watched(*answers: tuple[float, float, float]) -> Watch:
    """Predicted median, predicted 90th percentile and age of each answer, after a warm-up of perfect ones."""
    watch = Watch()
    for request, (median, p90, age) in enumerate([(1.0, 1.0, 1.0)] * WARM_UP + list(answers)):
        watch(0, EVENT, r.Outcome(records=(decision(request, median, p90),)))
        watch(0, EVENT, r.Outcome(records=(delivered(request, age),)))
    return watch


def test_errors_are_shares_of_what_came() -> None:
    assert watched((8.0, 9.0, 10.0), (15.0, 20.0, 10.0)).errors() == pytest.approx([0.2, 0.5])


def test_pinball_weighs_too_low_by_its_level_and_too_high_by_the_rest() -> None:
    # came 10: median said 8 (2 too low, x 0.5), p90 said 9 (1 too low, x 0.9), each over 10
    # came 10: median said 15 (5 too high, x 0.5), p90 said 20 (10 too high, x 0.1), each over 10
    found = watched((8.0, 9.0, 10.0), (15.0, 20.0, 10.0)).pinball()
    assert found == pytest.approx([0.1, 0.09, 0.25, 0.1])


def test_a_perfect_prediction_costs_nothing() -> None:
    watch = watched((10.0, 10.0, 10.0))
    assert watch.errors() == [0.0]
    assert watch.pinball() == [0.0, 0.0]


def test_pinball_is_least_at_the_level_s_own_quantile() -> None:
    ages = [float(age) for age in range(1, 102)]  # scaled by the age afterwards, so undo that below

    def loss(said: float, which: int) -> float:
        losses = watched(*[(said, said, age) for age in ages]).pinball()[which::2]
        return sum(part * age for part, age in zip(losses, ages, strict=True))

    for which, level in ((0, 0.5), (1, 0.9)):
        best = min(ages, key=lambda said: loss(said, which))
        assert best == pytest.approx(float(np.quantile(ages, level)), abs=1.0)


def test_warm_up_is_left_out() -> None:
    assert watched().errors() == []
    assert watched().pinball() == []


def test_one_outcome_may_decide_and_deliver_several() -> None:
    watch = Watch()
    watch(0, EVENT, r.Outcome(records=(decision(1, 4.0, 5.0), decision(2, 6.0, 7.0), delivered(2, 9.0))))
    watch(0, EVENT, r.Outcome(records=(delivered(1, 8.0),)))
    assert watch.pairs == [(6.0, 7.0, 9.0), (4.0, 5.0, 8.0)]


def test_an_answer_that_was_held_on_purpose_is_left_out() -> None:
    watch = Watch()
    watch(0, EVENT, r.Outcome(records=(decision(1, 4.0, 5.0), delivered(1, 90.0, r.Reason.HOLD_ENDED))))
    assert watch.pairs == []


@pytest.mark.parametrize("bad", [("--runs", "119"), ("--timers", "99")])
def test_too_few_runs_are_refused_and_named(bad: tuple[str, str]) -> None:
    ended = hedgerow("bench", "overhead", *bad)
    assert ended.returncode == 2
    assert bad[0] in ended.stderr
