"""One lane's work: the right segments run, times add up, a stop between segments is a fault that says where."""

import time
from collections.abc import Iterator

import pytest

from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.computing import job_for
from hedgerow.models.tensors import Tensors
from hedgerow.wire.faults import FaultError
from tests.wire.serving import PATIENCE_S, SECOND_NS, Device, assert_close


@pytest.fixture
def catalogue(device: Device) -> Iterator[Catalogue]:
    made = Catalogue([device.task])
    yield made
    made.close()


def test_the_asked_segments_run_and_their_times_are_kept(catalogue: Catalogue, device: Device) -> None:
    served, sample = catalogue.named("tiny"), device.sample()
    after = device.alive_after(1, sample)
    deadline_ns = time.monotonic_ns() + int(PATIENCE_S * SECOND_NS)
    job = job_for(served, 2, 3, lambda: after, deadline_ns=deadline_ns, expected_ns=0)
    job.run()
    outcome = job.result()
    assert_close(outcome.tensors["h2"], device.alive_after(3, sample)["h2"])
    assert len(outcome.segment_ns) == 2
    assert outcome.compute_ns >= sum(outcome.segment_ns) > 0
    assert outcome.decode_ns > 0
    assert served.times.runs == (0, 0, 1, 1, 0)


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_stop_between_segments_says_where(catalogue: Catalogue, device: Device, stop_after: int) -> None:
    served = catalogue.named("tiny")
    note = served.times.note

    def decode() -> Tensors:
        return device.alive_after(0, device.sample())

    deadline_ns = time.monotonic_ns() + int(PATIENCE_S * SECOND_NS)
    job = job_for(served, 1, 4, decode, deadline_ns=deadline_ns, expected_ns=0)

    def note_and_stop(segment: int, duration_ns: int) -> None:
        note(segment, duration_ns)
        job.stopped = segment == stop_after

    served.times.note = note_and_stop  # type: ignore[method-assign]
    job.run()
    with pytest.raises(FaultError, match=f"stopped after segment {stop_after} of 4"):
        job.result()
    assert served.times.runs == (0, *([1] * stop_after), *([0] * (4 - stop_after)))
