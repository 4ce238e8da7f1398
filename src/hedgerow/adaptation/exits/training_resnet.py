"""Trains the residual network and its exits together, each exit taught by the labels and by the whole model's own answers.

Rules: chance comes from (seed, epoch) alone, so a training that was stopped goes on as if it had not been; the state is kept
after each epoch; float32 throughout, which here was quicker than bfloat16 (measured in docs/exits.md).
"""

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hedgerow.adaptation.exits.architecture import SIDE_PX, Architecture, Layer, Recipe
from hedgerow.adaptation.keeping import Checkpoint

STATE_NAME = "state.pt"
State = dict[str, NDArray[Any]]


class _Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.residual = layer.residual
        self.skipped = layer.skipped
        widths = [layer.inputs, *[layer.outputs] * layer.convolutions]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, layer.stride if not i else 1, 1, bias=False) for i, (a, b) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.outputs) for _ in range(layer.convolutions))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.skipped and float(torch.rand(())) < self.skipped:
            return x
        y = x
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y = norm(convolution(y))
            if index + 1 < len(self.norms):
                y = functional.relu(y, inplace=True)
        if not self.residual:
            return functional.relu(y, inplace=True)
        return functional.relu(x + (y / (1.0 - self.skipped) if self.training else y))


class Network(nn.Module):  # type: ignore[misc]
    """All stages and exits; forward gives (exits..., whole), each (n, classes) logits."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Sequential(*map(_Layer, stage.layers)) for stage in architecture.stages)
        self.exits = nn.ModuleList(nn.Sequential(*map(_Layer, stage.exit)) for stage in architecture.exits)
        self.has_exit = [bool(stage.exit) for stage in architecture.stages]
        widths = [stage.exit[-1].outputs for stage in architecture.exits]
        self.exit_linears = nn.ModuleList(nn.Linear(width, classes) for width in widths)
        self.linear = nn.Linear(architecture.stages[-1].layers[-1].outputs, classes)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        answers, index = [], 0
        for stage, has_exit in zip(self.stages, self.has_exit, strict=True):
            x = stage(x)
            if has_exit:
                answers.append(self.exit_linears[index](self.exits[index](x).mean((2, 3))))
                index += 1
        return [*answers, self.linear(x.mean((2, 3)))]


def trained(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: int,
    architecture: Architecture,
    recipe: Recipe,
    *,
    seed: int,
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    checkpoint: Checkpoint,
    progress: Callable[[int, float], None],
) -> State:
    """The weights after training on `pictures` (n, 32, 32, 3), plain arrays by PyTorch's names.

    `progress(epoch, mean loss)` is told after each epoch, when its state has been kept.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed)
    network = Network(architecture, classes).to(memory_format=torch.channels_last)
    steps = len(pictures) // recipe.batch
    optimiser = torch.optim.SGD(_groups(network, recipe.decay), lr=1.0, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, recipe))
    done = _resume(network, optimiser, schedule, checkpoint)
    data = torch.from_numpy(pictures)
    targets = torch.from_numpy(labels)
    shift, scale = (torch.from_numpy(value).view(1, 3, 1, 1) for value in (mean, std))
    for epoch, side_px in list(enumerate(recipe.sides_px))[done:]:
        torch.manual_seed(seed * 100_003 + epoch)
        chance = torch.Generator().manual_seed(seed * 100_003 + epoch)
        order = torch.randperm(len(data), generator=chance)
        network.train()
        total = 0.0
        for step in range(steps):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            batch = (_varied(data[chosen], chance) - shift) / scale
            if side_px < SIDE_PX:
                batch = functional.interpolate(batch, side_px, mode="bilinear", antialias=True)
            batch = batch.contiguous(memory_format=torch.channels_last)
            loss = _loss(network(batch), targets[chosen], recipe)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        _keep(network, optimiser, schedule, checkpoint, epoch + 1)
        progress(epoch + 1, total / steps)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def answers(
    state: State, architecture: Architecture, classes: int, pictures: NDArray[np.float32], threads: int = 2
) -> list[NDArray[np.float32]]:
    """Logits of each exit and of the whole for prepared pictures (n, 3, 32, 32): the oracle of the written files."""
    torch.set_num_threads(threads)
    network = Network(architecture, classes)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(part)) for part in np.array_split(pictures, max(1, len(pictures) // 500))]
    return [torch.cat(each).numpy() for each in zip(*parts, strict=True)]


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Normalisations and biases are not decayed."""
    weights = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _rate(step: int, epoch_steps: int, recipe: Recipe) -> float:
    """The learning rate of a step: cycles one after another."""
    for epochs, highest in recipe.cycles:
        steps = epochs * epoch_steps
        if step < steps:
            rise = max(1, steps // 5)
            return highest * ((step + 1) / rise if step < rise else (steps - step) / (steps - rise))
        step -= steps
    return 0.0


def _varied(batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """uint8 (n, 32, 32, 3) -> float (n, 3, 32, 32), shifted by up to 3 pixels and mirrored at random."""
    count, reach = len(batch), 3
    moved = torch.randint(-reach, reach + 1, (2, count, 1), generator=chance)
    line = torch.arange(SIDE_PX)
    rows, columns = ((line + each).clamp(0, SIDE_PX - 1) for each in moved)
    mirrored = torch.rand(count, 1, generator=chance) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    cut = batch[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2).float()


def _loss(answers: list[torch.Tensor], targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    *exits, whole = answers
    loss = functional.cross_entropy(whole, targets)
    teacher = functional.softmax(whole.detach(), dim=1)
    for answer in exits:
        labelled = functional.cross_entropy(answer, targets)
        taught = functional.cross_entropy(answer, teacher)
        loss = loss + recipe.exit_weight * ((1.0 - recipe.taught) * labelled + recipe.taught * taught)
    return loss


def _keep(network: nn.Module, optimiser: Any, schedule: Any, checkpoint: Checkpoint, epoch: int) -> None:
    buffer = io.BytesIO()
    torch.save(
        {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": {"last_epoch": schedule.last_epoch},
            "epoch": epoch,
        },
        buffer,
    )
    checkpoint.save(STATE_NAME, buffer.getvalue())


def _resume(network: nn.Module, optimiser: Any, schedule: Any, checkpoint: Checkpoint) -> int:
    """Load what was kept, if anything; the number of epochs that are done."""
    kept = checkpoint.load(STATE_NAME)
    if kept is None:
        return 0
    state = torch.load(io.BytesIO(kept), weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = state["schedule"]["last_epoch"]
    for group, base, factor in zip(optimiser.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
        group["lr"] = base * factor(schedule.last_epoch)
    return int(state["epoch"])
