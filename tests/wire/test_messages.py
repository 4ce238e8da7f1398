"""Descriptions and openings survive the wire; other bytes are a fault."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.wire.faults import FaultError, FaultKind
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import PREFIX_ENDS_MAX
from hedgerow.wire.messages import (
    PROTOCOL_VERSION,
    Crossing,
    Description,
    ModelInfo,
    TaskInfo,
    check_version,
    describe_message,
    description_of,
    ends_worth,
    opening,
    parse,
    probe_opening,
)

MODEL = ModelInfo("m", "11", "22", ("preparation", "a", "outputs"))
DESCRIPTION = Description("here", PROTOCOL_VERSION, (TaskInfo("33", "t", (MODEL,)),), 5, 6, 7, ("44",), prefixes=True)


def test_a_description_survives() -> None:
    data = describe_message(DESCRIPTION).SerializeToString()
    read = description_of(parse(pb.DescribeReply, data))
    assert read == DESCRIPTION
    assert read.model("33", "m") == MODEL
    assert read.model("33", "other") is None
    assert read.model("other", "m") is None


def test_another_version_is_a_typed_fault() -> None:
    message = describe_message(DESCRIPTION)
    message.version = PROTOCOL_VERSION + 1
    with pytest.raises(FaultError) as caught:
        description_of(message)
    assert caught.value.fault.kind is FaultKind.WRONG_VERSION


@given(st.binary(min_size=16, max_size=16), st.integers(-1, 100), st.binary(max_size=50), st.integers(0, 2**62))
def test_an_opening_survives(sample_id: bytes, joint: int, payload: bytes, remaining_ns: int) -> None:
    crossing = Crossing(sample_id, 3, "t", "m", "c", joint, joint + 1, "q4", "id", payload, remaining_ns, "front")
    made = opening(crossing, remaining_ns=max(remaining_ns - 1, 0), session=b"12345678", sequence=7)
    read = parse(pb.Open, made.SerializeToString())
    assert (read.attempt, read.stream, read.session, read.sequence) == (3, "front", b"12345678", 7)
    assert (read.sample_id, read.joint, read.last) == (sample_id, joint, joint + 1)
    assert (read.task_id, read.model, read.chain_id) == ("t", "m", "c")
    assert (read.codec, read.calibration_id, read.payload_bytes) == ("q4", "id", len(payload))
    assert not read.probe
    assert crossing.key == (sample_id, 3)


def test_a_probe_names_its_bytes_only() -> None:
    made = probe_opening(7, session=b"12345678", sequence=9)
    assert made == pb.Open(version=PROTOCOL_VERSION, probe=True, payload_bytes=7, session=b"12345678", sequence=9)


@pytest.mark.parametrize("version", [0, 1, PROTOCOL_VERSION + 1])
def test_another_version_of_a_crossing_is_a_typed_fault(version: int) -> None:
    with pytest.raises(FaultError) as caught:
        check_version(version)
    assert caught.value.fault.kind is FaultKind.WRONG_VERSION
    check_version(PROTOCOL_VERSION)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_fault(data: bytes) -> None:
    for message in (pb.Up, pb.Down, pb.DescribeReply, pb.DescribeRequest):
        try:
            message.FromString(data)
        except DecodeError:
            with pytest.raises(FaultError, match=r"no .* message"):
                parse(message, data)
        else:
            assert isinstance(parse(message, data), message)


@pytest.mark.parametrize(
    ("ends", "least", "found"),
    [
        ((), 0, ()),
        ((10, 20), 21, ()),
        ((10, 20, 30), 11, (20, 30)),
        (tuple(range(10, 101, 10)), 30, (30, 50, 70, 100)),
        (tuple(range(10, 51, 10)), 1, (10, 20, 30, 50)),
    ],
)
def test_of_many_places_to_cut_at_few_are_offered_the_first_and_the_last_among_them(
    ends: tuple[int, ...], least: int, found: tuple[int, ...]
) -> None:
    assert ends_worth(ends, least) == found
    assert len(found) <= PREFIX_ENDS_MAX
