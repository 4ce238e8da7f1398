"""Tensors to bytes and back. Rules: a payload names its codec and carries a checksum; decoding checks every declared
size against the limits before it allocates; bytes that cannot be right are a PeerError, never a crash."""

from hedgerow.codecs.base import Codec, CodecLimits, Kind, Partial, Progressive, prefix_ends, progressive
from hedgerow.codecs.calibration import Calibration, calibrate
from hedgerow.codecs.envelope import Contents, Item, unseal
from hedgerow.codecs.registry import Family, families, get, names, register

__all__ = [
    "Calibration",
    "Codec",
    "CodecLimits",
    "Contents",
    "Family",
    "Item",
    "Kind",
    "Partial",
    "Progressive",
    "calibrate",
    "families",
    "get",
    "names",
    "prefix_ends",
    "progressive",
    "register",
    "unseal",
]
