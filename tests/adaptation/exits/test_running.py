"""Stopping at exits one sample at a time gives the labels that all answers at once foretell."""

import numpy as np
import pytest

from hedgerow.adaptation.exits.network_file import exit_file, whole_file
from hedgerow.adaptation.exits.running import Answers, WithExits, softmax, speedup
from hedgerow.errors import EngineError
from hedgerow.models.tensors import Tensors
from tests.adaptation.exits.small_network import SMALL, pictures, weights

JOINTS = [stage.joint for stage in SMALL.exits]


def _open() -> WithExits:
    return WithExits(whole_file(weights(), SMALL, ""), [exit_file(weights(), SMALL, n, "") for n in (0, 1)], JOINTS)


def test_one_at_a_time_is_as_all_at_once() -> None:
    inputs = pictures(130)
    with _open() as model:
        answers = model.answers(inputs)
        gates = np.median(answers.confidence, axis=0)
        given = answers.given(gates)
        stopped = [model.run(sample, gates.tolist()) for sample in inputs]
        assert [label for label, _ in stopped] == given.tolist()
        assert {number for _, number in stopped} == {0, 1, 2}
        assert [model.run_whole(sample) for sample in inputs] == answers.whole.tolist()


def test_gates_that_nothing_reaches_leave_the_whole_model_s_answer() -> None:
    with _open() as model:
        answers = model.answers(pictures(20))
    assert answers.given(np.array([2.0, 2.0])).tolist() == answers.whole.tolist()


def test_times_and_speedup_are_of_the_same_samples() -> None:
    inputs = pictures(12)
    with _open() as model:
        before, asking, whole = model.times(inputs)
        assert before[0] < before[1]
        assert min(*asking, whole) > 0
        gain, with_exits, without = speedup(model, inputs, [0.0, 0.0], turn=2)
    assert gain == pytest.approx(without.sum() / with_exits.sum())
    assert len(with_exits) == len(without) == 12


def test_broken_scores_are_the_engine_s_fault() -> None:
    sample: Tensors = {"input": np.full((1, 3, 32, 32), np.nan, np.float32)}
    with _open() as model, pytest.raises(EngineError, match="not finite"):
        model.answers([sample])


def test_softmax_stands_large_scores() -> None:
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_agreement_is_with_the_whole_model() -> None:
    answers = Answers(np.ones((2, 1)), np.array([[1], [2]]), np.array([1, 1]))
    assert answers.agrees.tolist() == [[True], [False]]
    assert answers.of([1]).whole.tolist() == [1]
