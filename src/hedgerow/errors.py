"""The tree of errors, typed by who is at fault.

    HedgerowError
    ├── UsageError    the caller: a wrong name, shape, dtype, option, file; raised before anything is admitted
    ├── PeerError     the other side: bytes that do not decode, a wrong hash, a wrong cut, a version we do not speak
    ├── LinkError     the network: refused, reset, timed out
    ├── EngineError   the model or its runtime: a graph that does not load, an operator that fails
    └── HostError     this machine: disk full, port in use, no permission, a missing extra
        └── GuardLost the guard's process is gone or gives no sign
            └── GuardFull it lives, and lets nobody in any more

A message is one line: what is wrong, whose fault it is, what to do about it. Each class carries the exit code with
which the command line ends when the error reaches it (0 is success, 1 means that a check ran and found something wrong).
"""

from typing import ClassVar


class HedgerowError(Exception):
    """Any error that Hedgerow raises on purpose."""

    exit_code: ClassVar[int] = 1
    at_fault: ClassVar[str] = "hedgerow"


class UsageError(HedgerowError):
    """The caller is at fault: raised before admission, nothing was done."""

    exit_code = 2
    at_fault = "input"


class PeerError(HedgerowError):
    """The other side is at fault: it sent something that cannot be right."""

    exit_code = 3
    at_fault = "peer"


class LinkError(HedgerowError):
    """The network is at fault: the other side cannot be reached in time."""

    exit_code = 4
    at_fault = "network"


class EngineError(HedgerowError):
    """The model or its runtime is at fault."""

    exit_code = 5
    at_fault = "model"


class HostError(HedgerowError):
    """This machine is at fault: disk, port, permission, a package that is not installed."""

    exit_code = 6
    at_fault = "this machine"


class GuardLost(HostError):
    """The guard is gone, or gives no sign: the session goes on without it, the consumer acts as if no answer comes."""


class GuardFull(GuardLost):
    """The guard lives and has as many peers as it may; for who stands outside it is as good as lost."""
