"""Control calls as bytes: versions and garbage get a status, an echo counts."""

import grpc
import pytest

from hedgerow.wire.generated import crossing_pb2 as pb
from tests.wire.serving import PATIENCE_S, LocalServer


def ask(server: LocalServer, method: str, request: bytes) -> bytes | grpc.StatusCode:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(f"/hedgerow.v1.Control/{method}", None, None)
        try:
            reply: bytes = call(request, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return reply


def test_a_description_names_everything_that_both_sides_must_agree_on(server: LocalServer) -> None:
    data = ask(server, "Describe", pb.DescribeRequest(version=2).SerializeToString())
    assert isinstance(data, bytes)
    reply = pb.DescribeReply.FromString(data)
    assert [task.name for task in reply.tasks] == ["tiny", "slow"]
    assert all(len(task.models[0].chain_id) == 64 for task in reply.tasks)
    assert reply.lanes == 1
    assert reply.payload_bytes_max == 16 << 20


@pytest.mark.parametrize(
    ("method", "request_bytes", "status"),
    [
        ("Describe", pb.DescribeRequest(version=1).SerializeToString(), grpc.StatusCode.FAILED_PRECONDITION),
        ("Describe", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("Probe", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("PutCalibration", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("PutCalibration", b"", grpc.StatusCode.INVALID_ARGUMENT),
        ("Unknown", b"", grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_what_is_wrong_gets_a_status(
    server: LocalServer, method: str, request_bytes: bytes, status: grpc.StatusCode
) -> None:
    assert ask(server, method, request_bytes) is status


@pytest.mark.parametrize("size", [0, 1, 50_000])
def test_an_echo_says_how_much_came(server: LocalServer, size: int) -> None:
    data = ask(server, "Probe", pb.ProbeRequest(payload=bytes(size)).SerializeToString())
    assert isinstance(data, bytes)
    assert pb.ProbeReply.FromString(data).bytes == size
