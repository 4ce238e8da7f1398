"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) in the layout of torchvision's checkpoint.

Its blocks 1..17 are `features.1` .. `features.17` there; padding is symmetric, normalisation epsilon 1e-5.
"""

from hedgerow.models.fetch.network import INPUT_NAME, BlockKeys, NetworkWriter
from hedgerow.models.tensors import Array

STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
EPSILON = 1e-5


def build(
    state: dict[str, Array], *, name: str, size_px: int, source: str, strides: tuple[int, ...] = STRIDES
) -> bytes:
    """ONNX bytes: "input" float32 (batch, 3, size_px, size_px) -> "logits"; `strides` holds one entry per block."""
    writer = NetworkWriter(state, epsilon=EPSILON)
    stem = ("features.0.0.weight", "features.0.1")
    tensor = writer.convolution(INPUT_NAME, "stem.output", stem, stride=2, pads=(1, 1), depthwise=False, relu6=True)
    width = writer.channels("features.1.conv.0.0.weight")
    for number, stride in enumerate(strides, start=1):
        keys = _keys(number, expands=f"features.{number}.conv.3.weight" in state)
        wider = writer.channels(keys.project[0])
        residual = stride == 1 and wider == width
        tensor = writer.block(tensor, f"block{number}", keys, stride=stride, pads=(1, 1), residual=residual)
        width = wider
    last = f"features.{len(strides) + 1}"
    writer.head(tensor, (f"{last}.0.weight", f"{last}.1"), "classifier.1")
    return writer.finish(name, size_px=size_px, source=source)


def _keys(number: int, *, expands: bool) -> BlockKeys:
    prefix = f"features.{number}.conv"
    if not expands:
        return BlockKeys(None, (f"{prefix}.0.0.weight", f"{prefix}.0.1"), (f"{prefix}.1.weight", f"{prefix}.2"))
    return BlockKeys(
        (f"{prefix}.0.0.weight", f"{prefix}.0.1"),
        (f"{prefix}.1.0.weight", f"{prefix}.1.1"),
        (f"{prefix}.2.weight", f"{prefix}.3"),
    )
