"""Calls on the control connection: what the server offers, and the calibrations it should know."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
from grpc import aio

from hedgerow.wire.channels import CONTROL_SERVICE, unary
from hedgerow.wire.faults import FaultKind, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import PROTOCOL_VERSION, Description, description_of, parse
from hedgerow.wire.oip import PlainServer

if TYPE_CHECKING:
    from hedgerow.codecs import Calibration


async def describe(channel: aio.Channel, *, timeout_s: float, models: Sequence[str]) -> Description:
    """What the server offers; for one that knows only the Open Inference Protocol, that `models` are ready there.

    Raises AioRpcError, FaultError.
    """
    request = pb.DescribeRequest(version=PROTOCOL_VERSION).SerializeToString()
    try:
        data = await unary(channel, CONTROL_SERVICE, "Describe", request, timeout_s=timeout_s)
    except aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:  # a server of another version says something else
            raise
        return await _describe_plain(PlainServer(channel), timeout_s, models)
    return description_of(parse(pb.DescribeReply, data))


async def _describe_plain(server: PlainServer, timeout_s: float, models: Sequence[str]) -> Description:
    name, version = await server.name_and_version(timeout_s=timeout_s)
    for model in models:
        await server.model(model, timeout_s=timeout_s)
    return Description(
        server=f"{name} {version}",
        version=PROTOCOL_VERSION,
        tasks=(),
        payload_bytes_max=0,
        queue_length_max=0,
        lanes=0,
        plain=True,
    )


async def put_calibration(channel: aio.Channel, *, calibration: "Calibration", timeout_s: float) -> str:
    """Give the server a calibration and return its id. Raises AioRpcError, FaultError."""
    text = json.dumps(calibration.to_dict(), sort_keys=True, allow_nan=False)
    request = pb.PutCalibrationRequest(calibration_json=text).SerializeToString()
    data = await unary(channel, CONTROL_SERVICE, "PutCalibration", request, timeout_s=timeout_s)
    reply = parse(pb.PutCalibrationReply, data)
    if reply.id != calibration.id:
        raise refuse(FaultKind.PEER, f"the server keeps calibration '{calibration.id}' as '{reply.id[:40]}'")
    return reply.id
