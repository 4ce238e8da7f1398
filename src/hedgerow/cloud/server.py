"""Puts the server together, starts it, and ends it so that nothing is left: port, threads, models.

Order of a start: bind the port (a port in use is told at once), warm up the models, then answer. Order of an end: refuse
what is new, let what runs finish for at most ServerLimits.shutdown_s, stop the rest at its next segment, close the models.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc import aio

from hedgerow.cloud.admission import Admission
from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.control import ControlService
from hedgerow.cloud.crossing import CrossingService
from hedgerow.cloud.inference import InferenceService
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import HostError, UsageError
from hedgerow.wire.channels import server_credentials, server_options

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen and how. Port 0: any free one. Loopback needs nothing; any other address needs TLS (certificate
    and key, PEM files) or `insecure`. With `client_ca`, clients must show a certificate that it signed."""

    address: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False

    def credentials(self) -> grpc.ServerCredentials | None:
        """What to listen with; None: in the clear. UsageError for a combination that is not safe or not whole."""
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--tls-cert and --tls-key are given together or not at all")
        if self.certificate is not None and self.key is not None:
            if self.insecure:
                raise UsageError("--insecure contradicts --tls-cert; leave one out")
            return server_credentials(self.certificate, self.key, self.client_ca)
        if self.client_ca is not None:
            raise UsageError("--tls-client-ca needs --tls-cert and --tls-key")
        if self.address not in LOOPBACK and not self.insecure:
            raise UsageError(
                f"listening on {self.address} needs --tls-cert and --tls-key; --insecure goes without, for trusted networks"
            )
        return None

    def at(self, port: int) -> str:
        """host:port as gRPC writes it."""
        return f"[{self.address}]:{port}" if ":" in self.address else f"{self.address}:{port}"


class Server:
    """One server over one catalogue, which it closes. Belongs to one event loop."""

    def __init__(self, catalogue: Catalogue, *, lanes: int = 1, limits: ServerLimits | None = None) -> None:
        self._limits = limits or ServerLimits()
        self._catalogue = catalogue
        self._lane_count = lanes

    async def start(self, endpoint: Endpoint) -> int:
        """Listen, warm up, answer; returns the port. UsageError, HostError (port in use), EngineError."""
        limits = self._limits
        credentials = endpoint.credentials()
        options = server_options(
            payload_bytes_max=limits.payload_bytes_max,
            streams_per_connection_max=limits.streams_per_connection_max,
            connections_max=limits.connections_max,
        )
        self._server = aio.server(options=options, maximum_concurrent_rpcs=limits.calls_max)
        port = self._bind(endpoint, credentials)
        await asyncio.get_running_loop().run_in_executor(None, self._catalogue.warm_up)
        self._lanes = Lanes(self._lane_count, queue_length_max=limits.queue_length_max)
        calibrations = CalibrationStore(count_max=limits.calibrations_max, bytes_max=limits.calibration_bytes_max)
        self._admission = Admission(self._catalogue, self._lanes, calibrations, limits)
        services = (
            CrossingService(self._admission, self._lanes, limits),
            ControlService(self._catalogue, calibrations, limits, lanes=self._lane_count),
            InferenceService(self._catalogue, self._admission, self._lanes, limits),
        )
        self._server.add_generic_rpc_handlers(tuple(service.handler() for service in services))
        await self._server.start()
        return port

    def _bind(self, endpoint: Endpoint, credentials: grpc.ServerCredentials | None) -> int:
        where = endpoint.at(endpoint.port)
        try:
            if credentials is None:
                return self._server.add_insecure_port(where)
            return self._server.add_secure_port(where, credentials)
        except RuntimeError:
            raise HostError(f"cannot listen on {where}: in use or not allowed; take another --port") from None

    async def stop(self) -> None:
        """Refuse what is new, finish what runs, leave nothing behind."""
        self._admission.closing = True
        await self._server.stop(self._limits.shutdown_s)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._lanes.close, self._limits.shutdown_s)
        self._catalogue.close()


async def serve_until_signal(server: Server, endpoint: Endpoint, on_ready: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is told host:port once requests are answered."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    port = await server.start(endpoint)
    on_ready(endpoint.at(port))
    await ended.wait()
    await server.stop()
