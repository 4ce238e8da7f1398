"""The residual network for CIFAR-10 and its exits, layer by layer: one table that is trained (PyTorch) and written (ONNX).

The first stage is wide for what it costs, so that its exit is worth asking; the later ones are deeper at a lower resolution. A
layer's `name` is the name of the tensor it makes in the file. Multiply-adds are of one picture of 32 x 32.
"""

from dataclasses import dataclass

SIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Layer:
    """Convolutions of 3 x 3 with normalisation; with `residual` their input is added before the last ReLU."""

    name: str
    inputs: int
    outputs: int
    stride: int = 1
    convolutions: int = 1
    residual: bool = False
    skipped: float = (
        0.0  # in training: the share of batches that pass a residual layer by (Huang et al. 2016, stochastic depth)
    )

    def multiply_adds(self, side_px: int) -> int:
        """For an input of side_px x side_px."""
        out = (side_px // self.stride) ** 2
        first = 9 * self.inputs * self.outputs * out
        return first + (self.convolutions - 1) * 9 * self.outputs**2 * out


@dataclass(frozen=True, slots=True)
class Stage:
    """Layers up to a joint, whose tensor is the last layer's, and the layers of the exit that may hang there."""

    layers: tuple[Layer, ...]
    exit: tuple[Layer, ...] = ()

    @property
    def joint(self) -> str:
        return self.layers[-1].name


@dataclass(frozen=True, slots=True)
class Architecture:
    """Stages one after another; each exit, and the whole, ends in a mean over the picture and a linear layer."""

    stages: tuple[Stage, ...]

    @property
    def exits(self) -> tuple[Stage, ...]:
        """The stages that have one."""
        return tuple(stage for stage in self.stages if stage.exit)

    def multiply_adds(self, stages: int, *, with_exit: bool = False) -> int:
        """Of the first `stages` stages, and of the exit after the last of them."""
        side, total = SIDE_PX, 0
        for stage in self.stages[:stages]:
            for layer in stage.layers:
                total += layer.multiply_adds(side)
                side //= layer.stride
        for layer in self.stages[stages - 1].exit if with_exit else ():
            total += layer.multiply_adds(side)
            side //= layer.stride
        return total


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained."""

    sides_px: tuple[int, ...] = (16, 16, 16, 24, 24, 24, 24, 24, 28, 28, 32, 32)  # of the pictures, epoch by epoch
    batch: int = 128
    cycles: tuple[tuple[int, float], ...] = ((12, 0.12),)  # (epochs, highest rate): up over a fifth, then down
    decay: float = 5e-4
    exit_weight: float = 0.5  # of each exit's loss beside the whole's
    taught: float = 0.6  # share of an exit's loss that is the distance to the whole's answer
    threads: int = 2


def _block(name: str, width: int, skipped: float = 0.0) -> Layer:
    return Layer(name, width, width, convolutions=2, residual=True, skipped=skipped)


RESNET = Architecture(
    (
        Stage(
            (
                Layer("stem", 3, 16),
                Layer("stage1.down", 16, 48, stride=2),
                Layer("stage1.output", 48, 48, residual=True),
            ),
            exit=(Layer("exit1.down", 48, 96, stride=2),),
        ),
        Stage(
            (Layer("stage2.down", 48, 96, stride=2), _block("stage2.output", 96)),
            exit=(Layer("exit2.down", 96, 96, stride=2),),
        ),
        Stage(
            (_block("stage3.block1", 96, 0.2), _block("stage3.output", 96, 0.3)),
            exit=(Layer("exit3.down", 96, 128, stride=2),),
        ),
        Stage(
            (
                Layer("stage4.down", 96, 192, stride=2),
                _block("stage4.block1", 192, 0.4),
                _block("stage4.output", 192, 0.5),
            )
        ),
    )
)

RECIPE = Recipe()
