"""Trains a bottleneck's encoder and decoder with PyTorch (extra `adapt`): rounding and entropy in the loop, head and tail frozen.

Loss, for one picture and a step size s drawn anew each time, all in the axes of `transform.py` and in units of the nominal step:
    |z - decoder(levels * s)|^2 + RATE * s^2 * bits        levels = round(encoder(x) / s), rounding passed over by the gradient
where z is the uncut model's own features at `target` and bits those of a logistic density of one width a channel, under uniform
noise of width s (Balle, Laparra, Simoncelli, arXiv:1611.01704). |.|^2 there is about twice the divergence of the answers, to second
order and place by place, so most steps need not run the tail. The last ones (`taught`) do, and take in its place the divergence
itself of the answer from the uncut one's (distillation). s^2 is how the price of an error scales with the step (reverse
water-filling), so that one set of weights serves a range of rates. Convolutions run in one thread: on two cores that others
use too, that was several times faster than two.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.bottleneck.graph import Block, Layer, Tail
from hedgerow.adaptation.bottleneck.transform import LEVEL_MAX, THETA, Transform
from hedgerow.adaptation.keeping import NO_PYTORCH, Checkpoint, Say
from hedgerow.errors import HostError, UsageError

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    raise HostError(NO_PYTORCH) from None

Floats = NDArray[np.float32]
Tensor: TypeAlias = Any  # torch.Tensor

RATE = 0.12  # of s^2 for each bit: the optimum at high rates, where errors cost alike (2 ln 2 / 12)
SCALES = (0.6, 1.6)  # of the nominal step: the range of rates that is trained for
BATCH = 16
LINEAR_RATE = 1e-4  # of the transform's own weights, which are good to begin with
WARM_STEPS = 20
SAVE_EVERY = 50
GRADIENT_BATCH = 14
NORM_MAX = 5e3


@dataclass(frozen=True, slots=True)
class Shape:
    """The networks' sizes."""

    latent: int  # channels of the latent
    middle: int  # width of the decoder


def gradients(tail: Tail, features: NDArray[np.float16], *, seed: int, say: Say) -> Floats:
    """For each row one gradient of log p(y), y drawn from the tail's own answer, with respect to the features."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    weights = {name: _laid(torch.from_numpy(np.array(array))) for name, array in tail.weights.items()}
    found = []
    for start in range(0, len(features), GRADIENT_BATCH):
        x = _laid(torch.from_numpy(features[start : start + GRADIENT_BATCH].astype(np.float32))).requires_grad_()
        logits = run(tail, weights, x)
        drawn = torch.multinomial(logits.detach().softmax(1), 1, generator=generator)
        (slope,) = torch.autograd.grad(logits.log_softmax(1).gather(1, drawn).sum(), x)
        found.append(slope.contiguous().numpy())
        if start // GRADIENT_BATCH % 10 == 9:
            say(f"gradients of {start + len(x)} of {len(features)} pictures")
    return np.concatenate(found)


def run(tail: Tail, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What the tail makes of `x`, with gradients."""
    alive = {tail.source: x}
    for layer in tail.layers:
        given = [alive[name] if name in alive else weights[name] for name in layer.inputs]
        alive[layer.output] = _compute(layer, given)
    return alive[tail.result]


def _compute(layer: Layer, given: list[Tensor]) -> Tensor:
    match layer.operator:
        case "Conv":
            bias = given[2] if len(given) > 2 else None
            return functional.conv2d(given[0], given[1], bias, layer.stride, layer.pads, groups=layer.groups)
        case "Clip":
            return given[0].clamp(layer.low, layer.high)
        case "Relu":
            return given[0].relu()
        case "Add":
            return given[0] + given[1]
        case "GlobalAveragePool":
            return given[0].mean((2, 3), keepdim=True)
        case "Flatten":
            return given[0].flatten(1)
        case _:
            return functional.linear(given[0], given[1], given[2] if len(given) > 2 else None)


def _laid(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


class Network(nn.Module):  # type: ignore[misc]
    """Encoder and decoder. Values are in units of the nominal step; `plain` and `latent` begin as the transform itself."""

    def __init__(self, shape: Shape, transform: Transform, step: float, blocks: Sequence[Block], *, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shape, self.patch = shape, transform.patch
        size, wide = len(transform.mean), shape.middle
        self.blocks = nn.ModuleList(_BlockNetwork(block) for block in blocks)
        forward = torch.from_numpy(transform.forward[: shape.latent] / np.float32(step))
        self.forward_axes = nn.Parameter(forward)
        self.forward_bias = nn.Parameter(-forward @ torch.from_numpy(transform.mean))
        self.plain = nn.Parameter(torch.eye(size, shape.latent))
        self.first = nn.Conv2d(shape.latent, wide, 3, padding=1)
        self.second = nn.Conv2d(wide, wide, 3, padding=1)
        self.third = nn.Conv2d(wide, size, 1)
        nn.init.zeros_(self.third.weight)
        nn.init.zeros_(self.third.bias)
        spread = torch.from_numpy(np.sqrt(transform.variances[: shape.latent]) / np.float32(step))
        self.widths = nn.Parameter((0.5 * spread).clamp_min(0.05).log())

    def encode(self, x: Tensor) -> Tensor:
        """u of shape (n, latent, h, w), not yet rounded."""
        for block in self.blocks:
            x = block(x)
        folded = functional.pixel_unshuffle(x, self.patch)
        return functional.conv2d(folded, self.forward_axes[:, :, None, None], self.forward_bias)

    def decode(self, u: Tensor) -> Tensor:
        """z of shape (n, d, h, w), in nominal steps."""
        inner = functional.relu(self.first(u))
        inner = inner + functional.relu(self.second(inner))
        found: Tensor = functional.conv2d(u, self.plain[:, :, None, None]) + self.third(inner)
        return found

    def bits(self, noisy: Tensor, scale: Tensor) -> Tensor:
        """Bits of each picture's levels by the density of its channels."""
        width = self.widths.exp()[None, :, None, None] + 1e-3
        size = noisy.abs()
        share = torch.sigmoid((scale / 2 - size) / width) - torch.sigmoid((-scale / 2 - size) / width)
        total: Tensor = -torch.log2(share.clamp_min(1e-6)).sum((1, 2, 3))
        return total


class _BlockNetwork(nn.Module):  # type: ignore[misc]
    """A block with its weights to begin with."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.residual = block.residual
        deep = block.weights["depthwise.weight"]
        self.expand = nn.Conv2d(block.weights["expand.weight"].shape[1], block.hidden, 1)
        kernel = deep.shape[2]
        self.depthwise = nn.Conv2d(block.hidden, block.hidden, kernel, block.stride, kernel // 2, groups=block.hidden)
        self.project = nn.Conv2d(block.hidden, len(block.weights["project.weight"]), 1)
        with torch.no_grad():
            for name, array in block.weights.items():
                self.get_parameter(name).copy_(torch.from_numpy(np.array(array)))

    def middle(self, x: Tensor) -> Tensor:
        """The hidden channels."""
        return functional.relu6(self.depthwise(functional.relu6(self.expand(x))))

    def forward(self, x: Tensor) -> Tensor:
        made = self.project(self.middle(x))
        return made + x if self.residual else made


def slimmed(blocks: Sequence[Block], hidden: Sequence[int], source: NDArray[np.float16]) -> list[Block]:
    """Each block with only so many of its hidden channels: those that move its output most on these rows."""
    x = _laid(torch.from_numpy(source.astype(np.float32)))
    found = []
    for block, count in zip(blocks, hidden, strict=True):
        with torch.no_grad():
            whole = _BlockNetwork(block)
            spread = whole.middle(x).var((0, 2, 3)).numpy()
            x = whole(x)
        moved = spread * np.square(block.weights["project.weight"][:, :, 0, 0]).sum(axis=0)
        kept = np.sort(np.argsort(-moved, kind="stable")[:count])
        weights = {
            name: array[:, kept] if name == "project.weight" else array if name == "project.bias" else array[kept]
            for name, array in block.weights.items()
        }
        found.append(Block(block.stride, block.residual, weights))
    return found


def levels_of(u: Tensor) -> Tensor:
    """As `transform.rounded`."""
    return (u.sign() * (u.abs() + (0.5 - THETA)).floor()).clamp(-LEVEL_MAX, LEVEL_MAX)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learned from, row by row, and how long: of `steps` the last `taught` run the tail."""

    source: NDArray[np.float16]
    target: NDArray[np.float16]
    logits: Floats
    tail: Tail
    transform: Transform
    step: float
    steps: int
    taught: int
    learning_rate: float
    seed: int

    def wanted(self, rows: NDArray[np.int64]) -> Tensor:
        """z of these rows in nominal steps."""
        return _laid(
            torch.from_numpy(self.transform.apply(self.target[rows].astype(np.float32)) / np.float32(self.step))
        )


def train(network: Network, lessons: Lessons, *, checkpoint: Checkpoint, say: Say) -> None:
    """Goes on from the checkpoint; the same seed gives the same weights."""
    torch.set_num_threads(1)
    straight = [network.forward_axes, network.forward_bias, network.plain]
    others = [each for each in network.parameters() if not any(each is one for one in straight)]
    optimiser = torch.optim.Adam([{"params": straight}, {"params": others}], betas=(0.9, 0.99))
    network.to(memory_format=torch.channels_last)
    teacher = _Teacher(lessons)
    begun = _resume(network, optimiser, checkpoint)
    if begun:
        say(f"going on after step {begun} of {lessons.steps}")
    seen = 0.0
    for step in range(begun, lessons.steps):
        rate = min(1.0, (step + 1) / WARM_STEPS) * 0.5 * (1 + math.cos(math.pi * step / lessons.steps))
        for group, base in zip(optimiser.param_groups, (LINEAR_RATE, lessons.learning_rate), strict=True):
            group["lr"] = base * rate
        error, bits, scale = _tried(network, lessons, teacher, step)
        loss = (error / scale + RATE * scale * bits).mean()  # evenly over the range of rates
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), NORM_MAX)
        optimiser.step()
        seen = loss.item() if not seen else 0.95 * seen + 0.05 * loss.item()
        if not math.isfinite(seen):
            raise UsageError("training did not converge (the loss is no number); choose another cut or more bytes")
        if (step + 1) % SAVE_EVERY == 0:
            _save(network, optimiser, step + 1, checkpoint)
            text = f"error {error.mean():.0f}, {bits.mean() / 8:.0f} bytes, loss {seen:.0f}"
            say(f"step {step + 1} of {lessons.steps}: {text}")


def _tried(network: Network, lessons: Lessons, teacher: "_Teacher", step: int) -> tuple[Tensor, Tensor, Tensor]:
    """(error, bits, scale) of each of a few pictures, drawn by the step's number."""
    chance = np.random.default_rng((lessons.seed, step))
    count = len(lessons.source)
    rows = np.sort(chance.choice(count, min(BATCH, count), replace=False))
    x = _laid(torch.from_numpy(lessons.source[rows].astype(np.float32)))
    drawn = np.exp(chance.uniform(math.log(SCALES[0]), math.log(SCALES[1]), len(rows))).astype(np.float32)
    scale = torch.from_numpy(drawn)
    wide = scale[:, None, None, None]
    u = network.encode(x)
    noise = torch.from_numpy(chance.random(tuple(u.shape), np.float32) - 0.5)
    z = network.decode(u + (levels_of(u / wide) * wide - u).detach())
    taught = step >= lessons.steps - lessons.taught
    error = teacher.error(z, rows) if taught else (z - lessons.wanted(rows)).square().sum((1, 2, 3))
    return error, network.bits(u + noise * wide, wide), scale


class _Teacher:
    """The model's own tail, which says how far the answer is from the uncut one's."""

    def __init__(self, lessons: Lessons) -> None:
        self._lessons = lessons
        self._weights = {name: _laid(torch.from_numpy(np.array(each))) for name, each in lessons.tail.weights.items()}
        self._back = torch.from_numpy(lessons.transform.backward * np.float32(lessons.step))[:, :, None, None]
        self._mean = torch.from_numpy(lessons.transform.mean)

    def error(self, z: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Twice the divergence of each answer, in squares of the nominal step."""
        folded = functional.conv2d(z, self._back, self._mean)
        features = _laid(functional.pixel_shuffle(folded, self._lessons.transform.patch))
        right = torch.from_numpy(self._lessons.logits[rows]).log_softmax(1)
        said = run(self._lessons.tail, self._weights, features).log_softmax(1)
        divergence: Tensor = (right.exp() * (right - said)).sum(1)
        return divergence * (2 / self._lessons.step**2)


def _save(network: Network, optimiser: torch.optim.Optimizer, step: int, checkpoint: Checkpoint) -> None:
    buffer = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, buffer)
    checkpoint.save("training.pt", buffer.getvalue())


def _resume(network: Network, optimiser: torch.optim.Optimizer, checkpoint: Checkpoint) -> int:
    data = checkpoint.load("training.pt")
    if data is None:
        return 0
    found: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    network.load_state_dict(found["network"])
    optimiser.load_state_dict(found["optimiser"])
    return int(found["step"])


def encode_all(network: Network, source: NDArray[np.float16]) -> Floats:
    """u of every row."""
    with torch.no_grad():
        parts = [
            network.encode(_laid(torch.from_numpy(source[at : at + BATCH].astype(np.float32)))).contiguous().numpy()
            for at in range(0, len(source), BATCH)
        ]
    return np.concatenate(parts)


def weights_of(network: Network, transform: Transform, step: float, *, refined: bool = True) -> dict[str, Floats]:
    """The weights as `graph.assemble` takes them: the transform and its inverse folded in, latent values in nominal steps.

    Without `refined` the decoder is linear: what was not trained adds nothing.
    """

    def plain(tensor: Tensor) -> Floats:
        return np.ascontiguousarray(tensor.detach().numpy(), np.float32)

    patch = transform.patch
    found: dict[str, Floats] = {}
    axes = plain(network.forward_axes)
    found["encoder.latent.weight"] = axes.reshape(len(axes), -1, patch, patch)
    found["encoder.latent.bias"] = plain(network.forward_bias)
    for name in ("first", "second") if refined else ():
        layer = getattr(network, name)
        found |= {f"decoder.{name}.weight": plain(layer.weight), f"decoder.{name}.bias": plain(layer.bias)}
    back = transform.backward * np.float32(step)
    found["decoder.plain.weight"] = _kernel(back @ plain(network.plain))
    found["decoder.plain.bias"] = transform.mean.copy()
    if not refined:
        return found
    found["decoder.third.weight"] = _kernel(back @ plain(network.third.weight)[:, :, 0, 0])
    found["decoder.third.bias"] = (back @ plain(network.third.bias)).astype(np.float32)
    return found


def blocks_as_trained(network: Network) -> list[Block]:
    """The encoder's blocks."""
    return [
        Block(
            each.depthwise.stride[0],
            each.residual,
            {name: np.ascontiguousarray(array.detach().numpy()) for name, array in each.named_parameters()},
        )
        for each in network.blocks
    ]


def _kernel(matrix: NDArray[np.floating[Any]]) -> Floats:
    """A matrix as the weight of a convolution of one place."""
    return matrix.astype(np.float32)[:, :, None, None]
