"""Certificate files of the client: read, or refused with the file's name."""

from pathlib import Path

import pytest

from hedgerow.errors import UsageError
from hedgerow.wire.channels import TlsFiles, client_credentials, read_pem, server_options


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")
    with pytest.raises(UsageError, match=r"text\.pem' is not a PEM file"):
        read_pem(text)
    with pytest.raises(UsageError, match=r"cannot read .*missing\.pem"):
        client_credentials(TlsFiles(ca=tmp_path / "missing.pem"))
    with pytest.raises(UsageError, match="together"):
        client_credentials(TlsFiles(certificate=text))
    with pytest.raises(UsageError, match="together"):
        client_credentials(TlsFiles(key=text))


def test_without_files_the_systems_authorities_are_trusted() -> None:
    assert read_pem(None) is None
    assert client_credentials(TlsFiles()) is not None


def test_the_servers_limits_reach_grpc() -> None:
    options = dict(server_options(payload_bytes_max=1 << 20, streams_per_connection_max=3, connections_max=4))
    assert int(options["grpc.max_receive_message_length"]) >= 1 << 20
    assert options["grpc.max_concurrent_streams"] == 3
    assert options["grpc.max_allowed_incoming_connections"] == 4
    assert options["grpc.so_reuseport"] == 0
