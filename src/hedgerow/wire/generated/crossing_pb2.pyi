from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Up(_message.Message):
    __slots__ = ("open", "chunk")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    open: Open
    chunk: Chunk
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("version", "probe", "task_id", "model", "chain_id", "joint", "last", "codec", "calibration_id", "sample_id", "remaining_ns", "payload_bytes", "attempt", "stream", "session", "sequence", "content", "seal", "prefix_ends", "prefix_contents", "prefix_after_ns")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    JOINT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_ENDS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_CONTENTS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_AFTER_NS_FIELD_NUMBER: _ClassVar[int]
    version: int
    probe: bool
    task_id: str
    model: str
    chain_id: str
    joint: int
    last: int
    codec: str
    calibration_id: str
    sample_id: bytes
    remaining_ns: int
    payload_bytes: int
    attempt: int
    stream: str
    session: bytes
    sequence: int
    content: bytes
    seal: bytes
    prefix_ends: _containers.RepeatedScalarFieldContainer[int]
    prefix_contents: _containers.RepeatedScalarFieldContainer[bytes]
    prefix_after_ns: int
    def __init__(self, version: _Optional[int] = ..., probe: _Optional[bool] = ..., task_id: _Optional[str] = ..., model: _Optional[str] = ..., chain_id: _Optional[str] = ..., joint: _Optional[int] = ..., last: _Optional[int] = ..., codec: _Optional[str] = ..., calibration_id: _Optional[str] = ..., sample_id: _Optional[bytes] = ..., remaining_ns: _Optional[int] = ..., payload_bytes: _Optional[int] = ..., attempt: _Optional[int] = ..., stream: _Optional[str] = ..., session: _Optional[bytes] = ..., sequence: _Optional[int] = ..., content: _Optional[bytes] = ..., seal: _Optional[bytes] = ..., prefix_ends: _Optional[_Iterable[int]] = ..., prefix_contents: _Optional[_Iterable[bytes]] = ..., prefix_after_ns: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Down(_message.Message):
    __slots__ = ("ack", "answer", "fault")
    ACK_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    ack: Ack
    answer: Answer
    fault: Fault
    def __init__(self, ack: _Optional[_Union[Ack, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("bytes_received", "seal")
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    bytes_received: int
    seal: bytes
    def __init__(self, bytes_received: _Optional[int] = ..., seal: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("sample_id", "last", "payload", "queue_ns", "decode_ns", "compute_ns", "segment_ns", "batch", "attempt", "stream", "session", "sequence", "model", "seal", "prefix_bytes")
    SAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NS_FIELD_NUMBER: _ClassVar[int]
    DECODE_NS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_NS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_NS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_BYTES_FIELD_NUMBER: _ClassVar[int]
    sample_id: bytes
    last: int
    payload: bytes
    queue_ns: int
    decode_ns: int
    compute_ns: int
    segment_ns: _containers.RepeatedScalarFieldContainer[int]
    batch: int
    attempt: int
    stream: str
    session: bytes
    sequence: int
    model: str
    seal: bytes
    prefix_bytes: int
    def __init__(self, sample_id: _Optional[bytes] = ..., last: _Optional[int] = ..., payload: _Optional[bytes] = ..., queue_ns: _Optional[int] = ..., decode_ns: _Optional[int] = ..., compute_ns: _Optional[int] = ..., segment_ns: _Optional[_Iterable[int]] = ..., batch: _Optional[int] = ..., attempt: _Optional[int] = ..., stream: _Optional[str] = ..., session: _Optional[bytes] = ..., sequence: _Optional[int] = ..., model: _Optional[str] = ..., seal: _Optional[bytes] = ..., prefix_bytes: _Optional[int] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("kind", "message", "measure")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    measure: str
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., measure: _Optional[str] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ("version", "server", "tasks", "payload_bytes_max", "queue_length_max", "lanes", "calibration_ids", "prefixes")
    class Model(_message.Message):
        __slots__ = ("name", "model_id", "chain_id", "segments")
        NAME_FIELD_NUMBER: _ClassVar[int]
        MODEL_ID_FIELD_NUMBER: _ClassVar[int]
        CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
        SEGMENTS_FIELD_NUMBER: _ClassVar[int]
        name: str
        model_id: str
        chain_id: str
        segments: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, name: _Optional[str] = ..., model_id: _Optional[str] = ..., chain_id: _Optional[str] = ..., segments: _Optional[_Iterable[str]] = ...) -> None: ...
    class Task(_message.Message):
        __slots__ = ("task_id", "name", "models")
        TASK_ID_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        MODELS_FIELD_NUMBER: _ClassVar[int]
        task_id: str
        name: str
        models: _containers.RepeatedCompositeFieldContainer[DescribeReply.Model]
        def __init__(self, task_id: _Optional[str] = ..., name: _Optional[str] = ..., models: _Optional[_Iterable[_Union[DescribeReply.Model, _Mapping]]] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_MAX_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_IDS_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    version: int
    server: str
    tasks: _containers.RepeatedCompositeFieldContainer[DescribeReply.Task]
    payload_bytes_max: int
    queue_length_max: int
    lanes: int
    calibration_ids: _containers.RepeatedScalarFieldContainer[str]
    prefixes: bool
    def __init__(self, version: _Optional[int] = ..., server: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[DescribeReply.Task, _Mapping]]] = ..., payload_bytes_max: _Optional[int] = ..., queue_length_max: _Optional[int] = ..., lanes: _Optional[int] = ..., calibration_ids: _Optional[_Iterable[str]] = ..., prefixes: _Optional[bool] = ...) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class ProbeReply(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class PutCalibrationRequest(_message.Message):
    __slots__ = ("calibration_json",)
    CALIBRATION_JSON_FIELD_NUMBER: _ClassVar[int]
    calibration_json: str
    def __init__(self, calibration_json: _Optional[str] = ...) -> None: ...

class PutCalibrationReply(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
