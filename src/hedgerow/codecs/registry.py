"""The codecs by name. A codec is added by dropping one file into this package that calls `register`; nothing is listed.

A spec text is `family[:argument[,argument]]`: "raw", "jpeg:75", "q4:channel". Each family turns its arguments into a
codec and says which specs it offers; an unknown spec is the caller's mistake and is answered with all that are known.
"""

import importlib
import pkgutil
import threading
from collections.abc import Callable
from dataclasses import dataclass

import hedgerow.codecs
from hedgerow.codecs.base import Codec
from hedgerow.codecs.calibration import Calibration
from hedgerow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Family:
    """One family of codecs. `usage` shows its grammar, `specs` are full names of its usual members.

    `build` gets the arguments of the spec text and a calibration or None; it returns None for arguments that it does
    not know, and raises UsageError for a calibration that does not belong to them.
    """

    name: str
    usage: str
    specs: tuple[str, ...]
    build: Callable[[tuple[str, ...], Calibration | None], Codec | None]


_families: dict[str, Family] = {}
_lock = threading.RLock()
_discovered = False


def register(family: Family) -> None:
    """Make a family known; UsageError where another one has its name."""
    with _lock:
        if _families.get(family.name, family) != family:
            raise UsageError(f"codec family '{family.name}' is registered twice; rename one of them")
        _families[family.name] = family


def families() -> tuple[Family, ...]:
    """Every family, sorted by name."""
    _discover()
    return tuple(_families[name] for name in sorted(_families))


def names() -> tuple[str, ...]:
    """The usual specs of every family, each good for `get`."""
    return tuple(spec for family in families() for spec in family.specs)


def get(spec: str, *, calibration: Calibration | None = None) -> Codec:
    """The codec that `spec` names; UsageError for an unknown one or a calibration that was not made for it."""
    _discover()
    name, colon, rest = spec.partition(":")
    arguments = tuple(rest.split(",")) if colon else ()
    family = _families.get(name)
    codec = family.build(arguments, calibration) if family else None
    if codec is None:
        usages = ", ".join(each.usage for each in families())
        raise UsageError(f"unknown codec '{spec}'; known are {usages}")
    if calibration is not None and codec.calibration_id != calibration.id:
        raise UsageError(f"codec '{codec.name}' takes no calibration; leave it out")
    return codec


def _discover() -> None:
    """Import every module of the package once, so that each registers what it holds."""
    global _discovered
    with _lock:
        if not _discovered:
            for module in pkgutil.iter_modules(hedgerow.codecs.__path__):
                importlib.import_module(f"hedgerow.codecs.{module.name}")
            _discovered = True
