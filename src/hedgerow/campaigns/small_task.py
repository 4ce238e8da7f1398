"""The campaign's own task, made when it is needed: two small random networks for one question, frames that differ, a profile.

Rules: made from seeds, so that every run has the same models and frames; no file is fetched. The frames' colours lie in
large blocks, so that a picture codec changes an answer far less than another frame would: an answer for the wrong frame
stands out (see `oracle`). The profile is measured, not declared.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from hedgerow.profiling.measure import QUICK, make_profile

SIDE_PX = 96
BLOCKS = 6
STRIDES = (1, 2, 4)
CLASSES = 1000
FRAMES = 256
PROFILE_SECONDS = 5.0
EFFORT = replace(QUICK, frame_codecs=("raw", "jpeg:90"), feature_codecs=("q8",))

_PREPARATION = f"""[model.preparation]
version = 1
resize_shorter = {SIDE_PX}
crop = {SIDE_PX}
interpolation = "bilinear"
scale = 255
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
layout = "NCHW"
"""


@dataclass(frozen=True, slots=True)
class Given:
    """What every trial shares, as paths: task file, profile, frames ((count, side, side, 3) uint8 as .npy)."""

    task: Path
    profile: Path
    frames: Path


def make_given(folder: Path, *, task_file: Path | None = None, seconds: float = PROFILE_SECONDS) -> Given:
    """Make it all below `folder`; with `task_file` that task is profiled and its frames are blocks of colour likewise.

    Pictures of such a task cross as they are: what a large network makes of blocks of colour after JPEG is as far from its own
    answer as from another frame's, and the oracle could not tell them apart.
    """
    effort = EFFORT if task_file is None else replace(EFFORT, frame_codecs=("raw",))
    path = write_task(folder) if task_file is None else task_file
    task = Task.load(path)
    drawn = frames()
    profile: Profile = make_profile(task, list(drawn[:24]), seconds=seconds, quick=True, effort=effort)
    profile.save(folder / "profile.json")
    np.save(folder / "frames.npy", drawn)
    return Given(path, folder / "profile.json", folder / "frames.npy")


def frames(count: int = FRAMES, seed: int = 7) -> NDArray[np.uint8]:
    """Frames no two of which are alike: blocks of random colour, softened."""
    random = np.random.default_rng(seed)
    drawn = np.empty((count, SIDE_PX, SIDE_PX, 3), np.uint8)
    for index in range(count):
        blocks = random.integers(0, 256, (BLOCKS, BLOCKS, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        drawn[index] = np.asarray(picture)
    return drawn


def write_task(folder: Path) -> Path:
    """The task file of two classifiers of the same frames; the larger is the reference. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_network(folder / "little.onnx", channels=(8, 16, 8), seed=1)
    write_network(folder / "large.onnx", channels=(32, 128, 8), seed=2)
    text = '[task]\nname = "blocks"\nkind = "classification"\nreference = "large"\n'
    for name in ("little", "large"):
        joints = '["third"]' if name == "large" else "[]"
        text += f'[[model]]\nname = "{name}"\nfile = "{name}.onnx"\njoints = {joints}\n{_PREPARATION}'
    path = folder / "blocks.toml"
    path.write_text(text)
    return path


def write_tiny(folder: Path) -> Path:
    """The task file of one dense layer, "x" float32 (1, 16) -> "y", that takes microseconds. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(3).standard_normal((16, 16)).astype(np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16]) for name in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    graph = helper.make_graph([node], "tiny", ends[:1], ends[1:], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "tiny.onnx").write_bytes(model.SerializeToString())
    path = folder / "tiny.toml"
    path.write_text(
        '[task]\nname = "tiny"\nkind = "tensors"\nreference = "tiny"\n[[model]]\nname = "tiny"\nfile = "tiny.onnx"\n'
    )
    return path


def write_network(path: Path, *, channels: tuple[int, int, int], seed: int) -> None:
    """Three convolutions and a linear layer over what is left: float32 (1, 3, 96, 96) -> "scores" (1, 1000)."""
    random = np.random.default_rng(seed)
    nodes, weights = [], []
    before, depth = "input", 3
    for name, width, stride in zip(("first", "second", "third"), channels, STRIDES, strict=True):
        values = random.standard_normal((width, depth, 3, 3)) * np.sqrt(2 / (9 * depth))
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.weight"))
        nodes.append(
            helper.make_node(
                "Conv", [before, f"{name}.weight"], [f"{name}.sum"], strides=[stride, stride], pads=[1, 1, 1, 1]
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}.sum"], [name]))
        before, depth = name, width
    features = channels[-1] * (SIDE_PX // math.prod(STRIDES)) ** 2
    values = random.standard_normal((CLASSES, features)) * np.sqrt(1 / features)
    weights.append(numpy_helper.from_array(values.astype(np.float32), "last.weight"))
    nodes.append(helper.make_node("Flatten", [before], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "last.weight"], ["scores"], transB=1))
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
