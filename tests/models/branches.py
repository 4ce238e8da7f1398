"""A small picture task with a trunk of three dense layers ("first", "second", "logits") and exits behind its joints."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hedgerow.models.tensors import Array

CLASSES = 4
SIDE_PX = 8
WIDTH = 16
PREPARATION = (
    "[model.preparation]\nversion = 1\nresize_shorter = 10\ncrop = 8\n"
    'interpolation = "bilinear"\nscale = 255.0\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nlayout = "NCHW"\n'
)


def written(folder: Path, *entries: str, reference: str = "trunk") -> Path:
    """A task file of these [[model]] tables; "trunk.onnx" and "exit.onnx" are made where they are missing."""
    if not (folder / "trunk.onnx").exists():
        write_trunk(folder / "trunk.onnx")
    if not (folder / "exit.onnx").exists():
        write_exit(folder / "exit.onnx")
    head = f'[task]\nname = "patches"\nkind = "classification"\nreference = "{reference}"\n'
    path = folder / "task.toml"
    path.write_text(head + "".join(f"\n[[model]]\n{entry}" for entry in entries if entry))
    return path


def write_trunk(path: Path, *, seed: int = 0, width: int = WIDTH, inner: int = 8) -> Path:
    """ "input" (batch, 3, 8, 8) -> "first" (batch, width) -> "second" -> "logits" (batch, 4), with activations between."""
    random = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32), name)

    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w1"], ["dense1"]),
        helper.make_node("Relu", ["dense1"], ["first"]),
        helper.make_node("MatMul", ["first", "w2"], ["dense2"]),
        helper.make_node("Relu", ["dense2"], ["second"]),
        helper.make_node("MatMul", ["second", "w3"], ["logits"]),
    ]
    weights = [weight("w1", 3 * SIDE_PX * SIDE_PX, width), weight("w2", width, inner), weight("w3", inner, CLASSES)]
    takes = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])
    return _save(path, nodes, takes, "logits", weights)


def write_exit(path: Path, *, after: str = "first", width: int = WIDTH, seed: int = 1, scale: float = 1.0) -> Path:
    """What is alive after `after` (batch, width) -> "middle" -> "exit_logits" (batch, 4); a large `scale` makes it sure."""
    random = np.random.default_rng(seed)
    first = numpy_helper.from_array((random.standard_normal((width, 6)) / 4).astype(np.float32), "e1")
    second = numpy_helper.from_array((scale * random.standard_normal((6, CLASSES))).astype(np.float32), "e2")
    nodes = [
        helper.make_node("MatMul", [after, "e1"], ["middle"]),
        helper.make_node("MatMul", ["middle", "e2"], ["exit_logits"]),
    ]
    takes = helper.make_tensor_value_info(after, TensorProto.FLOAT, ["batch", width])
    return _save(path, nodes, takes, "exit_logits", [first, second])


def frame(seed: int = 0) -> Array:
    """A noisy frame of 24 x 32 pixels."""
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def _save(
    path: Path, nodes: list[onnx.NodeProto], takes: onnx.ValueInfoProto, gives: str, weights: list[onnx.TensorProto]
) -> Path:
    logits = helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "branching", [takes], [logits], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def rich_task(folder: Path, *, gate: float = 0.4, exits: int = 2) -> Path:
    """A task of a reference "big", a "trunk" with exits ("early", "later") and a "copy" of it in another precision, and gates."""
    write_trunk(folder / "big.onnx", seed=0, inner=12)
    write_trunk(folder / "trunk.onnx", seed=0)
    write_copy(folder / "copy.onnx", folder / "trunk.onnx")
    write_exit(folder / "early.onnx", seed=4, scale=3.0)
    write_exit(folder / "later.onnx", after="second", width=8, seed=5, scale=3.0)
    joints = f'joints = ["first", "second"]\n{PREPARATION}'
    entries = [
        f'name = "big"\nfile = "big.onnx"\n{joints}',
        f'name = "trunk"\nfile = "trunk.onnx"\ngate = {gate}\n{joints}',
        f'name = "copy"\nfile = "copy.onnx"\nprecision_of = "trunk"\n{joints}',
        f'name = "early"\nfile = "early.onnx"\ntrunk = "trunk"\nafter = "first"\ngate = {gate}\n',
        f'name = "later"\nfile = "later.onnx"\ntrunk = "trunk"\nafter = "second"\ngate = {gate}\n',
    ]
    return written(folder, *entries[: 3 + exits], reference="big")


def write_copy(path: Path, of: Path, steps: int = 16) -> Path:
    """The same network with its weights on a coarse grid: what stands for a copy in another precision."""
    model = onnx.load(of)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        grid = np.abs(values).max() / steps or 1.0
        tensor.CopyFrom(numpy_helper.from_array((np.round(values / grid) * grid).astype(np.float32), tensor.name))
    path.write_bytes(model.SerializeToString())
    return path


def frames(count: int, seed: int = 7) -> dict[str, Array]:
    """Frames of one hue each and some noise, by name: more unlike each other than noise alone."""
    random = np.random.default_rng(seed)
    hues = random.integers(0, 200, (count, 1, 1, 3))
    made = hues + random.integers(0, 56, (count, 24, 32, 3))
    return {f"p{index}": each.astype(np.uint8) for index, each in enumerate(made)}
