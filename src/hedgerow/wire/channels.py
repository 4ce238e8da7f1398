"""Opens connections and ports: the one place that knows gRPC's options and where certificates go.

Control and bulk never share a connection (`grpc.use_local_subchannel_pool`): a small request behind a large upload
would wait for all of it, even after the upload was stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import grpc
from grpc import aio

from hedgerow.errors import UsageError
from hedgerow.wire.limits import CHUNK_BYTES_MAX, MESSAGE_SLACK_BYTES, MIB

Option = tuple[str, int | str]
Handlers: TypeAlias = "grpc.GenericRpcHandler[bytes, bytes]"

CROSSING_SERVICE = "hedgerow.v1.Crossing"
CONTROL_SERVICE = "hedgerow.v1.Control"
INFERENCE_SERVICE = "inference.GRPCInferenceService"

_BOTH_SIDES: tuple[Option, ...] = (
    ("grpc.http2.lookahead_bytes", MIB),  # else a long link waits for permission every 64 kB
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the client: `ca` that signed the server (None: the system's), own `certificate` and `key` for
    mutual TLS, and the name to expect in the server's certificate where it differs from the address."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None


def read_pem(path: Path | None) -> bytes | None:
    """The bytes of a PEM file; UsageError when it cannot be read or holds none."""
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    if b"-----BEGIN" not in data:
        raise UsageError(f"'{path}' is not a PEM file")
    return data


def client_credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    """Read the files of `tls`. UsageError for one that is missing."""
    if (tls.certificate is None) != (tls.key is None):
        raise UsageError("a client certificate and its key are given together or not at all")
    return grpc.ssl_channel_credentials(read_pem(tls.ca), read_pem(tls.key), read_pem(tls.certificate))


def server_credentials(certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Server side TLS; with `client_ca` only clients with a certificate signed by it get in."""
    certificate_pem, key_pem = read_pem(certificate), read_pem(key)
    assert certificate_pem is not None
    assert key_pem is not None
    return grpc.ssl_server_credentials(
        [(key_pem, certificate_pem)], root_certificates=read_pem(client_ca), require_client_auth=client_ca is not None
    )


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, *, server_name: str | None, receive_bytes_max: int
) -> aio.Channel:
    """A connection of its own to `address` (host:port), opened when first used. Call inside the loop that uses it."""
    options: list[Option] = [
        *_BOTH_SIDES,
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.keepalive_time_ms", 10_000),  # the least that gRPC allows
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.max_receive_message_length", receive_bytes_max + MESSAGE_SLACK_BYTES),
        ("grpc.enable_retries", 0),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    if credentials is None:
        return aio.insecure_channel(address, options=options)
    return aio.secure_channel(address, credentials, options=options)


async def unary(channel: aio.Channel, service: str, method: str, request: bytes, *, timeout_s: float | None) -> bytes:
    """One call that takes and gives one message, as bytes. Raises AioRpcError."""
    call: Any = channel.unary_unary(f"/{service}/{method}", None, None)
    reply: bytes = await call(request, timeout=timeout_s)
    return reply


class BulkCall(Protocol):
    """One stream of bytes in both directions, as gRPC gives it."""

    async def write(self, request: bytes) -> None: ...
    async def read(self) -> object: ...
    async def code(self) -> grpc.StatusCode: ...
    async def details(self) -> str: ...
    def add_done_callback(self, callback: Callable[[Any], None]) -> None: ...
    def cancel(self) -> bool: ...


def bulk_starter(channel: aio.Channel) -> Callable[[], BulkCall]:
    """What starts a crossing on `channel`."""
    start: Any = channel.stream_stream(f"/{CROSSING_SERVICE}/Cross", None, None)
    begin: Callable[[], BulkCall] = start
    return begin


def server_options(*, payload_bytes_max: int, streams_per_connection_max: int, connections_max: int) -> list[Option]:
    """Options of a server that must survive strangers: every buffer, stream and wait has a maximum."""
    return [
        *_BOTH_SIDES,
        ("grpc.so_reuseport", 0),  # a port in use is an error, not a shared port
        ("grpc.max_receive_message_length", max(payload_bytes_max, CHUNK_BYTES_MAX) + MESSAGE_SLACK_BYTES),
        ("grpc.max_concurrent_streams", streams_per_connection_max),
        ("grpc.max_allowed_incoming_connections", connections_max),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ]
