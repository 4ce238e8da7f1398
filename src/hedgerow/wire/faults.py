"""Why a crossing ended without an answer, as data; the same value travels on the wire, in callbacks and in errors.

A kind says who is at fault: LINK and CORRUPT are the network; everything else was said by the other side or about what it
said. A measure, where there is one, says what detected an error of the channel.
"""

from dataclasses import dataclass
from enum import Enum

from hedgerow.errors import HedgerowError, LinkError, PeerError


class Measure(Enum):
    """What detected an error of the channel; hedgerow.wire.seal says which measure is for which error."""

    SEQUENCE = "sequence"  # numbers that must rise or follow each other: crossings, attempts, bytes, acknowledgements
    TIME_OF_LIFE = "time_of_life"  # it came, or stayed away, after its time was up
    CHECKSUM = "checksum"  # the digest of identity and content differs
    IDENTITY = "identity"  # of another session, stream, sample, model, segment or protocol
    FORM = "form"  # bytes that are no message, or one that no rule allows here


class FaultKind(Enum):
    """The value is what travels; an unknown one is read as PEER."""

    WRONG_VERSION = "wrong_version"  # protocols differ
    WRONG_TASK = "wrong_task"
    WRONG_MODEL = "wrong_model"  # no such model, or another hash
    WRONG_CUT = "wrong_cut"  # no such joint or segment
    WRONG_CODEC = "wrong_codec"  # no such codec or calibration
    BAD_PAYLOAD = "bad_payload"  # bytes that do not decode, or not to what the cut needs
    TOO_LARGE = "too_large"  # beyond a limit
    OVERLOADED = "overloaded"  # a queue is full, or those before it leave no time
    TOO_LATE = "too_late"  # its time cannot be met, or is up
    CANCELLED = "cancelled"  # stopped by the sender
    CLOSING = "closing"  # the other side shuts down
    ENGINE = "engine"  # the model failed on these inputs
    PEER = "peer"  # the other side broke the protocol
    CORRUPT = "corrupt"  # what came is not what was sent, or not for whom it came: the channel's fault
    LINK = "link"  # refused, reset, lost


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in one line."""

    kind: FaultKind
    message: str
    measure: Measure | None = None

    @classmethod
    def of_wire(cls, kind: str, message: str, measure: str = "") -> "Fault":
        """Read a fault that the other side sent; one of an unknown kind was detected by its FORM."""
        known = next((each for each in Measure if each.value == measure), None)
        try:
            return cls(FaultKind(kind), message, known)
        except ValueError:
            return cls(FaultKind.PEER, f"{message} (unknown fault kind '{kind[:40]}')", known or Measure.FORM)

    def error(self) -> HedgerowError:
        """The error to raise for it: LinkError when the network is at fault, else FaultError."""
        if self.kind is FaultKind.LINK:
            return LinkError(self.message)
        return FaultError(self)


class FaultError(PeerError):
    """A fault as an exception; `fault` says which."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.kind.value.replace('_', ' ')}: {fault.message}")
        self.fault = fault


def refuse(kind: FaultKind, message: str, measure: Measure | None = None) -> FaultError:
    """The error to raise where a request cannot go on; whoever serves the request sends its fault. `measure`, where one
    detected it, is named in the message too."""
    return FaultError(Fault(kind, message if measure is None else f"{measure.value}: {message}", measure))


def reject(measure: Measure, message: str) -> FaultError:
    """The error for what the channel did to a message."""
    return refuse(FaultKind.CORRUPT, message, measure)
