"""A network of four small stages with exits, random weights, and pictures for it."""

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.exits.architecture import Architecture, Layer, Stage
from hedgerow.models.tensors import Tensors

SMALL = Architecture(
    (
        Stage(
            (Layer("stem", 3, 4), Layer("stage1.output", 4, 4, residual=True)),
            exit=(Layer("exit1.down", 4, 6, stride=2),),
        ),
        Stage((Layer("stage2.output", 4, 6, stride=2),), exit=(Layer("exit2.down", 6, 6, stride=2),)),
        Stage((Layer("stage3.output", 6, 6, convolutions=2, residual=True, skipped=0.5),)),
    )
)


def weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """By PyTorch's names."""
    chance = np.random.default_rng(seed)
    found: dict[str, NDArray[np.float32]] = {}

    def layer(key: str, each: Layer) -> None:
        widths = [each.inputs, *[each.outputs] * each.convolutions]
        for index in range(each.convolutions):
            shape = (widths[index + 1], widths[index], 3, 3)
            found[f"{key}.convolutions.{index}.weight"] = chance.normal(size=shape).astype(np.float32) * 0.3
            for part in ("weight", "bias", "running_mean", "running_var"):
                found[f"{key}.norms.{index}.{part}"] = chance.uniform(0.5, 1.5, each.outputs).astype(np.float32)

    for index, stage in enumerate(SMALL.stages):
        for place, each in enumerate(stage.layers):
            layer(f"stages.{index}.{place}", each)
    for index, stage in enumerate(SMALL.exits):
        for place, each in enumerate(stage.exit):
            layer(f"exits.{index}.{place}", each)
        found[f"exit_linears.{index}.weight"] = chance.normal(size=(5, 6)).astype(np.float32)
        found[f"exit_linears.{index}.bias"] = chance.normal(size=5).astype(np.float32)
    found["linear.weight"] = chance.normal(size=(5, 6)).astype(np.float32)
    found["linear.bias"] = chance.normal(size=5).astype(np.float32)
    return found


def pictures(count: int, seed: int = 0) -> list[Tensors]:
    """Prepared inputs."""
    chance = np.random.default_rng(seed)
    return [{"input": chance.normal(size=(1, 3, 32, 32)).astype(np.float32)} for _ in range(count)]
