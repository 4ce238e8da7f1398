"""Refusals: no figure outside what the log explored, and each says why, how much there was and what would be enough."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.assurance.evaluation import Evaluation, Unsupported, evaluate, judge, read
from hedgerow.assurance.evaluation.logged import Logged
from hedgerow.assurance.evaluation.support import CHANCE_MIN, support_of
from hedgerow.core.policies import by_name
from tests.assurance.evaluation.worlds import WIDE, logged, setup_of


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """320 requests of a policy that draws much, under the question of the device alone."""
    path = tmp_path_factory.mktemp("support") / "journal"
    logged(path, setup_of("drive-mixed", 2))
    return read(path, by_name("device-only"), logged_by=WIDE)


def cut(found: Logged, count: int) -> Logged:
    """Its first requests."""
    return found.only(np.arange(found.requests) < count)


def why(found: Logged) -> str:
    with pytest.raises(Unsupported) as error:
        judge(found)
    assert error.value.support == support_of(found)
    return str(error.value)


def test_where_the_log_explored_there_is_an_answer(wide: Logged) -> None:
    found = judge(wide)
    assert isinstance(found, Evaluation)
    assert (found.policy, found.logged_policy, found.requests) == ("device-only", "exploring-wide", 320)
    assert found.support.outside == 0
    assert found.support.effective > 50
    assert found.figures["cost_mj"].dr.low < found.figures["cost_mj"].dr.mean < found.figures["cost_mj"].dr.high


def test_what_was_never_seen_is_bounded_by_how_often_it_could_have_been(wide: Logged) -> None:
    found = judge(wide)
    late, effective = found.figures["late"], found.support.effective
    assert (late.dr.mean, late.dr.low) == (0, 0)
    assert late.snips.high == pytest.approx(3 / effective)
    assert late.logged.high == pytest.approx(3 / 320)


def test_a_log_that_never_drew_tells_of_its_own_choices_alone(tmp_path: Path) -> None:
    setup, path = setup_of("steady", 3, count=150), tmp_path / "journal"
    run = logged(path, setup, by_name("ours"))
    with pytest.raises(Unsupported) as error:
        evaluate(path, by_name("device-only"))
    words = (
        r"never drew \(each propensity is 1\), and policy 'device-only' chooses otherwise in \d+\.\d% of its requests"
    )
    assert re.search(words, str(error.value))
    assert "most often local:" in str(error.value)
    assert "requests logged with --policy exploring-more" in str(error.value)
    same = evaluate(path, by_name("hedgerow"))
    assert same.figures["cost_mj"].dr.mean == pytest.approx(same.figures["cost_mj"].logged.mean)
    assert same.figures["disagreement"].ips.mean == pytest.approx(1 - run.quality.mean())
    with pytest.raises(Unsupported, match="40 requests were decided and ended in this journal; at least 100"):
        judge(cut(read(path, by_name("ours")), 40))


def test_one_request_in_a_hundred_may_lie_outside_and_is_left_out(wide: Logged) -> None:
    chance, weight = wide.chance.copy(), wide.weight.copy()
    chance[:3], weight[:3] = 0.0, 0.0
    found = judge(replace(wide, chance=chance, weight=weight))
    assert found.support.outside == pytest.approx(3 / 320)
    assert found.figures["cost_mj"].logged.mean == pytest.approx(wide.outcomes["cost_mj"][3:].mean())
    chance[:4], weight[:4] = CHANCE_MIN / 2, 0.0
    told = why(replace(wide, chance=chance, weight=weight))
    assert "chooses in 1.2% of the requests what 'exploring-wide' would not have drawn" in told
    assert "(most often local:small: 4); at most 1% may be so" in told


def test_too_little_weight_is_refused_with_what_would_be_enough(wide: Logged) -> None:
    count = max(each for each in range(100, wide.requests) if support_of(cut(wide, each)).effective < 50)
    told = why(cut(wide, count))
    assert re.search(rf"is worth \d+ requests of {count}; at least 50 are needed", told)
    enough = re.search(r"about (\d+) requests of 'exploring-wide'", told)
    assert enough is not None
    rare = float((1 / wide.chance[:count]).mean())
    assert int(enough[1]) == pytest.approx(1.5 * 50 * rare, abs=10)
    assert judge(wide).support.effective > 50, "and so it is, once there are that many"


def test_nothing_is_advised_that_would_not_be_enough(wide: Logged) -> None:
    never = np.zeros(wide.requests)
    alone = replace(wide, chance=never, weight=never, advised_chance=dict.fromkeys(wide.advised_chance, never))
    assert "No policy that explores would draw these choices often enough" in why(alone)


def test_propensities_that_are_not_what_happened_are_noticed(wide: Logged) -> None:
    told = why(replace(wide, weight=wide.weight * 3))
    assert "where 1 is right" in told
    assert "did not draw by the propensities that it states" in told


def test_an_empty_log_is_refused(wide: Logged) -> None:
    assert "0 requests were decided and ended" in why(cut(wide, 0))
