"""Measures a task's models, codecs and server on this machine; what it finds is the profile that plans are made from.

The names below are imported when first used, so that who only reads a profile does not wait for ONNX Runtime.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hedgerow.profiling.measure import make_profile
    from hedgerow.profiling.profile import Profile
    from hedgerow.profiling.samples import quick_frames, read_folder

_HOMES = {"Profile": "profile", "make_profile": "measure", "quick_frames": "samples", "read_folder": "samples"}

__all__ = ["Profile", "make_profile", "quick_frames", "read_folder"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
