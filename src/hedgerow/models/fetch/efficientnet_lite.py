"""EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946, without squeeze-and-excitation and with relu6).

The checkpoint came from TensorFlow: "same" padding puts the odd pixel after the picture, so the pads depend on the picture's
size; normalisation epsilon is 1e-3. Blocks 1..n are `_blocks.0` .. there.
"""

from hedgerow.models.fetch.network import INPUT_NAME, BlockKeys, NetworkWriter, Pads
from hedgerow.models.tensors import Array

EPSILON = 1e-3
# One entry per stage: (blocks, kernel, stride of its first block), for Lite2 (depth 1.2; first and last stage not scaled).
LITE2_STAGES = ((1, 3, 1), (3, 3, 2), (3, 5, 2), (4, 3, 2), (4, 5, 1), (5, 5, 2), (1, 3, 1))

Stages = tuple[tuple[int, int, int], ...]


def build(state: dict[str, Array], *, name: str, size_px: int, source: str, stages: Stages = LITE2_STAGES) -> bytes:
    """ONNX bytes: "input" float32 (batch, 3, size_px, size_px) -> "logits"."""
    writer = NetworkWriter(state, epsilon=EPSILON)
    width = writer.channels("_conv_stem.weight")
    pads, side = same_padding(size_px, kernel=3, stride=2)
    stem = ("_conv_stem.weight", "_bn0")
    tensor = writer.convolution(INPUT_NAME, "stem.output", stem, stride=2, pads=pads, depthwise=False, relu6=True)
    steps = [(kernel, stride if first == 0 else 1) for blocks, kernel, stride in stages for first in range(blocks)]
    for index, (kernel, stride) in enumerate(steps):
        keys = _keys(index, expands=f"_blocks.{index}._expand_conv.weight" in state)
        wider = writer.channels(keys.project[0])
        pads, side = same_padding(side, kernel=kernel, stride=stride)
        residual = stride == 1 and wider == width
        tensor = writer.block(tensor, f"block{index + 1}", keys, stride=stride, pads=pads, residual=residual)
        width = wider
    writer.head(tensor, ("_conv_head.weight", "_bn1"), "_fc")
    return writer.finish(name, size_px=size_px, source=source)


def same_padding(side: int, *, kernel: int, stride: int) -> tuple[Pads, int]:
    """TensorFlow's "same": ((pixels before, pixels after), side of the result); an odd total has one more after."""
    result = -(-side // stride)
    total = max((result - 1) * stride + kernel - side, 0)
    return (total // 2, total - total // 2), result


def _keys(index: int, *, expands: bool) -> BlockKeys:
    prefix = f"_blocks.{index}"
    return BlockKeys(
        (f"{prefix}._expand_conv.weight", f"{prefix}._bn0") if expands else None,
        (f"{prefix}._depthwise_conv.weight", f"{prefix}._bn1"),
        (f"{prefix}._project_conv.weight", f"{prefix}._bn2"),
    )
