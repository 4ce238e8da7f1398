"""A small residual network over 16-pixel pictures, its task file, and pictures for it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

CLASSES = ("left", "right", "above")
SIDE_PX = 16
JOINTS = ("one.output", "two.output")
PREPARATION = """
[model.preparation]
version = 1
resize_shorter = 16
crop = 16
interpolation = "bilinear"
scale = 255.0
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
layout = "NCHW"
"""


class Maker:
    """Collects nodes and weights."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {
            "low": np.array(0.0, np.float32),
            "high": np.array(6.0, np.float32),
        }

    def convolution(
        self,
        source: str,
        result: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        group: int = 1,
        clip: bool = True,
    ) -> str:
        wide, narrow, kernel = shape
        weight = self.random.normal(size=(wide, narrow // group, kernel, kernel)) / np.sqrt(narrow // group * kernel**2)
        self.weights[f"{result}.weight"] = (weight * 1.5).astype(np.float32)
        self.weights[f"{result}.bias"] = (self.random.normal(size=wide) * 0.2).astype(np.float32)
        made = f"{result}.linear" if clip else result
        inputs = [source, f"{result}.weight", f"{result}.bias"]
        pads = [kernel // 2] * 4
        self.nodes.append(helper.make_node("Conv", inputs, [made], strides=[stride] * 2, pads=pads, group=group))
        if clip:
            self.nodes.append(helper.make_node("Clip", [made, "low", "high"], [result]))
        return result

    def node(self, operator: str, inputs: list[str], output: str, **settings: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **settings))
        return output


def network(seed: int = 0, *, odd_one: str = "") -> bytes:
    """Stem, two inverted residual blocks with joints after them, pooled classes; `odd_one` is an operator put before the pool."""
    maker = Maker(seed)
    stem = maker.convolution("input", "stem", (16, 3, 3), stride=2)
    one = maker.convolution(
        maker.convolution(stem, "one.deep", (16, 16, 3), group=16), "one.output", (8, 16, 1), clip=False
    )
    wide = maker.convolution(one, "two.wide", (24, 8, 1))
    deep = maker.convolution(wide, "two.deep", (24, 24, 3), group=24)
    narrow = maker.convolution(deep, "two.narrow", (8, 24, 1), clip=False)
    two = maker.node("Add", [narrow, one], "two.output")
    last = maker.convolution(two, "head", (32, 8, 1))
    if odd_one:
        last = maker.node(odd_one, [last], "odd")
    flat = maker.node("Flatten", [maker.node("GlobalAveragePool", [last], "pooled")], "features", axis=1)
    maker.weights |= {
        "classes.weight": (maker.random.normal(size=(3, 32)) * 2).astype(np.float32),
        "classes.bias": np.zeros(3, np.float32),
    }
    maker.node("Gemm", [flat, "classes.weight", "classes.bias"], "logits", transB=1)
    graph = helper.make_graph(
        maker.nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, name) for name, array in maker.weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(deterministic=True)


def write_task(folder: Path, **models: bytes) -> Path:
    """A task file with these models, the first one the reference, all with the small network's preparation and joints."""
    names = list(models)
    text = [f'[task]\nname = "small"\nkind = "classification"\nreference = "{names[0]}"\nlabels = "labels.txt"\n']
    for name, data in models.items():
        (folder / f"{name}.onnx").write_bytes(data)
        text.append(f'[[model]]\nname = "{name}"\nfile = "{name}.onnx"\njoints = {list(JOINTS)}\n{PREPARATION}')
    (folder / "labels.txt").write_text("\n".join(CLASSES))
    (folder / "task.toml").write_text("\n".join(text).replace("'", '"'))
    return folder / "task.toml"


def write_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Smooth random pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        coarse = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        path = folder / f"{number:04}.png"
        Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths
