"""The impostors are what they pretend to be: a real server of another version, and noise."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hedgerow.errors import HedgerowError, PeerError
from hedgerow.wire.client import CloudClient
from tests.device.small import dense_task


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def impostor(kind: str, task: Path) -> Iterator[str]:
    """Its address, while it has the port."""
    port = free_port()
    words = [sys.executable, "-m", "hedgerow.campaigns.impostor", kind, str(port), str(task)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "prepared\n"
            process.stdin.write("take\n")
            process.stdin.flush()
            assert process.stdout.readline() == "taken\n"
            yield f"127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(20.0)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return dense_task(tmp_path).models[0].path.with_suffix(".toml")


def test_the_other_version_is_one_that_this_version_does_not_speak(task: Path) -> None:
    with impostor("version", task) as address, CloudClient(address) as client:
        with pytest.raises(PeerError, match="version"):
            client.describe(10.0)


def test_noise_is_no_server(task: Path) -> None:
    with impostor("garbage", task) as address, CloudClient(address) as client:
        with pytest.raises(HedgerowError):
            client.describe(2.0)
