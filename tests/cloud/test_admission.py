"""Admission: refused at once when the expected work does not fit into the time left."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.cloud.admission import Admission
from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue, ServedModel
from hedgerow.cloud.lanes import Job, Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.wire.faults import FaultError, FaultKind, Measure
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import opening
from tests.wire.serving import PATIENCE_S, SECOND_NS, Device

MS_NS = 1_000_000


class Desk:
    """An admission over one model whose segments are known to take 10 ms each."""

    def __init__(self, tiny_task: Path) -> None:
        self.catalogue = Catalogue.load([tiny_task])
        self.lanes = Lanes(1, queue_length_max=8)
        store = CalibrationStore(count_max=2, bytes_max=1000)
        self.admission = Admission(self.catalogue, self.lanes, store, ServerLimits())
        self.served: ServedModel = self.catalogue.named("tiny")
        for segment in range(1, 5):
            self.served.times.note(segment, 10 * MS_NS)

    def check(self, first: int, last: int, *, left_ms: float) -> int:
        now_ns = time.monotonic_ns()
        deadline_ns = now_ns + int(left_ms * MS_NS)
        return self.admission.check_time(self.served, first, last, deadline_ns=deadline_ns, now_ns=now_ns)


@pytest.fixture
def desk(tiny_task: Path) -> Iterator[Desk]:
    made = Desk(tiny_task)
    yield made
    made.lanes.close(PATIENCE_S)
    made.catalogue.close()


def test_the_expected_work_must_fit_into_the_time_left(desk: Desk) -> None:
    assert desk.check(1, 4, left_ms=40) == 40 * MS_NS
    assert desk.check(4, 4, left_ms=10) == 10 * MS_NS
    assert desk.check(0, 0, left_ms=0.001) == 0  # never measured: refuses nobody
    for first, left_ms in ((1, 39), (4, 9), (0, 0), (4, -5)):
        with pytest.raises(FaultError) as caught:
            desk.check(first, 4, left_ms=left_ms)
        assert caught.value.fault.kind is FaultKind.TOO_LATE


def test_those_due_before_take_their_time(desk: Desk) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: Job[bool]) -> bool:
        entered.set()
        return go_on.wait(PATIENCE_S)

    held: Job[bool] = Job(hold, deadline_ns=time.monotonic_ns() + 60 * SECOND_NS, expected_ns=50 * SECOND_NS)
    desk.lanes.submit(held)
    assert entered.wait(PATIENCE_S)
    with pytest.raises(FaultError) as caught:
        desk.check(1, 4, left_ms=1000)
    assert caught.value.fault.kind is FaultKind.OVERLOADED
    desk.check(1, 4, left_ms=51_000)
    go_on.set()


def test_every_claim_is_checked(desk: Desk, device: Device) -> None:
    crossing = device.crossing(device.sample(), joint=1)

    def open_for(remaining_ns: int) -> pb.Open:
        return opening(crossing, remaining_ns=remaining_ns, session=b"sessions", sequence=1)

    admitted = desk.admission.admit(open_for(SECOND_NS))
    assert (admitted.first, admitted.last, admitted.codec.name) == (2, 4, "raw")
    assert admitted.expected_ns == 30 * MS_NS
    with pytest.raises(FaultError) as caught:
        desk.admission.admit(open_for(29 * MS_NS))
    assert caught.value.fault.kind is FaultKind.TOO_LATE
    assert caught.value.fault.measure is None  # no error of the channel: it would take too long
    with pytest.raises(FaultError) as caught:
        desk.admission.admit(open_for(0))
    assert (caught.value.fault.kind, caught.value.fault.measure) == (FaultKind.TOO_LATE, Measure.TIME_OF_LIFE)


def test_nothing_is_admitted_while_the_server_shuts_down(desk: Desk) -> None:
    desk.admission.closing = True
    with pytest.raises(FaultError) as caught, desk.admission.place(1):
        pass
    assert caught.value.fault.kind is FaultKind.CLOSING
