"""Nothing is wrong in sound models, and what is planted is found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.cuts import Cut, find_cuts
from hedgerow.models.graph import Graph
from hedgerow.models.samples import generate_inputs
from hedgerow.models.split import Piece, split
from hedgerow.models.tensors import Array
from hedgerow.models.verify import RELATIVE_MAX, compare, verify
from tests.models import graphs
from tests.models.graphs import ZOO

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
QUICK = ["squeezenet", "shufflenet"]
SLOW = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512"]


def opened(made: onnx.ModelProto) -> Graph:
    return Graph.open(made.SerializeToString())


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_nothing_is_wrong_in_sound_models(name: str, k: int) -> None:
    graph = opened(ZOO[name]())
    report = verify(graph, generate_inputs(graph.inputs), k=k)
    assert report.wrong == []
    assert len(report.verdicts) == report.candidates == len(find_cuts(graph, k))


def check_light(name: str) -> None:
    graph = Graph.open(LIGHT / f"light_{name}.onnx")
    report = verify(graph, generate_inputs(graph.inputs))
    assert report.candidates > 0
    assert report.wrong == []


@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_wrong_in_published_topologies(name: str) -> None:
    check_light(name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SLOW)
def test_nothing_is_wrong_in_larger_published_topologies(name: str) -> None:
    check_light(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-v2", "efficientnet-lite2"])
def test_nothing_is_wrong_in_trained_models(name: str, imagenet_task: Path) -> None:
    from hedgerow.models.fetch import fetch

    graph = Graph.open(fetch(name))
    report = verify(graph, generate_inputs(graph.inputs))
    assert report.wrong == []
    assert report.to_dict()["top1_agree"] == report.candidates


def swapped(one: str, other: str) -> "Swapper":
    return Swapper(one, other)


class Swapper:
    """Splits as usual, but in the last piece two tensors of the same shape are read in each other's place."""

    def __init__(self, one: str, other: str) -> None:
        self.swaps = {one: other, other: one}

    def __call__(self, graph: Graph, cuts: Sequence[Cut]) -> Iterator[Piece]:
        head, tail = split(graph, cuts)
        yield head
        made = onnx.load_model_from_string(tail.model or b"")
        for each in made.graph.node:
            each.input[:] = [self.swaps.get(name, name) for name in each.input]
        yield Piece(tail.inputs, tail.outputs, tail.work_share, made.SerializeToString())


@pytest.mark.parametrize("cut", ["left1+right1", "left2+right2"])
def test_two_tensors_swapped_in_a_tail_are_caught(cut: str) -> None:
    graph = opened(graphs.branches())
    sound = verify(graph, generate_inputs(graph.inputs), k=2)
    assert sound.wrong == []
    planted = verify(graph, generate_inputs(graph.inputs), k=2, splitter=swapped(*cut.split("+")))
    assert cut in [wrong.name for wrong, _ in planted.wrong]
    assert planted.to_dict()["wrong"] == len(planted.wrong) >= 1


def test_two_weights_swapped_in_a_tail_are_caught() -> None:
    graph = opened(graphs.convolutions())
    planted = verify(graph, generate_inputs(graph.inputs), splitter=swapped("scale", "mean"))
    assert "conv" in [cut.name for cut, _ in planted.wrong]


def test_a_tail_that_does_not_load_is_wrong_and_says_why() -> None:
    def broken(graph: Graph, cuts: Sequence[Cut]) -> Iterator[Piece]:
        head, tail = split(graph, cuts)
        yield head
        made = onnx.load_model_from_string(tail.model or b"")
        del made.graph.node[:]
        yield Piece(tail.inputs, tail.outputs, tail.work_share, made.SerializeToString())

    report = verify(opened(graphs.perceptron()), {"x": graphs.weight(1, 4)}, splitter=broken)
    assert len(report.wrong) == 3
    assert report.to_dict()["worst_relative"] is None


def test_a_limit_spreads_the_cuts_over_the_depth() -> None:
    graph = opened(graphs.convolutions())
    report = verify(graph, generate_inputs(graph.inputs), limit=3)
    assert [cut.index for cut, _ in report.verdicts] == [0, 2, 4]
    assert report.candidates == 6
    with pytest.raises(UsageError, match="at least 1"):
        verify(graph, generate_inputs(graph.inputs), limit=0)


def test_progress_is_told() -> None:
    graph = opened(graphs.perceptron())
    told: list[tuple[int, int]] = []
    verify(graph, generate_inputs(graph.inputs), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_inputs_are_generated_where_none_are_given() -> None:
    report = verify(opened(graphs.dynamic_axes()), seed=3, axes={"side": 12})
    assert report.wrong == []
    assert report.candidates == 6


def test_without_candidates_nothing_is_run() -> None:
    graph = opened(graphs.model([], [graphs.value("words", element=8)], [graphs.value("words", element=8)]))
    assert verify(graph).to_dict() == {"cuts": 0, "bit_equal": 0, "worst_relative": None, "top1_agree": 0, "wrong": 0}


def test_random_models_cannot_be_verified() -> None:
    made = graphs.model(
        [graphs.node("RandomNormalLike", "x", "a"), graphs.node("Add", "a x", "b"), graphs.node("Neg", "b", "y")],
        [graphs.value("x")],
        [graphs.value("y")],
    )
    with pytest.raises(EngineError, match="random"):
        verify(opened(made), {"x": graphs.weight(1, 4)})


BASE = np.array([[1.0, -4.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("pieced", "bit_equal", "top1", "wrong"),
    [
        (BASE, True, True, ""),
        (BASE + np.float32(1e-5), False, True, ""),
        (BASE * np.float32(1 + 2 * RELATIVE_MAX), False, True, "differs by"),
        (BASE[:, ::-1].copy(), False, False, "differs by"),
        (BASE[0], False, False, "is float32"),
        (BASE.astype(np.float64), False, False, "is float64"),
        (np.array([[1.0, np.nan, 2.0]], np.float32), False, False, "finite"),
        (np.array([[1.0, -np.inf, 2.0]], np.float32), False, True, "finite"),
    ],
)
def test_what_counts_as_wrong(pieced: Array, bit_equal: bool, top1: bool, wrong: str) -> None:
    verdict = compare({"y": BASE}, {"y": pieced})
    assert verdict.bit_equal == bit_equal
    assert verdict.top1_agrees == top1
    assert bool(verdict.wrong) == bool(wrong)
    assert wrong in verdict.wrong


def test_the_relative_difference_is_of_the_largest_value() -> None:
    verdict = compare({"y": BASE}, {"y": BASE + np.array([[0, 0, 4e-5]], np.float32)})
    assert verdict.relative == pytest.approx(1e-5, rel=1e-2)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_in_both_are_equal_only_to_their_like(odd: float) -> None:
    whole = np.array([odd, 1.0, 3.0], np.float32)
    near = np.array([odd, 1.0, np.nextafter(np.float32(3.0), np.float32(4.0))], np.float32)
    assert compare({"y": whole}, {"y": whole.copy()}).bit_equal
    assert compare({"y": whole}, {"y": near}).wrong == ""
    other = np.array([0.0 if np.isnan(odd) else -odd, 1.0, 3.0], np.float32)
    assert "finite" in compare({"y": whole}, {"y": other}).wrong


def test_zeros_integers_flags_text_and_sequences_compare() -> None:
    zeros = np.zeros(3, np.float32)
    assert compare({"y": zeros}, {"y": -zeros}).relative == 0.0
    assert compare({"y": zeros}, {"y": zeros + 1}).wrong
    assert compare({"y": np.array([1, 2])}, {"y": np.array([1, 3])}).wrong
    assert compare({"y": np.array([True])}, {"y": np.array([False])}).wrong
    text = np.array(["a"], dtype=object)
    assert compare({"y": text}, {"y": text.copy()}).bit_equal
    assert "other values" in compare({"y": text}, {"y": np.array(["b"], dtype=object)}).wrong
    sequence: dict[str, Array] = {"y": [zeros, zeros + 1]}  # type: ignore[dict-item]
    shorter: dict[str, Array] = {"y": [zeros]}  # type: ignore[dict-item]
    mapping: dict[str, Array] = {"y": [{1: 0.5, 2: 0.25}]}  # type: ignore[dict-item]
    assert compare(sequence, sequence).bit_equal
    assert "1 parts, not 2" in compare(sequence, shorter).wrong
    assert compare(mapping, mapping).bit_equal
    assert compare({"y": np.zeros((0, 3), np.float32)}, {"y": np.zeros((0, 3), np.float32)}).bit_equal


def test_a_tie_agrees_with_either_of_its_places() -> None:
    whole = np.array([2.0, 2.0, 1.0], np.float32)
    assert compare({"y": whole}, {"y": whole + np.array([0, 1e-6, 0], np.float32)}).top1_agrees
