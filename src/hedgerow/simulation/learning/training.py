"""Train the learned policy anew: `python -m hedgerow.simulation.learning.training --links DIR --work DIR --out FILE`.

    pip install 'hedgerow[rl]'      # Gymnasium, Stable-Baselines3, PyTorch

Four stages, each kept in the work folder, so that a run that was stopped goes on where it was (the same command again):

1. costs  what every arm would have cost in drawn worlds (`counterfactual.py`);
2. warm   the network learns from these by supervision (`warming.py`), in rounds: each adds what it came to see by its own choices;
3. ppo    reinforcement: Stable-Baselines3's PPO in the Gymnasium environment, in blocks; first only its critic learns;
4. export the network of the reinforced block that cost least on the validation drives, as NumPy weights.

Rules: of the drives that may be trained on, each fifth is for validation alone; nothing is overwritten without --force; one seed,
one thread, and every block draws afresh from (seed, block), so a run that was stopped ends with the same weights.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from hedgerow.core.policies import Policy, by_name
from hedgerow.core.policies.learned import Learned
from hedgerow.core.policies.learned_features import OWN
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.simulation.learning.counterfactual import Rows, Singles, join, realised, rows_of
from hedgerow.simulation.learning.environment import HedgerowEnv
from hedgerow.simulation.learning.network import WARM_LIMIT, ArmNetwork, SlotPolicy, exported
from hedgerow.simulation.learning.warming import warm
from hedgerow.simulation.learning.weights import module_text
from hedgerow.simulation.learning.worlds import Worlds, drives
from hedgerow.simulation.world import run

VALIDATION_EVERY: Final = 5
COST_WORLDS, COST_WORLDS_VALIDATION, ROUNDS = 48, 12, 3
ENVIRONMENTS, STEPS = 8, 256  # a rollout is 2048 decisions
BLOCKS, BLOCK_ROLLOUTS, CRITIC_BLOCKS = 5, 4, 1
SETTINGS: Final[dict[str, Any]] = {
    "batch_size": 512,
    "n_epochs": 4,
    "learning_rate": 5e-5,
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "clip_range": 0.1,
    "target_kl": 0.005,
    "max_grad_norm": 0.5,
    "device": "cpu",
}
JUDGED_WORLDS: Final = 16
FIRST_ENVIRONMENT_WORLD: Final = 1_000_000  # far from the numbers of the worlds whose costs are known


class Training:
    """All stages over one work folder."""

    def __init__(self, links: Path, work: Path, seed: int, *, small: bool = False) -> None:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        courses, _ = drives(links)
        ours = [course for place, course in enumerate(courses) if (place + 1) % VALIDATION_EVERY]
        self.work, self.seed = work, seed
        self._worlds = Worlds(ours, seed=seed)
        self._validation = Worlds(courses[VALIDATION_EVERY - 1 :: VALIDATION_EVERY], seed=seed + 1)
        self._scale = 10 if small else 1
        self._began = time.monotonic()
        work.mkdir(parents=True, exist_ok=True)
        self._check_settings()

    def _check_settings(self) -> None:
        """A work folder belongs to one set of settings."""
        mine = {"seed": self.seed, "scale": self._scale, "figures": len(OWN)}
        path = self.work / "settings.json"
        if path.exists() and json.loads(path.read_text()) != mine:
            raise UsageError(f"{self.work} holds a run with other settings: give another --work, or remove it")
        path.write_text(json.dumps(mine))

    def run(self) -> str:
        """Everything that is still to be done; the text of the weights."""
        network = self._warmed()
        self._tell(f"least expected cost: {self._cost(by_name('ours')):.4f} of the device's cost on validation links")
        costs = self._reinforced(network)
        best = min(list(costs)[CRITIC_BLOCKS:], key=lambda block: costs[block])  # those in which the actor learned
        self._tell(f"kept: {best} at {costs[best]:.4f} of the device's cost on validation links")
        return exported(self._loaded(best)).text()

    # ------------------------------------------------------------------------------------------------------------- 1 and 2

    def _warmed(self) -> ArmNetwork:
        path = self.work / "warm.pt"
        torch.manual_seed(self.seed)
        network = ArmNetwork(limit=WARM_LIMIT)
        if not path.exists():
            self._warm(network, path)
        network.load_state_dict(torch.load(path, weights_only=True))
        return network

    def _warm(self, network: ArmNetwork, path: Path) -> None:
        """Round 0 sees what `ours` comes to see, each later one what the network itself does; the best round is kept."""
        costs = self._costs("training", self._worlds, COST_WORLDS // self._scale)
        unseen = self._costs("validation", self._validation, COST_WORLDS_VALIDATION // self._scale)
        guide: Policy = by_name("ours")
        parts: list[Rows] = []
        checks: list[Rows] = []
        best = math.inf
        for number in range(ROUNDS + 1):
            share = range(3) if number == 0 else range((number - 1) % 3, (number - 1) % 3 + 1)
            seed = self.seed + number
            parts += [rows_of(self._worlds.world(n), n, cost, guide, seed=seed, places=share) for n, cost in costs]
            checks += [
                rows_of(self._validation.world(n), n, cost, guide, seed=seed, places=share) for n, cost in unseen
            ]
            warm(network, join(parts), join(checks), seed=seed, tell=self._tell)
            now = self.cost(network)
            self._tell(f"round {number}: {now:.4f} of the device's cost on validation links")
            if now < best:
                best = now
                torch.save(network.state_dict(), path.with_suffix(".part"))
            guide = Learned(network=exported(network))
        path.with_suffix(".part").rename(path)

    def _costs(self, name: str, worlds: Worlds, count: int) -> list[tuple[int, Singles]]:
        """(number, costs) of worlds 0 to `count`; each is kept."""
        found = []
        for number in range(count):
            path = self.work / f"{name}-{number:04d}.npy"
            if not path.exists():
                with path.with_suffix(".part").open("wb") as file:
                    np.save(file, realised(worlds.world(number)))
                path.with_suffix(".part").rename(path)
                self._tell(f"costs for {name}: {number + 1} of {count} worlds")
            found.append((number, np.load(path)))
        return found

    # ------------------------------------------------------------------------------------------------------------------- 3

    def _reinforced(self, network: ArmNetwork) -> dict[str, float]:
        """Validation cost by block; each block's model is kept."""
        path = self.work / "blocks.json"
        costs: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        for block in range(BLOCKS // (self._scale // 4 + 1)):
            name = f"ppo-{block:02d}"
            if name in costs:
                continue
            model = self._model(block, network)
            model.learn(BLOCK_ROLLOUTS * STEPS * ENVIRONMENTS // self._scale, reset_num_timesteps=True)
            model.save(self.work / name)
            model.get_env().close()
            costs[name] = self.cost(model.policy.arms)
            path.write_text(json.dumps(costs))
            self._tell(f"{name}: {costs[name]:.4f} of the device's cost on validation links")
        return costs

    def _model(self, block: int, network: ArmNetwork) -> Any:
        first = FIRST_ENVIRONMENT_WORLD + 10_000 * block
        environment = DummyVecEnv(
            [
                lambda place=place: HedgerowEnv(self._worlds, first=first + place, every=ENVIRONMENTS)  # type: ignore[misc]
                for place in range(ENVIRONMENTS)
            ]
        )
        seed = self.seed + 1000 * (block + 1)
        settings = dict(SETTINGS, n_steps=STEPS // min(self._scale, 4))
        if block == 0:
            model = PPO(SlotPolicy, environment, seed=None, **settings)
            model.policy.arms.load_state_dict(network.state_dict())
        else:
            model = PPO.load(self.work / f"ppo-{block - 1:02d}", env=environment, device="cpu")
        model.set_random_seed(seed)
        environment.seed(None)  # worlds come by number, not by Gymnasium's seed
        for parameter in model.policy.actor_parameters():
            parameter.requires_grad_(block >= CRITIC_BLOCKS)
        return model

    def cost(self, network: ArmNetwork) -> float:
        """Mean cost of a request on the validation drives, over the device's, deciding by the least score."""
        return self._cost(Learned(network=exported(network)))

    def _cost(self, policy: Policy) -> float:
        total = []
        for number in range(JUDGED_WORLDS // min(self._scale, 4)):
            world = self._validation.world(number)
            for prices in world.prices[:2]:
                cost = run(world.setup, policy, prices).cost_mj(prices, world.setup.table).mean()
                total.append(cost / world.base_mj)
        return float(np.mean(total))

    def _loaded(self, name: str) -> ArmNetwork:
        found: ArmNetwork = PPO.load(self.work / name, device="cpu").policy.arms
        return found

    def _tell(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.0f} s] {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--links", type=Path, required=True, help="folder of cellular drives (CSV); Wi-Fi ones are ignored"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for what is between the stages")
    parser.add_argument("--out", type=Path, required=True, help="the Python module of weights to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a tenth of everything: to try the script")
    parser.add_argument("--force", action="store_true", help="overwrite --out")
    given = parser.parse_args(arguments)
    try:
        if given.out.exists() and not given.force:
            raise UsageError(f"{given.out} exists: give --force to overwrite it, or another --out")
        weights = Training(given.links, given.work, given.seed, small=given.small).run()
        given.out.write_text(module_text(weights), encoding="utf-8")
    except HedgerowError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {given.work}", file=sys.stderr)
        return 130
    print(f"wrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
