"""The learned policy's network in PyTorch, and as an actor for Stable-Baselines3; `exported` makes the NumPy one that is shipped.

One network scores every slot from the slot's own figures and the shared ones, so slots may stand in any order. The actor takes an
arm with probability softmax(-sharpness * score); the shipped policy takes the least score. The critic is for training only.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from hedgerow.core.policies.learned import CORRECTION_MAX, Network
from hedgerow.core.policies.learned_features import OWN, SHARED, SLOTS
from hedgerow.simulation.learning.episode import WIDTH

HIDDEN: Final = 32
WARM_LIMIT: Final = 2.0
SHARPNESS: Final = 30.0  # arms that differ by a thirtieth of the local cost are taken e times as often
NEVER: Final = -1e8
_FIRST_SHARED: Final = 1 + len(OWN)


class ArmNetwork(nn.Module):
    """Scores, in local costs: the expected cost plus a correction. Begins with a correction of zero, as `ours` decides.

    `limit`: of the correction; the actor has the shipped policy's, the warm-up a wider one, within which gradients do not vanish.
    """

    def __init__(self, hidden: int = HIDDEN, limit: float = CORRECTION_MAX) -> None:
        super().__init__()
        self.limit = limit
        self.own = nn.Linear(len(OWN), hidden)
        self.shared = nn.Linear(len(SHARED), hidden, bias=False)
        self.hidden = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """(rows, SLOTS, WIDTH) to (rows, SLOTS)."""
        own, shared = seen[..., 1:_FIRST_SHARED], seen[:, :1, _FIRST_SHARED:]
        layer = torch.relu(self.own(own) + self.shared(shared))
        correction = self.last(torch.relu(self.hidden(layer))).squeeze(-1)
        return own[..., 0] + torch.clamp(correction, -self.limit, self.limit)


def exported(network: ArmNetwork) -> Network:
    """The same in NumPy."""

    def array(parameter: torch.Tensor) -> Any:
        return np.ascontiguousarray(parameter.detach().cpu().numpy().T.astype(np.float64))

    return Network(
        own=array(network.own.weight),
        shared=array(network.shared.weight),
        first_bias=array(network.own.bias),
        hidden=array(network.hidden.weight),
        hidden_bias=array(network.hidden.bias),
        last=array(network.last.weight).reshape(-1),
    )


def logits(score: torch.Tensor, seen: torch.Tensor, sharpness: torch.Tensor | float = SHARPNESS) -> torch.Tensor:
    """(rows, SLOTS): empty slots are never taken."""
    return torch.where(seen[..., 0] > 0.5, -score * sharpness, torch.full_like(score, NEVER))


class _Halves(nn.Module):
    """What Stable-Baselines3 calls an extractor: the actor's logits and the critic's features."""

    latent_dim_pi, latent_dim_vf = SLOTS, 64

    def __init__(self) -> None:
        super().__init__()
        self.arms = ArmNetwork()
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.each = nn.Sequential(nn.Linear(WIDTH - 1, 64), nn.ReLU())
        self.all = nn.Sequential(nn.Linear(128, 64), nn.ReLU())

    def forward(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(flat), self.forward_critic(flat)

    def forward_actor(self, flat: torch.Tensor) -> torch.Tensor:
        seen = flat.reshape(-1, SLOTS, WIDTH)
        return logits(self.arms(seen), seen, torch.exp(self.log_sharpness))

    def forward_critic(self, flat: torch.Tensor) -> torch.Tensor:
        seen = flat.reshape(-1, SLOTS, WIDTH)
        there = seen[..., :1]
        each = self.each(seen[..., 1:]) * there
        mean = each.sum(1) / there.sum(1).clamp(min=1.0)
        found: torch.Tensor = self.all(torch.cat((mean, each.amax(1)), 1))
        return found


class SlotPolicy(ActorCriticPolicy):
    """PPO's actor and critic over slots."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{**named, "ortho_init": False})

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Halves()

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()  # the extractor's logits are the actor's
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    @property
    def arms(self) -> ArmNetwork:
        """The part that is shipped."""
        found: ArmNetwork = self.mlp_extractor.arms
        return found

    def actor_parameters(self) -> list[nn.Parameter]:
        """What decides, without what only judges."""
        return [*self.arms.parameters(), self.mlp_extractor.log_sharpness]
