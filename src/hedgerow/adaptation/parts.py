"""Which samples train, which calibrate and which judge: decided by a sample's name alone, so that no run can mix them up."""

import hashlib
from collections.abc import Iterable
from typing import Literal

Part = Literal["train", "calibrate", "judge"]
_TENTHS: tuple[Part, ...] = ("train",) * 4 + ("calibrate",) * 3 + ("judge",) * 3


def part_of(name: str) -> Part:
    """The part of the sample called `name` (a file's stem, or any text that stays with it): 40, 30 and 30 % of many."""
    return _TENTHS[int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 10]


def named(names: Iterable[str], *parts: Part) -> list[str]:
    """Those of `names` that are in one of these parts, in their order."""
    return [name for name in names if part_of(name) in parts]
