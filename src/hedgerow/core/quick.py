"""Frozen records that are made quickly: a frozen dataclass pays `object.__setattr__` for each field, 1.4 us for eleven of them.

`quicken` gives a class another `__init__`, nothing else: few fields go straight into their slots; many are stored plainly
while the object is of a twin class, of equal slots and not frozen, which costs a third.
"""

from dataclasses import fields
from functools import update_wrapper
from typing import Any

_FEW = 4  # up to here a call a field is less than changing the class twice


def quicken(kind: type) -> None:
    """Let `kind(...)` do the same in less time; `kind` is a frozen, slotted dataclass without a `__post_init__`."""
    names, given = [each.name for each in fields(kind)], kind.__dict__["__init__"]
    stores = [f"put_{name}(self, {name})" for name in names]
    space: dict[str, Any] = {f"put_{name}": getattr(kind, name).__set__ for name in names}
    if len(names) > _FEW:
        stores = ["become(self, twin)", *(f"self.{name} = {name}" for name in names), "self.__class__ = kind"]
        space = {"kind": kind, "twin": type(kind.__name__, (), {"__slots__": tuple(names)})}
        space["become"] = object.__dict__["__class__"].__set__
    exec(f"def made({', '.join(['self', *names])}):\n " + "\n ".join(stores or ["pass"]), space)
    space["made"].__defaults__ = given.__defaults__
    kind.__init__ = update_wrapper(space["made"], given)  # type: ignore[misc]
