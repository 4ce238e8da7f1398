"""A Gymnasium environment over the simulator: an episode is a world, a step is one request decided by the real core.

    pip install 'hedgerow[rl]'
    environment = HedgerowEnv(Worlds(courses))

Observation  (SLOTS, WIDTH) float32: of each slot whether it holds an arm that may be chosen, then `learned_features`' figures.
Action       a slot. One that holds no arm is read as the first that does (mask such slots in the policy: column 0 tells).
Reward       minus what was spent since the last decision, over what a request costs on the device alone.
Info         `decisions` until now; at the end `cost`, the episode's mean cost of a request in the same unit.

The one file that imports Gymnasium; worlds come in the order of their numbers, from `options={"world": n}` or a drawn one on.
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from hedgerow.core.policies.learned_features import SLOTS
from hedgerow.errors import UsageError
from hedgerow.simulation.learning.episode import WIDTH, Episode
from hedgerow.simulation.learning.worlds import Worlds

LOW, HIGH = -16.0, 16.0
Observation = NDArray[np.float32]


class HedgerowEnv(gymnasium.Env[Observation, np.int64]):
    """See the module. `reset(seed=...)` draws the world by that seed; without one the next world follows."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, worlds: Worlds, *, first: int = 0, every: int = 1) -> None:
        self.observation_space = gymnasium.spaces.Box(LOW, HIGH, (SLOTS, WIDTH), np.float32)
        self.action_space = gymnasium.spaces.Discrete(SLOTS)
        self._worlds, self._next, self._every = worlds, first, every
        self._episode: Episode | None = None
        self._base_mj = 1.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.close()
        if options and "world" in options:
            self._next = int(options["world"])
        elif seed is not None:
            self._next = int(self.np_random.integers(1 << 30))
        while True:  # a world in which nothing may be chosen teaches nothing
            world = self._worlds.world(self._next)
            self._next += self._every
            self._base_mj = world.base_mj
            self._episode = Episode(world.setup, world.prices[0], self._base_mj)
            if self._episode.seen is not None:
                return self._observation(), {"decisions": 0}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        episode = self._episode
        if episode is None or episode.seen is None:
            raise UsageError("this episode is over: call reset")
        slot = int(action) if int(action) < len(episode.seen.columns) else 0
        reward = episode.act(slot)
        over = episode.seen is None
        info: dict[str, Any] = {"decisions": episode.decisions}
        if over:
            info["cost"] = episode.spent_mj / self._base_mj / max(1, episode.decisions)
        return self._observation(), reward, over, False, info

    def close(self) -> None:
        if self._episode is not None:
            self._episode.leave()
        self._episode = None

    def _observation(self) -> Observation:
        found = None if self._episode is None else self._episode.observation
        if found is None:
            return np.zeros((SLOTS, WIDTH), np.float32)
        return np.clip(found, LOW, HIGH).astype(np.float32)
