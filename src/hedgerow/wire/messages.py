"""What crosses the wire, as Hedgerow's own values, and its translation to and from the generated messages.

The translation checks what it reads: a message that breaks the protocol raises FaultError, never anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from hedgerow.models.tensors import Tensors
from hedgerow.wire.faults import FaultKind, Measure, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import PREFIX_ENDS_MAX

PROTOCOL_VERSION = 2
PREFIX_VERSION = 3
"""Of an opening that says where its payload may be cut, and of no other: a server that knows no such openings refuses this one
clearly, and takes all others. Whether it knows them is in its description, so it is not asked."""
SAMPLE_ID_BYTES = 16
RAW_SAMPLE = -1
"""The joint of a crossing that carries the raw sample: no segment has run."""

Key = tuple[bytes, int]
"""A crossing is known by its sample id and attempt."""

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One request to run segments joint+1..last on what `payload` holds.

    `remaining_ns` counts from the call of `send` until the answer is useless; `stream` says whose frame it is.
    `prefix_ends`: where the payload may be cut (rising, at most PREFIX_ENDS_MAX, none the whole); of what has come
    `prefix_after_ns` after the call, the other side may then compute. None: of the whole alone.
    """

    sample_id: bytes
    attempt: int
    task_id: str
    model: str
    chain_id: str
    joint: int
    last: int
    codec: str
    calibration_id: str
    payload: bytes
    remaining_ns: int
    stream: str = ""
    prefix_ends: tuple[int, ...] = ()
    prefix_after_ns: int = 0

    @property
    def key(self) -> Key:
        """What callbacks and `stop` name it by."""
        return (self.sample_id, self.attempt)


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What came back: the tensors alive after the last segment, and where the other side's time went. `prefix_bytes`: of the
    payload, from which it was computed; 0: all of it."""

    tensors: Tensors
    queue_ns: int
    decode_ns: int
    compute_ns: int
    answer_bytes: int
    segment_ns: tuple[int, ...] = ()
    batch: int = 1
    prefix_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as served. `segments` counts the preparation, so `last` of a whole run is len(segments) - 1."""

    name: str
    model_id: str
    chain_id: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as served."""

    task_id: str
    name: str
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What a server offers. `plain`: it speaks only the Open Inference Protocol, so hashes cannot be compared. `prefixes`: it can
    compute from the first part of a payload."""

    server: str
    version: int
    tasks: tuple[TaskInfo, ...]
    payload_bytes_max: int
    queue_length_max: int
    lanes: int
    calibration_ids: tuple[str, ...] = ()
    plain: bool = False
    prefixes: bool = False

    def model(self, task_id: str, name: str) -> ModelInfo | None:
        """The served model of that task and name, or None."""
        found = (model for task in self.tasks if task.task_id == task_id for model in task.models)
        return next((model for model in found if model.name == name), None)


def parse(message: type[_M], data: bytes) -> _M:
    """Decode one message; FaultError(PEER) when the bytes are none."""
    try:
        return message.FromString(data)
    except DecodeError:
        text = f"{len(data)} bytes that are no {message.DESCRIPTOR.name} message"
        raise refuse(FaultKind.PEER, text, Measure.FORM) from None


def check_version(version: int, known: tuple[int, ...] = (PROTOCOL_VERSION,)) -> None:
    """FaultError(WRONG_VERSION) for another protocol than ours; said by the server."""
    if version not in known:
        text = f"this server speaks protocol {PROTOCOL_VERSION}, the other side {version}"
        raise refuse(FaultKind.WRONG_VERSION, text, Measure.IDENTITY)


def opening(crossing: Crossing, *, remaining_ns: int, session: bytes, sequence: int) -> pb.Open:
    """The opening of a crossing, not yet sealed."""
    return pb.Open(
        version=PREFIX_VERSION if crossing.prefix_ends else PROTOCOL_VERSION,
        task_id=crossing.task_id,
        model=crossing.model,
        chain_id=crossing.chain_id,
        joint=crossing.joint,
        last=crossing.last,
        codec=crossing.codec,
        calibration_id=crossing.calibration_id,
        sample_id=crossing.sample_id,
        remaining_ns=remaining_ns,
        payload_bytes=len(crossing.payload),
        attempt=crossing.attempt,
        stream=crossing.stream,
        session=session,
        sequence=sequence,
        prefix_ends=crossing.prefix_ends,
        prefix_after_ns=max(0, crossing.prefix_after_ns) if crossing.prefix_ends else 0,
    )


def ends_worth(ends: Sequence[int], least: int) -> tuple[int, ...]:
    """Of places at which a payload may be cut, those to offer: the first from `least` bytes on and some behind it, evenly."""
    found = [end for end in ends if end >= least]
    if len(found) <= PREFIX_ENDS_MAX:
        return tuple(found)
    last = len(found) - 1
    return tuple(found[place * last // (PREFIX_ENDS_MAX - 1)] for place in range(PREFIX_ENDS_MAX))


def probe_opening(payload_bytes: int, *, session: bytes, sequence: int) -> pb.Open:
    """The opening of a probe, not yet sealed: its bytes are acknowledged and thrown away."""
    return pb.Open(
        version=PROTOCOL_VERSION, probe=True, payload_bytes=payload_bytes, session=session, sequence=sequence
    )


def describe_message(description: Description) -> pb.DescribeReply:
    """Write a description."""
    tasks = [
        pb.DescribeReply.Task(
            task_id=task.task_id,
            name=task.name,
            models=[
                pb.DescribeReply.Model(
                    name=model.name, model_id=model.model_id, chain_id=model.chain_id, segments=model.segments
                )
                for model in task.models
            ],
        )
        for task in description.tasks
    ]
    return pb.DescribeReply(
        version=description.version,
        server=description.server,
        tasks=tasks,
        payload_bytes_max=description.payload_bytes_max,
        queue_length_max=description.queue_length_max,
        lanes=description.lanes,
        calibration_ids=description.calibration_ids,
        prefixes=description.prefixes,
    )


def description_of(message: pb.DescribeReply) -> Description:
    """Read a description. FaultError(WRONG_VERSION) when the server speaks another protocol."""
    if message.version != PROTOCOL_VERSION:
        raise refuse(
            FaultKind.WRONG_VERSION, f"the server speaks protocol {message.version}, this side {PROTOCOL_VERSION}"
        )
    tasks = tuple(
        TaskInfo(
            task.task_id,
            task.name,
            tuple(
                ModelInfo(model.name, model.model_id, model.chain_id, tuple(model.segments)) for model in task.models
            ),
        )
        for task in message.tasks
    )
    return Description(
        server=message.server,
        version=message.version,
        tasks=tasks,
        payload_bytes_max=message.payload_bytes_max,
        queue_length_max=message.queue_length_max,
        lanes=message.lanes,
        calibration_ids=tuple(message.calibration_ids),
        prefixes=message.prefixes,
    )
