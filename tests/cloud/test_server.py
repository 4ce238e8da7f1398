"""The server as a process: garbage on its port, certificates, signals, and nothing left behind."""

import datetime
import ipaddress
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hedgerow.cloud.limits import ServerLimits
from hedgerow.cloud.server import Endpoint
from hedgerow.errors import LinkError, UsageError
from hedgerow.wire import CloudClient, FaultKind, RemoteAnswer, TlsFiles
from tests.wire.serving import (
    PATIENCE_S,
    Device,
    LocalServer,
    ServerProcess,
    local_server,
    send,
    server_process,
    sockets_of,
    until,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def half_messages() -> list[bytes]:
    """Bytes that no good client sends: none, text, half a preface, frames that lie or break off."""

    def frame(kind: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
        size = len(payload) if length is None else length
        return struct.pack(">I", size)[1:] + bytes([kind, 0]) + struct.pack(">I", stream) + payload

    settings = frame(4, 0, b"")
    return [
        b"",
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + bytes(range(200)),
        PREFACE[:10],
        PREFACE,
        PREFACE + settings + frame(0, 1, b"data on a stream that was never opened"),
        PREFACE + settings + frame(1, 1, bytes(range(100))),
        PREFACE + settings + frame(1, 1, b"", length=(1 << 24) - 1),
        PREFACE + settings[:5],
        PREFACE + settings + b"\xff" * 3000,
    ]


def test_garbage_and_half_messages_leave_nothing_and_harm_nobody(tiny_task: Path, device: Device) -> None:
    with server_process(tiny_task) as server, CloudClient(server.address) as client:
        send(client, device.crossing(device.sample())).answer()
        process = psutil.Process(server.process.pid)
        sockets, threads = sockets_of(process.pid), process.num_threads()
        for _ in range(3):
            opened = []
            for data in half_messages():
                connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
                opened.append(connection)
                connection.sendall(data)
            send(client, device.crossing(device.sample())).answer()
            for connection in opened:
                connection.close()
        until(lambda: sockets_of(process.pid) <= sockets, "the server has closed what was closed on it")
        send(client, device.crossing(device.sample())).answer()
        assert process.num_threads() <= threads + 4  # gRPC's own pool may have grown once


def test_clients_that_vanish_leave_nothing(tiny_task: Path, device: Device) -> None:
    with server_process(tiny_task) as server, CloudClient(server.address) as client:
        send(client, device.crossing(device.sample())).answer()
        process = psutil.Process(server.process.pid)
        sockets = sockets_of(process.pid)
        used_bytes = []
        for _ in range(4):
            for _ in range(5):
                other = CloudClient(server.address)
                sent = send(other, device.crossing({}, payload=bytes(8 << 20)))
                sent.wait_for_ack()
                other.close()
            until(lambda: sockets_of(process.pid) <= sockets, "the vanished clients' sockets are closed")
            used_bytes.append(process.memory_info().rss)
        assert used_bytes[-1] - used_bytes[1] < 10 * (8 << 20)  # ten more clients have not left their payloads
        send(client, device.crossing(device.sample())).answer()


def test_sigterm_ends_it_cleanly_and_answers_what_runs(slow_task: Path, slow_device: Device) -> None:
    with server_process(slow_task) as server, CloudClient(server.address) as client:
        sent = send(client, slow_device.crossing(slow_device.sample(rows=500)))
        until(lambda: sent.acks and sent.acks[-1][0] > 500 * 1024 * 4, "all bytes are there")
        assert server.terminate() == 0
        sent.answer()
        assert send(client, slow_device.crossing(slow_device.sample())).fault().kind is FaultKind.LINK


def test_ending_within_the_process_leaves_no_thread_or_socket(tiny_task: Path, device: Device) -> None:
    for _ in range(2):
        before, sockets = set(threading.enumerate()), sockets_of()
        with local_server(tiny_task) as server:
            with CloudClient(server.address) as client:
                send(client, device.crossing(device.sample())).answer()
                probing = send(client, device.crossing({}, payload=bytes(16 << 20)))
                probing.wait_for_ack()
        assert probing.fault().kind is FaultKind.CANCELLED
        del server
        until(lambda: sockets_of() <= sockets, "sockets are closed")  # noqa: B023
        until(lambda: set(threading.enumerate()) <= before, "threads have ended")  # noqa: B023


def test_work_that_outlives_the_shutdown_is_stopped(slow_task: Path, slow_device: Device) -> None:
    server = LocalServer([slow_task], limits=ServerLimits(shutdown_s=0.05))
    with CloudClient(server.address) as client:
        sent = send(client, slow_device.crossing(slow_device.sample(rows=2000)))
        until(lambda: server.catalogue.named("slow").times.runs[1] > 3, "the first segment has run")
        server.stop()
        assert sent.fault().kind in (FaultKind.LINK, FaultKind.CANCELLED, FaultKind.CLOSING)
    assert server.catalogue.named("slow").times.runs[-1] == 3  # warming up only


def test_more_streams_and_connections_than_allowed_wait_or_fail_but_do_no_harm(tiny_task: Path, device: Device) -> None:
    limits = ServerLimits(streams_per_connection_max=2, calls_max=4, connections_max=3)
    with local_server(tiny_task, limits=limits) as server, CloudClient(server.address) as client:
        sends = [send(client, device.crossing(device.sample())) for _ in range(20)]
        ends = [sent.end() for sent in sends]
        refused = (FaultKind.OVERLOADED, FaultKind.LINK)  # LINK: where gRPC never says why its write failed
        assert all(isinstance(end, RemoteAnswer) or end.kind in refused for end in ends), ends
        assert any(isinstance(end, RemoteAnswer) for end in ends)
        send(client, device.crossing(device.sample())).answer()
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        send(client, device.crossing(device.sample())).answer()
        for connection in idle:
            connection.close()


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        (Endpoint(address="0.0.0.0"), "--tls-cert"),
        (Endpoint(address="192.0.2.1"), "--insecure"),
        (Endpoint(address="::"), "--tls-cert"),
        (Endpoint(certificate=Path("a.pem")), "together"),
        (Endpoint(key=Path("a.pem")), "together"),
        (Endpoint(client_ca=Path("a.pem")), "needs --tls-cert"),
        (Endpoint(certificate=Path("missing.pem"), key=Path("missing.key")), "cannot read 'missing.pem'"),
        (Endpoint(certificate=Path(__file__), key=Path(__file__)), "not a PEM file"),
        (Endpoint(certificate=Path("a"), key=Path("b"), insecure=True), "contradicts"),
    ],
)
def test_unsafe_or_half_endpoints_are_refused(endpoint: Endpoint, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        endpoint.credentials()


def test_safe_endpoints_are_taken() -> None:
    assert Endpoint().credentials() is None
    assert Endpoint(address="::1").credentials() is None
    assert Endpoint(address="0.0.0.0", insecure=True).credentials() is None
    assert Endpoint(address="::1").at(5) == "[::1]:5"


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {folder.name}")])
        self.path = folder / "authority.pem"
        self.path.write_bytes(self._sign(self._name, self._key.public_key(), authority=True))

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate.write_bytes(self._sign(subject, key.public_key(), authority=False))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key_path


def refused(address: str, tls: TlsFiles | None) -> bool:
    with CloudClient(address, tls=tls) as client:
        try:
            client.describe(3.0)
        except LinkError:
            return True
    return False


def test_tls_lets_in_who_trusts_the_server_and_whom_the_server_trusts(
    tiny_task: Path, device: Device, tmp_path: Path
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificate, key = ours.issue("server")
    own_certificate, own_key = ours.issue("device")
    other_certificate, other_key = theirs.issue("device")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with server_process(tiny_task, "--address", "0.0.0.0", *options) as server:
        address = f"127.0.0.1:{server.port}"
        with CloudClient(address, tls=TlsFiles(ca=ours.path)) as client:
            send(client, device.crossing(device.sample())).answer()
        assert refused(address, None)
        assert refused(address, TlsFiles(ca=theirs.path))
    with server_process(tiny_task, *options, "--tls-client-ca", str(ours.path)) as server:
        with CloudClient(server.address, tls=TlsFiles(ours.path, own_certificate, own_key)) as client:
            send(client, device.crossing(device.sample())).answer()
        assert refused(server.address, TlsFiles(ours.path))
        assert refused(server.address, TlsFiles(ours.path, other_certificate, other_key))
        context = ssl.create_default_context(cafile=str(ours.path))
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as half,
        ):
            half.sendall(b"half")


def test_a_port_in_use_is_this_machines_fault(tiny_task: Path) -> None:
    with server_process(tiny_task) as server:
        command = [sys.executable, "-m", "hedgerow.cli.main", "serve", str(tiny_task), "--port", str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.stderr


def test_a_process_that_is_killed_frees_its_port(tiny_task: Path, device: Device) -> None:
    first = ServerProcess(tiny_task)
    with CloudClient(first.address) as client:
        send(client, device.crossing(device.sample())).answer()
        first.kill()
        with server_process(tiny_task, port=first.port):
            client.reconnect()
            send(client, device.crossing(device.sample())).answer()
