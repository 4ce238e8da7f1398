"""Faults: what travels comes back, the unknown is the peer's, the network's is a LinkError."""

import pytest

from hedgerow.errors import LinkError
from hedgerow.wire.faults import Fault, FaultError, FaultKind, Measure, refuse, reject


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_survives_the_wire_and_becomes_an_error(kind: FaultKind) -> None:
    fault = Fault.of_wire(kind.value, "what is wrong")
    assert fault == Fault(kind, "what is wrong")
    error = fault.error()
    assert "what is wrong" in str(error)
    if kind is FaultKind.LINK:
        assert isinstance(error, LinkError)
    else:
        assert isinstance(error, FaultError)
        assert error.fault is fault


def test_an_unknown_kind_is_the_peers_fault() -> None:
    fault = Fault.of_wire("tomorrow's kind" * 100, "a")
    assert fault.kind is FaultKind.PEER
    assert len(fault.message) < 100


def test_refusing_carries_kind_and_message() -> None:
    error = refuse(FaultKind.WRONG_CUT, "no joint 9")
    assert error.fault == Fault(FaultKind.WRONG_CUT, "no joint 9")
    assert str(error) == "wrong cut: no joint 9"


@pytest.mark.parametrize("measure", Measure)
def test_a_measure_is_told_as_data_and_in_words(measure: Measure) -> None:
    fault = reject(measure, "it was dropped").fault
    assert fault == Fault(FaultKind.CORRUPT, f"{measure.value}: it was dropped", measure)
    assert Fault.of_wire(fault.kind.value, fault.message, measure.value) == fault
    assert Fault.of_wire("corrupt", "a", "tomorrow's measure").measure is None
