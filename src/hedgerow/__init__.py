"""Neural-network inference that always answers on time, using the device, the network and the cloud together.

The public names, nothing else; each is imported when first used, so that `import hedgerow` is quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hedgerow.core.records import Prices
    from hedgerow.device.answer import Answer
    from hedgerow.device.determinism import Determinism
    from hedgerow.device.session import Session
    from hedgerow.errors import EngineError, HedgerowError, HostError, LinkError, PeerError, UsageError
    from hedgerow.models.task import Task
    from hedgerow.profiling.measure import make_profile
    from hedgerow.profiling.profile import Profile

__version__ = "0.1.0"

_HOMES = {
    "Answer": "device.answer",
    "Determinism": "device.determinism",
    "EngineError": "errors",
    "HedgerowError": "errors",
    "HostError": "errors",
    "LinkError": "errors",
    "PeerError": "errors",
    "Prices": "core.records",
    "Profile": "profiling.profile",
    "Session": "device.session",
    "Task": "models.task",
    "UsageError": "errors",
    "make_profile": "profiling.measure",
}

__all__ = [
    "Answer",
    "Determinism",
    "EngineError",
    "HedgerowError",
    "HostError",
    "LinkError",
    "PeerError",
    "Prices",
    "Profile",
    "Session",
    "Task",
    "UsageError",
    "make_profile",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
