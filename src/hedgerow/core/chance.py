"""Chance that replays: numbers that look random, yet are a function of the session's seed and of what they are for.

Core has no randomness of its own. The shell gives it a secret seed in `Limits`, the journal keeps that, and a replay draws
the same. BLAKE2b (RFC 7693), so nobody who sees what was drawn before can foretell the next without the seed.
"""

from hashlib import blake2b
from typing import Final

RANGE: Final = 1 << 32


def draw(seed: int, *purpose: str | int) -> int:
    """0 .. RANGE - 1, spread evenly over purposes."""
    return int.from_bytes(blake2b(repr((seed, *purpose)).encode(), digest_size=4).digest(), "big")
