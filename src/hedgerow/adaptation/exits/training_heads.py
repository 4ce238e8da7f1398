"""Trains exits at the joints of a model that stays as it is, on what the model made of the samples and what it answered.

Rules: chance comes from (seed, epoch) alone and the state is kept after each epoch, so that a training that was stopped goes on as
if it had not been. The teacher's answers are scores; an exit learns its probabilities, plain and softened, and the labels too
where there are any.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hedgerow.adaptation.exits.heads import POOLED, Head, Operation, Weights
from hedgerow.adaptation.keeping import Checkpoint

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """How an exit is trained: `rate` by its kind."""

    epochs: int
    rate: float
    batch: int = 64
    softened: float = 2.0  # temperature of the second view of the teacher's answers
    labelled: float = 0.3  # share of the labels in the loss, where there are labels
    decay: float = 1e-2
    threads: int = 2


def trained(
    head: Head,
    features: NDArray[Any],
    teacher: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    recipe: HeadRecipe,
    *,
    seed: int,
    checkpoint: Checkpoint,
    progress: Callable[[int, float], None],
) -> Weights:
    """The trained weights. `features` (n, c, h, w) are means over 2 x 2 of the joint's tensor, `teacher` (n, classes) scores."""
    torch.set_num_threads(recipe.threads)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in head.weights.items()}
    learned = [weights[name].requires_grad_() for name in head.trainable]
    optimiser = torch.optim.AdamW(learned, lr=recipe.rate, weight_decay=recipe.decay)
    name = f"{head.joint}-{head.kind}.pt".replace("/", "_")
    done = _resume(learned, optimiser, checkpoint.load(name))
    steps = max(1, len(features) // recipe.batch)
    inputs, targets = torch.from_numpy(features), torch.from_numpy(teacher)
    marks = None if labels is None else torch.from_numpy(labels)
    for epoch in range(done, recipe.epochs):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
        total = 0.0
        for step in range(steps):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _cycle(epoch * steps + step, recipe.epochs * steps)
            answer = run(head.operations, weights, inputs[chosen].float())
            loss = _loss(answer, targets[chosen], None if marks is None else marks[chosen], recipe)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        checkpoint.save(name, _state(learned, optimiser, epoch + 1))
        progress(epoch + 1, total / steps)
    return {name: weights[name].detach().numpy().copy() for name in head.trainable}


def aligned(head: Head, whole: NDArray[Any], threads: int = 2) -> Weights:
    """A tail's weights after each convolution was given, channel by channel, the mean and spread it has at full resolution.

    `whole` (n, c, h, w) is the joint's tensor of some samples. Half the resolution shifts these statistics layer by layer; setting
    them right needs no training, and no sample twice.
    """
    torch.set_num_threads(threads)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in head.weights.items()}
    full = torch.from_numpy(whole.astype(np.float32))
    with torch.inference_mode():
        wanted: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        _walk(head.operations, weights, full, lambda operation, made: wanted.update({operation.output: _spread(made)}))
        _walk(head.operations, weights, _half(full), lambda operation, made: _correct(operation, made, weights, wanted))
    return {name: weights[name].numpy().copy() for name in head.trainable}


def _walk(
    operations: tuple[Operation, ...],
    weights: Mapping[str, torch.Tensor],
    start: torch.Tensor,
    look: Callable[[Operation, torch.Tensor], bool | None],
) -> None:
    """Run all operations; `look` sees what each convolution makes, and says whether its weights have changed."""
    values = {POOLED: start}
    for operation in operations:

        def made(operation: Operation = operation) -> torch.Tensor:
            inputs = [weights[name] if name in weights else values[name] for name in operation.inputs if name]
            return _OPERATORS[operation.operator](inputs, operation.attributes)

        result = made()
        if operation.operator == "Conv" and look(operation, result):
            result = made()
        values[operation.output] = result


def _spread(made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return made.mean((0, 2, 3)), made.std((0, 2, 3))


def _correct(
    operation: Operation, made: torch.Tensor, weights: Tensors, wanted: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
) -> bool:
    if len(operation.inputs) < 3:
        return False
    mean, spread = _spread(made)
    want_mean, want_spread = wanted[operation.output]
    factor = (want_spread / (spread + 1e-3)).clamp(0.5, 2.0)
    weight, bias = operation.inputs[1:3]
    weights[weight] = weights[weight] * factor[:, None, None, None]
    weights[bias] = (weights[bias] - mean) * factor + want_mean
    return True


def _half(full: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(full, 2, ceil_mode=True, count_include_pad=False)


def run(operations: tuple[Operation, ...], weights: Mapping[str, torch.Tensor], half: torch.Tensor) -> torch.Tensor:
    """The scores for `half`, the mean over 2 x 2 of the joint's tensor."""
    values = {**weights, POOLED: half}
    result = half
    for operation in operations:
        inputs = [values[name] for name in operation.inputs if name]
        result = values[operation.output] = _OPERATORS[operation.operator](inputs, operation.attributes)
    return result


def _convolution(inputs: list[torch.Tensor], attributes: Mapping[str, Any]) -> torch.Tensor:
    x, *rest = inputs
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
    strides, groups = tuple(attributes.get("strides", (1, 1))), int(attributes.get("group", 1))
    return functional.conv2d(
        x,
        rest[0],
        rest[1] if len(rest) > 1 else None,
        strides,
        (top, left),
        tuple(attributes.get("dilations", (1, 1))),
        groups,
    )


def _gemm(inputs: list[torch.Tensor], attributes: Mapping[str, Any]) -> torch.Tensor:
    weight = inputs[1] if attributes.get("transB", 0) else inputs[1].T
    return functional.linear(inputs[0], weight, inputs[2] if len(inputs) > 2 else None)


_OPERATORS: dict[str, Callable[[list[torch.Tensor], Mapping[str, Any]], torch.Tensor]] = {
    "Conv": _convolution,
    "Gemm": _gemm,
    "Clip": lambda inputs, _: torch.clamp(inputs[0], inputs[1], inputs[2]),
    "Relu": lambda inputs, _: functional.relu(inputs[0]),
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "HardSwish": lambda inputs, _: functional.hardswish(inputs[0]),
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "Flatten": lambda inputs, attributes: inputs[0].flatten(int(attributes.get("axis", 1))),
}


def _loss(answer: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor | None, recipe: HeadRecipe) -> torch.Tensor:
    soft = recipe.softened
    plain = functional.cross_entropy(answer, teacher.softmax(1))
    smooth = functional.cross_entropy(answer / soft, (teacher / soft).softmax(1)) * soft**2
    loss = 0.5 * (plain + smooth)
    if labels is None:
        return loss
    return (1.0 - recipe.labelled) * loss + recipe.labelled * functional.cross_entropy(answer, labels)


def _cycle(step: int, steps: int) -> float:
    rise = max(1, steps // 10)
    return (step + 1) / rise if step < rise else max(0.0, (steps - step) / (steps - rise))


def _state(learned: list[torch.Tensor], optimiser: Any, epoch: int) -> bytes:
    buffer = io.BytesIO()
    plain = [value.detach() for value in learned]
    torch.save({"learned": plain, "optimiser": optimiser.state_dict(), "epoch": epoch}, buffer)
    return buffer.getvalue()


def _resume(learned: list[torch.Tensor], optimiser: Any, kept: bytes | None) -> int:
    if kept is None:
        return 0
    state = torch.load(io.BytesIO(kept), weights_only=True)
    with torch.no_grad():
        for value, old in zip(learned, state["learned"], strict=True):
            value.copy_(old)
    optimiser.load_state_dict(state["optimiser"])
    return int(state["epoch"])
