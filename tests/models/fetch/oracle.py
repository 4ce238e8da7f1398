"""A second implementation of inverted-residual networks: plain NumPy loops over windows, normalisation not folded.

It shares no code with the builders; both are given the same random weights and must give the same logits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = dict[str, NDArray[np.generic]]


def convolve(x: Floats, weight: Floats, *, stride: int, before: int, after: int) -> Floats:
    """x (channels, height, width); weight (out, 1 for depthwise else channels, k, k); zero padding on each axis."""
    padded = np.pad(x, ((0, 0), (before, after), (before, after)))
    size = weight.shape[2]
    rows = (padded.shape[1] - size) // stride + 1
    columns = (padded.shape[2] - size) // stride + 1
    depthwise = weight.shape[1] == 1 and x.shape[0] > 1
    result = np.zeros((weight.shape[0], rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = padded[:, row * stride : row * stride + size, column * stride : column * stride + size]
            product = window * weight[:, 0] if depthwise else window[None] * weight
            result[:, row, column] = product.sum(axis=(1, 2)) if depthwise else product.sum(axis=(1, 2, 3))
    return result


def normalise(x: Floats, state: State, prefix: str, epsilon: float) -> Floats:
    """Batch normalisation by its definition."""
    gamma, beta, mean, variance = (
        state[f"{prefix}.{part}"].astype(np.float64)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def relu6(x: Floats) -> Floats:
    return np.minimum(np.maximum(x, 0.0), 6.0)


def random_layer(
    state: State, rng: np.random.Generator, names: tuple[str, str], shape: tuple[int, int, int, int]
) -> None:
    """Random convolution and normalisation, scaled so that activations use the whole range of relu6."""
    weight, norm = names
    state[weight] = rng.normal(0, 1.5 / np.sqrt(shape[1] * shape[2] * shape[3]), shape).astype(np.float32)
    state[f"{norm}.weight"] = rng.uniform(0.5, 2, shape[0]).astype(np.float32)
    state[f"{norm}.bias"] = rng.normal(0, 1, shape[0]).astype(np.float32)
    state[f"{norm}.running_mean"] = rng.normal(0, 0.3, shape[0]).astype(np.float32)
    # small values too: there a wrong epsilon shows
    state[f"{norm}.running_var"] = rng.uniform(0.003, 1, shape[0]).astype(np.float32)
    state[f"{norm}.num_batches_tracked"] = np.array(7, np.int64)


def random_classifier(state: State, rng: np.random.Generator, name: str, classes: int, width: int) -> None:
    state[f"{name}.weight"] = rng.normal(0, 1, (classes, width)).astype(np.float32)
    state[f"{name}.bias"] = rng.normal(0, 1, classes).astype(np.float32)


def same_pads(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's rule, as its documentation words it: by the remainder of side / stride."""
    total = max(kernel - (side % stride or stride), 0)
    return total // 2, total - total // 2


Layer = tuple[str, str, int, int]  # weight, normalisation, kernel, stride


def run_network(
    x: Floats,
    state: State,
    *,
    stem: Layer,
    blocks: Sequence[Sequence[Layer]],
    head: Layer,
    classifier: str,
    epsilon: float,
    symmetric: bool,
) -> Floats:
    """Logits of one picture (3, side, side). A block's last layer is linear; equal widths and stride 1 add its input."""

    def layer(value: Floats, spec: Layer, *, active: bool) -> Floats:
        weight, norm, kernel, stride = spec
        side = value.shape[1]
        before, after = (kernel // 2, kernel // 2) if symmetric else same_pads(side, kernel, stride)
        out = convolve(value, state[weight].astype(np.float64), stride=stride, before=before, after=after)
        out = normalise(out, state, norm, epsilon)
        return relu6(out) if active else out

    value = layer(x, stem, active=True)
    for block in blocks:
        entry = value
        for spec in block[:-1]:
            value = layer(value, spec, active=True)
        value = layer(value, block[-1], active=False)
        if entry.shape == value.shape:
            value = value + entry
    pooled = layer(value, head, active=True).mean(axis=(1, 2))
    logits: Floats = state[f"{classifier}.weight"].astype(np.float64) @ pooled + state[f"{classifier}.bias"]
    return logits
