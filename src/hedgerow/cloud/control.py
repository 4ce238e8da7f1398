"""Serves the control calls: what is here, an echo for round trips, and the calibrations of devices."""

import grpc

from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.inference import SERVER_NAME, SERVER_VERSION, Context, Serve, typed
from hedgerow.cloud.limits import ServerLimits
from hedgerow.wire.channels import CONTROL_SERVICE, Handlers
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import PROTOCOL_VERSION, Description, check_version, describe_message, parse


class ControlService:
    """hedgerow.v1.Control."""

    def __init__(
        self, catalogue: Catalogue, calibrations: CalibrationStore, limits: ServerLimits, *, lanes: int
    ) -> None:
        self._catalogue = catalogue
        self._calibrations = calibrations
        self._limits = limits
        self._lanes = lanes

    def handler(self) -> Handlers:
        """What to register with the server."""
        calls: dict[str, Serve] = {
            "Describe": self._describe,
            "Probe": self._probe,
            "PutCalibration": self._put_calibration,
        }
        methods = {name: grpc.unary_unary_rpc_method_handler(typed(call)) for name, call in calls.items()}
        return grpc.method_handlers_generic_handler(CONTROL_SERVICE, methods)

    async def _describe(self, data: bytes, _: Context) -> bytes:
        check_version(parse(pb.DescribeRequest, data).version)
        description = Description(
            server=f"{SERVER_NAME} {SERVER_VERSION}",
            version=PROTOCOL_VERSION,
            tasks=self._catalogue.info(),
            payload_bytes_max=self._limits.payload_bytes_max,
            queue_length_max=self._limits.queue_length_max,
            lanes=self._lanes,
            calibration_ids=self._calibrations.ids,
            prefixes=True,
        )
        return describe_message(description).SerializeToString()

    async def _probe(self, data: bytes, _: Context) -> bytes:
        return pb.ProbeReply(bytes=len(parse(pb.ProbeRequest, data).payload)).SerializeToString()

    async def _put_calibration(self, data: bytes, _: Context) -> bytes:
        calibration_id = self._calibrations.put(parse(pb.PutCalibrationRequest, data).calibration_json)
        return pb.PutCalibrationReply(id=calibration_id).SerializeToString()
