"""The chain with exits: it stops where a gate says so, and gives the whole model's answer where none does."""

import numpy as np
import pytest

from hedgerow.adaptation.text import exits
from hedgerow.adaptation.text.recipe import onnx_files
from hedgerow.adaptation.text.running import Exiting
from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.models.tensors import Tensors
from tests.adaptation.text import small

TOKENS = 12


@pytest.fixture
def chain() -> Exiting:
    random = np.random.default_rng(0)
    heads = tuple(
        (random.standard_normal((2, small.WIDTH)).astype(np.float32), np.zeros(2, np.float32))
        for _ in range(small.LAYERS)
    )
    files = list(onnx_files(small.state(), heads, TOKENS, "a test").values())
    return Exiting(files[0], files[1:])


@pytest.fixture
def tensors() -> Tensors:
    return WordPiece(read_vocabulary(small.vocabulary())).tensors(small.texts(40).texts, tokens=TOKENS)


def row(tensors: Tensors, number: int) -> Tensors:
    return {name: array[number : number + 1] for name, array in tensors.items()}


def test_one_at_a_time_it_answers_as_all_its_scores_say(chain: Exiting, tensors: Tensors) -> None:
    scores = chain.scores(tensors)
    classes = scores.argmax(axis=-1)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    tops = shares.max(-1)
    gates = [float(np.quantile(tops[0], 0.6)), float(np.quantile(tops[1], 0.6))]
    stopped = set()
    for number in range(40):
        wanted = next((place for place in (0, 1) if tops[place, number] >= gates[place]), 2)
        assert chain.answer(row(tensors, number), gates) == (classes[wanted, number], wanted + 1)
        assert chain.whole(row(tensors, number)) == classes[2, number]
        stopped.add(wanted)
    assert stopped == {0, 1, 2}


@pytest.mark.parametrize("rule", exits.RULES)
def test_one_at_a_time_each_rule_does_what_it_does_to_many(chain: Exiting, tensors: Tensors, rule: str) -> None:
    scores = chain.scores(tensors)
    confidence = exits.confidence_of(rule, scores)
    gates = [float(np.quantile(confidence[:, place], 0.7)) - 1e-6 for place in (0, 1)]
    used = [chain.answer(row(tensors, number), gates, rule)[1] for number in range(40)]
    assert np.mean(used) == pytest.approx(exits.usage(scores, np.zeros(40, np.int64), np.array(gates), rule).layers)


def test_infinite_gates_run_all_layers(chain: Exiting, tensors: Tensors) -> None:
    assert chain.answer(row(tensors, 0), [np.inf, np.inf])[1] == small.LAYERS


def test_the_whole_model_runs_in_one_piece(chain: Exiting, tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(chain._whole.segments) == 2  # preparation, and all the rest
    wanted = chain.scores(tensors)[-1].argmax(axis=-1)
    monkeypatch.setattr(chain, "_trunk", None)
    assert [chain.whole(row(tensors, number)) for number in range(5)] == wanted[:5].tolist()


def test_times_are_of_the_same_texts(chain: Exiting, tensors: Tensors) -> None:
    times = chain.times(tensors, [0.0, 0.0], count=10)
    assert times.texts == 10
    assert times.full_ms > 0.0
    assert times.speedup == times.full_ms / times.exits_ms
