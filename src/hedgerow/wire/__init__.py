"""The wire between a device and a server: Open Inference Protocol, crossings in acknowledged chunks, probes.

Rules: control and bulk on separate connections; every buffer and wait has a maximum; whatever the other side sends, the
result is a value or a typed fault; gRPC appears only in this package and in `cloud`."""

from hedgerow.wire.channels import TlsFiles
from hedgerow.wire.client import CloudClient
from hedgerow.wire.faults import Fault, FaultError, FaultKind, Measure
from hedgerow.wire.limits import ClientLimits
from hedgerow.wire.messages import RAW_SAMPLE, Crossing, Description, Key, ModelInfo, RemoteAnswer, TaskInfo

__all__ = [
    "RAW_SAMPLE",
    "ClientLimits",
    "CloudClient",
    "Crossing",
    "Description",
    "Fault",
    "FaultError",
    "FaultKind",
    "Key",
    "Measure",
    "ModelInfo",
    "RemoteAnswer",
    "TaskInfo",
    "TlsFiles",
]
