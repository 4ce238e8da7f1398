"""The network's first lessons: by supervision, from what every arm would have cost (`counterfactual.py`).

Loss: the expected cost of taking arms by softmax(-sharpness * score), which is what reinforcement minimises too but known for
every arm at once, plus a share of how far the scores are from the costs. The epoch that does best on the validation rows counts.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from hedgerow.simulation.learning.counterfactual import Rows
from hedgerow.simulation.learning.network import ArmNetwork, logits

EPOCHS: Final = 6
BATCH: Final = 512
RATE: Final = 2e-3
_FIT_SHARE: Final = 0.3


def warm(
    network: ArmNetwork, rows: Rows, validation: Rows, *, seed: int, tell: Callable[[str], None], epochs: int = EPOCHS
) -> float:
    """Train in place; the best validation cost, in local costs."""
    generator = torch.Generator().manual_seed(seed)
    seen, cost, known = _tensors(rows)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, weight_decay=1e-5)
    steps = epochs * -(-len(seen) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    before = best = judged(network, validation)
    kept = {name: each.clone() for name, each in network.state_dict().items()}
    for _ in range(epochs):
        for batch in torch.randperm(len(seen), generator=generator).split(BATCH):
            loss = _loss(network, seen[batch], cost[batch], known[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        now = judged(network, validation)
        if now < best:
            best, kept = now, {name: each.clone() for name, each in network.state_dict().items()}
    network.load_state_dict(kept)
    figures = f"{before:.4f} before, {best:.4f} after, {foresight(validation):.4f} with foresight"
    tell(f"{len(seen)} rows; of the local cost on {len(validation.cost)} validation rows: {figures}")
    return best


def _tensors(rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    known = np.isfinite(rows.cost)
    some = known.any(axis=1)
    cost = np.nan_to_num(rows.cost[some], nan=0.0)
    return torch.from_numpy(rows.seen[some]), torch.from_numpy(cost), torch.from_numpy(known[some])


def _loss(network: ArmNetwork, seen: torch.Tensor, cost: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    score = network(seen)
    allowed = torch.cat((known[..., None].to(seen.dtype), seen[..., 1:]), -1)
    taken = torch.softmax(logits(score, allowed), -1)
    fit = torch.nn.functional.huber_loss(score, cost, reduction="none", delta=0.5) * known
    return (taken * cost).sum(-1).mean() + _FIT_SHARE * fit.sum() / known.sum()


def judged(network: ArmNetwork, rows: Rows) -> float:
    """Mean realised cost of the least scores."""
    seen, cost, known = _tensors(rows)
    with torch.no_grad():
        score = torch.where(known, network(seen), torch.inf)
    return float(cost.gather(1, score.argmin(1, keepdim=True)).mean())


def foresight(rows: Rows) -> float:
    """Mean cost of the arm that was best."""
    known = rows.cost[np.isfinite(rows.cost).any(axis=1)]
    return float(np.nanmin(known, axis=1).mean())
