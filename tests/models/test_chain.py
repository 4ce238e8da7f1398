"""A chain can be entered and left at any joint, stopped, cancelled and used again."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from onnx import helper

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.engines import Cancelled
from hedgerow.models.samples import generate_inputs
from hedgerow.models.tensors import Tensors, TensorSpec
from tests.models import graphs
from tests.models.graphs import model, node, value

JOINTS = ("conv", "relu+depthwise", "pool")


@dataclass(frozen=True)
class Halving:
    """A preparation: bytes of pixels, height x width x channel, to floats, channel first."""

    version_id: str = "halving 1"

    @property
    def input_spec(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("frame", "uint8", (8, 8, 3)),)

    def prepare(self, tensors: Tensors) -> Tensors:
        return {"x": np.ascontiguousarray(tensors["frame"].transpose(2, 0, 1)[None]).astype(np.float32) / 2}


def opened(joints: Sequence[str | int] = JOINTS, preparation: Halving | None = None, threads: int = 1) -> Chain:
    data = graphs.convolutions().SerializeToString()
    return Chain.open(data, joints=joints, preparation=preparation, threads=threads)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return opened()


@pytest.fixture(scope="module")
def inputs(chain: Chain) -> Tensors:
    return generate_inputs(chain.inputs)


def names(specs: Sequence[TensorSpec]) -> list[str]:
    return [spec.name for spec in specs]


def test_the_chain_describes_itself(chain: Chain) -> None:
    assert [segment.index for segment in chain.segments] == [0, 1, 2, 3, 4]
    assert [segment.name for segment in chain.segments] == ["preparation", *JOINTS, "outputs"]
    assert [names(chain.joint(index)) for index in range(5)] == [
        ["x"],
        ["conv"],
        ["relu", "depthwise"],
        ["pool"],
        ["y"],
    ]
    assert names(chain.inputs) == ["x"]
    assert names(chain.outputs) == ["y"]
    assert sum(segment.work_share for segment in chain.segments) == pytest.approx(1)
    for before, segment in zip(chain.segments, chain.segments[1:], strict=False):
        assert set(names(segment.inputs)) <= set(names(chain.joint(before.index)))
    with pytest.raises(UsageError, match="joints 0 to 4"):
        chain.joint(5)


def test_leaving_and_entering_at_every_joint_gives_the_whole_answer(chain: Chain, inputs: Tensors) -> None:
    with opened(joints=()) as whole_chain:
        whole = whole_chain.run(inputs).tensors["y"]
    straight = chain.run(inputs).tensors["y"]
    graphs.assert_close(straight, whole)
    for joint in range(4):
        there = chain.run(inputs, 0, joint)
        assert there.last == joint
        assert list(there.tensors) == names(chain.joint(joint))
        back = chain.run(there.tensors, joint + 1)
        np.testing.assert_array_equal(back.tensors["y"], straight)


def test_the_preparation_is_segment_zero_wherever_it_runs() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with opened(preparation=Halving()) as chain:
        assert names(chain.inputs) == ["frame"]
        assert names(chain.joint(0)) == ["x"]
        prepared = chain.run({"frame": frame}, 0, 0).tensors
        whole = chain.run({"frame": frame}).tensors["y"]
        np.testing.assert_array_equal(chain.run(prepared, 1).tensors["y"], whole)


def test_both_sides_agree_on_the_identity_or_it_differs() -> None:
    ids = {
        "two joints": opened(["conv", "pool"]).chain_id,
        "one joint": opened(["conv"]).chain_id,
        "none": opened([]).chain_id,
        "prepared": opened([], preparation=Halving()).chain_id,
        "prepared otherwise": opened([], preparation=Halving("halving 2")).chain_id,
    }
    assert len(set(ids.values())) == len(ids)
    assert opened(["pool", "conv"]).chain_id == opened([0, "pool"]).chain_id == ids["two joints"]
    assert all(len(each) == 64 for each in ids.values())


def test_segments_report_their_time_in_order(chain: Chain, inputs: Tensors) -> None:
    told: list[tuple[int, int]] = []
    chain.run(inputs, 0, 3, segment_done=lambda index, duration_ns: told.append((index, duration_ns)))
    assert [index for index, _ in told] == [0, 1, 2, 3]
    assert all(duration_ns > 0 for _, duration_ns in told)


def test_a_run_stops_between_segments_and_can_go_on(chain: Chain, inputs: Tensors) -> None:
    asked: list[int] = []

    def stop_after_two() -> bool:
        asked.append(0)
        return len(asked) == 3

    stopped = chain.run(inputs, should_stop=stop_after_two)
    assert stopped.last == 2
    assert list(stopped.tensors) == ["relu", "depthwise"]
    rest = chain.run(stopped.tensors, stopped.last + 1)
    np.testing.assert_array_equal(rest.tensors["y"], chain.run(inputs).tensors["y"])


def test_stopping_is_not_asked_after_the_last_segment(chain: Chain, inputs: Tensors) -> None:
    assert chain.run(inputs, 0, 0, should_stop=lambda: True).last == 0
    assert chain.run(inputs, should_stop=lambda: False).last == 4


@pytest.mark.parametrize(
    ("tensors", "first", "last", "why"),
    [
        ({}, 0, None, "'x' is missing"),
        ({"x": np.zeros((1, 3, 8, 8), np.float64)}, 0, None, "must be float32"),
        ({"x": np.zeros((1, 3, 8, 9), np.float32)}, 0, None, "must have shape"),
        ({"x": np.zeros((1, 3, 8, 8), np.float32), "z": np.zeros(1)}, 0, None, "'z' is not alive"),
        ({"x": np.zeros((1, 3, 8, 8), np.float32)}, 2, None, "'conv' is missing before segment 2"),
        ({}, 3, 2, "cannot run segments 3 to 2"),
        ({}, 0, 5, "segments 0 to 4"),
        ({}, -1, None, "segments 0 to 4"),
    ],
)
def test_what_does_not_fit_is_the_callers_fault(
    chain: Chain, tensors: Tensors, first: int, last: int | None, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        chain.run(tensors, first, last)


def test_dynamic_axes_take_any_size() -> None:
    with Chain.open(graphs.dynamic_axes().SerializeToString(), joints=["relu", "pool"]) as chain:
        for batch, side in ((1, 8), (3, 8), (2, 17)):
            x = np.random.default_rng(side).standard_normal((batch, 3, side, side)).astype(np.float32)
            middle = chain.run({"x": x}, 0, 1).tensors
            assert chain.run(middle, 2).tensors["y"].shape == (batch, 5)


def test_an_input_nobody_reads_may_be_given() -> None:
    data = graphs.unused_input().SerializeToString()
    for joints in ([], ["a"]):
        with Chain.open(data, joints=joints) as chain:
            assert chain.run(generate_inputs(chain.inputs)).tensors.keys() == {"y"}


def long_loop() -> bytes:
    """Matrix products in a loop for minutes, after a quick first segment."""
    body_nodes = [node("Identity", "go", "go_on"), node("MatMul", "state w", "next")]
    body = helper.make_graph(
        body_nodes,
        "body",
        [value("turn", (), 7), value("go", (), 9), value("state", (256, 256))],
        [value("go_on", (), 9), value("next", (256, 256))],
    )
    nodes = [
        node("Mul", "x gain", "a"),
        node("Neg", "a", "start"),
        node("Loop", "turns - start", "result", body=body),
        node("Identity", "result", "y"),
    ]
    inputs = [value("x", (256, 256)), value("turns", (), 7)]
    weights = {"w": np.eye(256, dtype=np.float32), "gain": np.array(2, np.float32)}
    return model(nodes, inputs, [value("y", (256, 256))], weights).SerializeToString()


def test_cancel_ends_the_running_segment_and_the_chain_stays_usable() -> None:
    with Chain.open(long_loop(), joints=["turns+start"]) as chain:
        x = np.ones((256, 256), np.float32)
        endless: Tensors = {"x": x, "turns": np.array(10_000_000, np.int64)}
        failures: list[Exception] = []

        def run() -> None:
            try:
                chain.run(endless)
            except EngineError as error:
                failures.append(error)

        for _ in range(3):
            reached = threading.Event()
            thread = threading.Thread(target=run)
            thread.start()
            reached.wait(0.1)
            chain.cancel()
            thread.join(timeout=30)
            assert not thread.is_alive()
            assert isinstance(failures.pop(), Cancelled)
        few: Tensors = {"x": x, "turns": np.array(2, np.int64)}
        np.testing.assert_array_equal(chain.run(few).tensors["y"], -2 * x)


def test_cancel_without_a_run_does_nothing_to_the_next(chain: Chain, inputs: Tensors) -> None:
    chain.cancel()
    assert chain.run(inputs).last == 4


def test_cancel_between_segments_ends_the_run(chain: Chain, inputs: Tensors) -> None:
    with pytest.raises(Cancelled):
        chain.run(inputs, segment_done=lambda index, _: chain.cancel() if index == 1 else None)
    assert chain.run(inputs).last == 4


def test_several_threads_may_run_one_chain(chain: Chain, inputs: Tensors) -> None:
    expected = chain.run(inputs).tensors["y"]
    answers: list[bool] = []

    def run() -> None:
        answers.extend(bool((chain.run(inputs).tensors["y"] == expected).all()) for _ in range(20))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 80


def test_warm_up_and_close() -> None:
    chain = opened()
    chain.warm_up()
    chain.close()
    chain.close()
    with pytest.raises(UsageError, match="closed"):
        chain.run({})


def test_warm_up_works_with_dynamic_axes_indices_and_a_preparation() -> None:
    for made in (graphs.dynamic_axes(), graphs.token_ids(), graphs.integers_and_flags()):
        Chain.open(made.SerializeToString()).warm_up()
    opened(preparation=Halving()).warm_up()


def test_closing_while_running_ends_the_run() -> None:
    chain = Chain.open(long_loop())
    ended: list[str] = []

    def run() -> None:
        try:
            chain.run({"x": np.ones((256, 256), np.float32), "turns": np.array(10_000_000, np.int64)})
        except Cancelled:
            ended.append("cancelled")

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    chain.close()
    thread.join(timeout=30)
    assert ended == ["cancelled"]


def test_wrong_settings_are_the_callers_fault() -> None:
    with pytest.raises(UsageError, match="no engine 'abacus'"):
        Chain.open(graphs.perceptron().SerializeToString(), engine="abacus")
    with pytest.raises(UsageError, match="threads must be"):
        opened(threads=0)
    with pytest.raises(UsageError, match="no cut 'nowhere'"):
        opened(["nowhere"])


def test_an_operator_that_the_runtime_lacks_is_the_models_fault() -> None:
    made = model([node("Mystery", "x", "y", domain="custom")], [value("x")], [value("y")])
    with pytest.raises(EngineError, match="Mystery") as caught:
        Chain.open(made.SerializeToString())
    assert "\n" not in str(caught.value)


def test_an_opset_from_the_future_is_the_models_fault() -> None:
    made = model([node("Relu", "x", "y")], [value("x")], [value("y")], opset=10_000)
    with pytest.raises(EngineError):
        Chain.open(made.SerializeToString())
