"""A small real model with a latent of whole numbers, and payloads of it that can be answered from their first part."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hedgerow import codecs
from hedgerow.codecs import Calibration, Codec, CodecLimits, Progressive
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors
from hedgerow.wire import Crossing
from tests.wire.serving import Device

CODEC = "ints:progressive"
JOINT = 1
CHANNELS, SIDE, OUTPUTS = 8, 24, 10
LIMITS = CodecLimits()
SPREADS = np.geomspace(20, 0.5, CHANNELS)


def write_latent_task(folder: Path, *, side: int = SIDE, name: str = "latent") -> Path:
    """A task file of a model "x" -> "z" (int8) -> "y", and of a smaller one "x" -> "y" that sees one channel; cut at "z"."""
    chance = np.random.default_rng(3)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", CHANNELS, side, side])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", OUTPUTS])]
    for which, channels in ((name, CHANNELS), ("small", 1)):
        nodes = [helper.make_node("Round", ["x"], ["r"]), helper.make_node("Clip", ["r", "low", "high"], ["c"])]
        nodes += [
            helper.make_node("Cast", ["c"], ["z"], to=TensorProto.INT8),
            helper.make_node("Cast", ["z"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["f", "some"], ["m"]),
            helper.make_node("Flatten", ["m"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ]
        weights = chance.standard_normal((CHANNELS * side * side, OUTPUTS)).astype(np.float32) / side
        some = np.zeros((1, CHANNELS, 1, 1), np.float32)
        some[:, :channels] = 1
        given: dict[str, Any] = {"low": np.float32(-127), "high": np.float32(127), "w": weights, "some": some}
        kept = [numpy_helper.from_array(np.array(value, np.float32), key) for key, value in given.items()]
        graph = helper.make_graph(nodes, which, inputs, outputs, kept)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, folder / f"{which}.onnx")
    text = f'[task]\nname = "{name}"\nkind = "classification"\nreference = "{name}"\n'
    text += f'[[model]]\nname = "{name}"\nfile = "{name}.onnx"\njoints = ["z"]\n'
    text += '[[model]]\nname = "small"\nfile = "small.onnx"\njoints = []\n'
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def frame(seed: int, side: int = SIDE) -> Array:
    drawn = np.random.default_rng(seed).laplace(size=(1, CHANNELS, side, side)) * SPREADS[:, None, None]
    return drawn.astype(np.float32)


def latent(seed: int, side: int = SIDE) -> Tensors:
    """What the model makes of such a frame."""
    whole = frame(seed, side).round().clip(-127, 127)
    return {"z": whole.astype(np.int8)}


def calibrated(side: int = SIDE) -> Calibration:
    """Counted on frames like those to come."""
    return codecs.calibrate(CODEC, (latent(seed, side) for seed in range(100, 130)))


class LatentDevice(Device):
    """The device's half of a latent task."""

    def __init__(self, task_path: Path) -> None:
        super().__init__(task_path)
        side = self.chain.inputs[0].shape[2]
        assert isinstance(side, int)
        self.side, self.calibration = side, calibrated(side)
        self.codec: Codec = codecs.get(CODEC, calibration=self.calibration)

    def cut_crossing(self, seed: int, *, after_ns: int, from_end: int = 0, remaining_s: float = 20.0) -> Crossing:
        """A crossing that may be cut from its end number `from_end` on."""
        payload = self.codec.encode(self.alive_after(JOINT, {"x": frame(seed, self.side)}))
        ends = codecs.prefix_ends(self.codec, payload)[from_end:][:4]
        return self.crossing(
            {}, joint=JOINT, codec=CODEC, remaining_s=remaining_s, payload=payload, calibration_id=self.calibration.id,
            prefix_ends=ends, prefix_after_ns=after_ns,
        )  # fmt: skip

    def answer_from(self, payload: bytes) -> Tensors:
        """What the model answers to a payload, or to the first part of one."""
        return answered_from(self.chain, self.codec, payload)


def answered_from(chain: Chain, codec: Codec, payload: bytes) -> Tensors:
    """The rest of the model on what `decode_prefix` tells of these bytes."""
    assert isinstance(codec, Progressive)
    part = codec.decode_prefix(payload, limits=LIMITS, expected=chain.joint(JOINT))
    assert part is not None
    return chain.run(part.tensors, JOINT + 1).tensors


def latent_task(folder: Path, side: int = SIDE) -> Task:
    return Task.load(write_latent_task(folder, side=side))
