"""What a codec is: the protocol that all of them keep, and the limits under which the other side's bytes are read.

A codec turns the tensors of one crossing into one payload and back. Encoding reads our own tensors, so it blames the
caller (`UsageError`); decoding reads what the other side sent, so whatever is wrong there is a `PeerError` and nothing
else. Codecs hold no state that changes: one codec may be used by many threads at once.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from hedgerow.errors import UsageError
from hedgerow.models.tensors import Tensors, TensorSpec

WORKING_FACTOR = 4  # of the bytes of the decoded tensors

Kind: TypeAlias = Literal["input", "features", "any"]


@dataclass(frozen=True, slots=True)
class CodecLimits:
    """What a payload may make this side hold; checked against the payload's header before anything is allocated.

    `tensor_bytes_max` counts all the tensors of one payload together. No single allocation goes beyond it, and all of
    them together, working memory included, stay below `working_bytes_max`.
    """

    payload_bytes_max: int = 16 * 2**20
    tensor_bytes_max: int = 64 * 2**20
    tensors_max: int = 16
    dimensions_max: int = 8
    pixels_max: int = 40_000_000

    def __post_init__(self) -> None:
        for name in ("payload_bytes_max", "tensor_bytes_max", "tensors_max", "dimensions_max", "pixels_max"):
            if getattr(self, name) < 1:
                raise UsageError(f"codec limit {name} must be at least 1, not {getattr(self, name)}")

    @property
    def working_bytes_max(self) -> int:
        """The most that one decode call holds at a time: its result, working memory, copies of parts of the payload."""
        return WORKING_FACTOR * self.tensor_bytes_max + 2 * self.payload_bytes_max


class Codec(Protocol):
    """Tensors to bytes and back.

    `name` is the full spec text (`get(codec.name)` gives an equal codec), `loss` one sentence saying what does not come
    back, `kind` what it is made for, `calibration_id` 16 hexadecimal digits, or empty where ranges travel.
    """

    @property
    def name(self) -> str: ...
    @property
    def loss(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def calibration_id(self) -> str: ...

    def encode(self, tensors: Tensors) -> bytes:
        """One payload holding all of `tensors`, in their order; UsageError for what this codec cannot carry."""
        ...

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        """The tensors of `payload`, owned and writable; PeerError unless whole, within `limits` and as `expected`."""
        ...


@dataclass(frozen=True, slots=True)
class Partial:
    """What a prefix gave: the tensors, and how many of the layers were there."""

    tensors: Tensors
    layers: int
    layers_all: int


@runtime_checkable
class Progressive(Protocol):
    """What a codec offers besides if its payloads may be read from their first part: `progressive` says whether this one's may."""

    @property
    def name(self) -> str: ...

    @property
    def progressive(self) -> bool: ...

    def prefix_ends(self, payload: bytes | memoryview) -> tuple[int, ...]:
        """Where a payload of its own may be cut: after each layer but the last, rising; none where it is all or nothing."""
        ...

    def decode_prefix(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...]
    ) -> Partial | None:
        """The tensors as far as the first bytes of a payload tell them, None where they tell nothing yet; PeerError for what
        cannot be a prefix."""
        ...


def prefix_ends(codec: Codec, payload: bytes | memoryview) -> tuple[int, ...]:
    """Where this codec's payload may be cut; none for a codec that needs all of it."""
    found = progressive(codec)
    return found.prefix_ends(payload) if found else ()


def progressive(codec: Codec) -> Progressive | None:
    """The codec, if its payloads may be read from their first part."""
    return codec if isinstance(codec, Progressive) and codec.progressive else None
