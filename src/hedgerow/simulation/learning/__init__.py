"""How the `learned` policy is made: worlds to learn in, one request at a time, reinforcement learning, export, and the judge.

Nothing here is needed to use the policy: its network is NumPy and travels in `core/policies/learned_weights.py`.
`training.py` and `environment.py` need the extra `rl` (Gymnasium, Stable-Baselines3, PyTorch); the others do not.
"""
