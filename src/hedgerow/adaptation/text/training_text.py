"""Trains MiniLM and its exits together on labelled texts: the one file of text exits that needs PyTorch.

Every layer gets a linear classifier on the mean of its tokens, and all are trained at once with the encoder: the last one on the
labels, the others half on the labels and half on what the last one says just then, as what is asked of them is its answer
(distillation). Theirs is the mean of their losses, times `exits_weight`. DeeBERT trains the encoder first and its exits on the
frozen one; together makes the earlier layers useful, at the price that the last one shares the encoder. The embeddings stay as they are: 11.7 of 22.6 million weights, most of them of rare words.

Rules: single precision (bfloat16 was slower here); no dropout, one pass of shuffled batches is too short to need it; the same seed,
threads and processor give the same weights; what has been trained is kept every `CHECKPOINT_STEPS` and goes on from there.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.keeping import NO_PYTORCH, Checkpoint, Say
from hedgerow.errors import HostError
from hedgerow.models.fetch.minilm import EPSILON, HEAD_WIDTH, IDS, MASK, MASKED
from hedgerow.models.tensors import Array, Tensors

try:
    import torch
    from torch.nn import functional
except ImportError:
    raise HostError(NO_PYTORCH) from None

CHECKPOINT_STEPS = 60
CHECKPOINT_NAME = "training.pt"
WARM_UP_SHARE = 0.1  # of the steps, over which the learning rate rises
GRADIENT_NORM_MAX = 1.0
BETAS = (0.9, 0.98)
Weights = dict[str, Any]  # torch.Tensor by name


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: learning rates are the highest of a rise and a straight fall to 0."""

    epochs: float = 1.0
    batch: int = 32
    rate: float = 2e-4
    heads_rate: float = 4e-3
    weight_decay: float = 0.01
    exits_weight: float = 2.0
    taught: float = 0.5  # the share of the full model's opinion in what an exit learns
    features_scale: float = 5.0  # means of normalised tokens are small: the heads learn faster on larger ones


@dataclass(frozen=True, slots=True)
class Trained:
    """The encoder's weights by their published names, and one linear classifier a layer: (classes, width) and (classes,)."""

    encoder: dict[str, Array]
    heads: tuple[tuple[Array, Array], ...]


def train(
    state: Mapping[str, Array],
    tensors: Tensors,
    labels: NDArray[np.int64],
    *,
    classes: int,
    schedule: Schedule,
    seed: int,
    threads: int,
    checkpoint: Checkpoint,
    say: Say,
) -> Trained:
    """Train on `tensors` (int64 (texts, tokens)) and `labels` (texts,); `state` is the published encoder."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    layers = count_layers(weights)
    heads = {f"exit{i + 1}.weight": torch.zeros(classes, weights[_norm_key(i)].shape[0]) for i in range(layers)}
    heads |= {f"exit{i + 1}.bias": torch.zeros(classes) for i in range(layers)}
    steps = max(1, int(schedule.epochs * len(labels) / schedule.batch))
    optimiser = _optimiser(weights, heads, schedule)
    begun = _resume(checkpoint, weights, heads, optimiser)
    if begun:
        say(f"goes on from step {begun} of {steps}")
    batches = _batches(len(labels), schedule, steps, seed)
    targets = torch.from_numpy(labels)
    for step in range(begun, steps):
        _set_rates(optimiser, schedule, step, steps)
        chosen = batches[step]
        scores = _scores(weights, heads, _texts(tensors, chosen), layers, schedule.features_scale)
        losses = _losses(scores, targets[chosen], schedule.taught)
        loss = losses[-1] + schedule.exits_weight * sum(losses[:-1]) / max(1, layers - 1)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [each for group in optimiser.param_groups for each in group["params"]], GRADIENT_NORM_MAX
        )
        optimiser.step()
        done = step + 1
        if done % 20 == 0 or done == steps:
            say(
                f"step {done} of {steps}: loss of the full model {float(losses[-1].detach()):.2f}, of the exits "
                + " ".join(f"{float(each.detach()):.2f}" for each in losses[:-1])
            )
        if done % CHECKPOINT_STEPS == 0 or done == steps:
            _keep(checkpoint, done, weights, heads, optimiser)
    return _trained(weights, heads, layers, schedule.features_scale)


def features(
    state: Mapping[str, Array], tensors: Tensors, *, threads: int, say: Say, batch: int = 64
) -> NDArray[np.float32]:
    """The mean of each layer's tokens, (layers, texts, width)."""
    torch.set_num_threads(threads)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    layers = count_layers(weights)
    found = []
    count = len(tensors[IDS])
    with torch.no_grad():
        for start in range(0, count, batch):
            chosen = torch.arange(start, min(count, start + batch))
            found.append(torch.stack(_means(weights, _texts(tensors, chosen), layers)))
            if start // batch % 40 == 39:
                say(f"read {start + batch} of {count} texts")
    joined: NDArray[np.float32] = torch.cat(found, dim=1).numpy()
    return joined


def count_layers(weights: Mapping[str, Any]) -> int:
    """Layers of the encoder."""
    return sum(
        1 for name in weights if name.startswith("encoder.layer.") and name.endswith("intermediate.dense.weight")
    )


def _norm_key(layer: int) -> str:
    return f"encoder.layer.{layer}.output.LayerNorm.weight"


def _optimiser(weights: Weights, heads: Weights, schedule: Schedule) -> Any:
    trained = [tensor.requires_grad_() for name, tensor in weights.items() if name.startswith("encoder.")]
    groups = [
        {"params": trained, "lr": schedule.rate, "highest": schedule.rate, "weight_decay": schedule.weight_decay},
        {
            "params": [tensor.requires_grad_() for tensor in heads.values()],
            "lr": schedule.heads_rate,
            "highest": schedule.heads_rate,
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(groups, betas=BETAS)


def _set_rates(optimiser: Any, schedule: Schedule, step: int, steps: int) -> None:
    share = min(1.0, (step + 1) / max(1.0, WARM_UP_SHARE * steps)) * (1.0 - step / steps)
    for group in optimiser.param_groups:
        group["lr"] = group["highest"] * share


def _batches(count: int, schedule: Schedule, steps: int, seed: int) -> list[Any]:
    """The texts of each step: all of them, shuffled, again and again."""
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-steps * schedule.batch // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    return [order[step * schedule.batch : (step + 1) * schedule.batch] for step in range(steps)]


def _texts(tensors: Tensors, chosen: Any) -> tuple[Any, Any]:
    """Numbers and mask of these texts, without columns in which all are padding: they change nothing but the time."""
    rows = chosen.numpy()
    mask = torch.from_numpy(tensors[MASK][rows])
    longest = max(1, int(mask.sum(1).max()))
    return torch.from_numpy(tensors[IDS][rows])[:, :longest], mask[:, :longest]


def _scores(weights: Weights, heads: Weights, texts: tuple[Any, Any], layers: int, scale: float) -> list[Any]:
    means = _means(weights, texts, layers)
    return [
        functional.linear(mean * scale, heads[f"exit{i + 1}.weight"], heads[f"exit{i + 1}.bias"])
        for i, mean in enumerate(means)
    ]


def _losses(scores: list[Any], labels: Any, taught: float) -> list[Any]:
    """Cross-entropy of each layer's scores with what it should say."""
    said = functional.softmax(scores[-1].detach(), dim=-1)
    right = functional.one_hot(labels, said.shape[-1]).to(said.dtype)
    wanted = (1.0 - taught) * right + taught * said
    return [functional.cross_entropy(each, wanted) for each in scores[:-1]] + [
        functional.cross_entropy(scores[-1], labels)
    ]


def _means(weights: Weights, texts: tuple[Any, Any], layers: int) -> list[Any]:
    ids, mask = texts
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    places = weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    summed = functional.embedding(ids, weights["embeddings.word_embeddings.weight"]) + (places + kind)
    tokens = _normed(weights, summed, "embeddings.LayerNorm", width)
    penalty = ((1.0 - mask.float()) * MASKED)[:, None, None, :]
    column = mask.float().unsqueeze(-1)
    means = []
    for layer in range(layers):
        tokens = _layer(weights, tokens, penalty, f"encoder.layer.{layer}", width)
        means.append((tokens * column).sum(1) / column.sum(1).clamp(min=1.0))
    return means


def _layer(weights: Weights, tokens: Any, penalty: Any, keys: str, width: int) -> Any:
    texts, length, _ = tokens.shape

    def linear(source: Any, name: str) -> Any:
        return functional.linear(source, weights[f"{keys}.{name}.weight"], weights[f"{keys}.{name}.bias"])

    query, key, value = (
        linear(tokens, f"attention.self.{part}").view(texts, length, width // HEAD_WIDTH, HEAD_WIDTH).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=penalty)
    mixed = mixed.transpose(1, 2).reshape(texts, length, width)
    attended = _normed(
        weights, tokens + linear(mixed, "attention.output.dense"), f"{keys}.attention.output.LayerNorm", width
    )
    wide = functional.gelu(linear(attended, "intermediate.dense"))
    return _normed(weights, attended + linear(wide, "output.dense"), f"{keys}.output.LayerNorm", width)


def _normed(weights: Weights, tokens: Any, keys: str, width: int) -> Any:
    return functional.layer_norm(tokens, (width,), weights[f"{keys}.weight"], weights[f"{keys}.bias"], EPSILON)


def _keep(checkpoint: Checkpoint, step: int, weights: Weights, heads: Weights, optimiser: Any) -> None:
    trained = {name: tensor.detach() for name, tensor in (weights | heads).items() if tensor.requires_grad}
    stream = io.BytesIO()
    torch.save({"step": step, "weights": trained, "optimiser": optimiser.state_dict()}, stream)
    checkpoint.save(CHECKPOINT_NAME, stream.getvalue())


def _resume(checkpoint: Checkpoint, weights: Weights, heads: Weights, optimiser: Any) -> int:
    """Steps that are done already, 0 at the start."""
    data = checkpoint.load(CHECKPOINT_NAME)
    if data is None:
        return 0
    try:
        found = torch.load(io.BytesIO(data), weights_only=True)
        with torch.no_grad():
            for name, tensor in (weights | heads).items():
                if tensor.requires_grad:
                    tensor.copy_(found["weights"][name])
        optimiser.load_state_dict(found["optimiser"])
        return int(found["step"])
    except (RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
        raise HostError(
            f"what was kept of the training in {checkpoint.folder} does not read ({error}); remove it and start again"
        ) from error


def _trained(weights: Weights, heads: Weights, layers: int, scale: float) -> Trained:
    encoder = {name: tensor.detach().numpy().copy() for name, tensor in weights.items()}
    pairs = tuple(
        (
            heads[f"exit{i + 1}.weight"].detach().numpy() * np.float32(scale),
            heads[f"exit{i + 1}.bias"].detach().numpy().copy(),
        )
        for i in range(layers)
    )
    return Trained(encoder, pairs)
