"""Named random streams from one seed: adding a device, a link or a fault never changes another's draws.

Each name has its own generator, `numpy.random.SeedSequence(seed, spawn_key=words of the name's BLAKE2b)`: the streams of two
names are independent as two spawned ones are (O'Neill's mixing as documented by NumPy, NEP 19).
"""

from hashlib import blake2b

import numpy as np

from hedgerow.errors import UsageError


class Draws:
    """Generators by name. `within` gives those of one part of the world: `Draws(1).within("device/3").generator("lane")`."""

    def __init__(self, seed: int, prefix: str = "") -> None:
        if seed < 0:
            raise UsageError(f"a seed of {seed} cannot be: give 0 or more")
        self.seed, self.prefix = seed, prefix

    def generator(self, name: str) -> np.random.Generator:
        """A fresh generator for this name; asked twice, it begins anew with the same numbers."""
        digest = blake2b(f"{self.prefix}{name}".encode(), digest_size=16).digest()
        words = tuple(int.from_bytes(digest[place : place + 4], "little") for place in range(0, 16, 4))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=words)))

    def within(self, part: str) -> "Draws":
        """The same seed, with names that begin with this part's."""
        return Draws(self.seed, f"{self.prefix}{part}/")
