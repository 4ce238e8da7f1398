"""A lane: one event a job, from joint to joint, preempted, cancelled, failing; and the slower device it may pretend."""

import threading
import time
from collections.abc import Iterator
from queue import Queue

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.device.lane import Job, Lane, Workpiece
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.planning import arm_table
from hedgerow.profiling import Profile
from tests.device.small import Oracle, tagged

WAIT_S = 20.0


class Made:
    """A lane with its chain and the queue of its events."""

    def __init__(self, task: Task, profile: Profile, stretch_ns: int = 0) -> None:
        self.chain: Chain = task.open("tiny")
        self.events: Queue[r.Event] = Queue()
        stretch = (lambda _median: stretch_ns) if stretch_ns else None
        table = arm_table(profile, task)
        self.lane = Lane("cpu", {"tiny": self.chain}, task, table, {}, self.events.put, stretch)
        self.work = Workpiece({"x": tagged(1)})
        self.last = len(self.chain.segments) - 1

    def start(self, first: int, last: int, job: int = 1) -> Job:
        made = self.lane.begin(r.Run("cpu", job, 0, "tiny", first, last), self.work)
        self.lane.enqueue(made)
        return made

    def event(self) -> r.Event:
        return self.events.get(timeout=WAIT_S)


@pytest.fixture
def made(task: Task, profile: Profile) -> Iterator[Made]:
    lane = Made(task, profile)
    yield lane
    lane.lane.close()


@pytest.fixture
def slow(task: Task, profile: Profile) -> Iterator[Made]:
    """Half a minute a segment, unless it is let go."""
    lane = Made(task, profile, stretch_ns=30_000_000_000)
    yield lane
    lane.lane.close()


def test_runs_the_whole_and_from_a_kept_joint(made: Made, task: Task) -> None:
    made.start(0, 2)
    event = made.event()
    assert isinstance(event, r.RunDone)
    assert (event.job, event.last, len(event.segment_ns)) == (1, 2, 3)
    made.start(3, made.last, job=2)
    event = made.event()
    assert isinstance(event, r.RunDone)
    assert event.last == made.last
    Oracle(task).check(tagged(1), made.work.outputs["tiny"])


def test_a_joint_that_is_not_kept_is_a_failure_not_silence(made: Made) -> None:
    made.start(3, made.last)
    assert made.event() == r.JobEnded("cpu", 1, "joint 2 of 'tiny' is not kept on this device")


def test_preempting_keeps_what_is_done(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(r.Run("cpu", 1, 0, "tiny", 0, made.last), made.work, preempted=True)
    event = made.lane.execute(job)
    assert isinstance(event, r.RunDone)
    assert event.last == 0
    assert list(made.work.joints) == [("tiny", 0)]
    made.lane.preempt(99)  # long over: nothing happens


def test_cancelling_ends_a_job_in_its_segment(slow: Made) -> None:
    begun = time.monotonic()
    slow.start(0, slow.last)
    time.sleep(0.05)
    slow.lane.cancel(2)  # another job's number
    slow.lane.cancel(1)
    assert slow.event() == r.JobEnded("cpu", 1)
    assert time.monotonic() - begun < 25
    assert not slow.work.joints


def test_encodes_the_raw_sample_and_a_joint(made: Made) -> None:
    sizes = []
    made.start(0, 1)
    made.event()
    for number, joint in enumerate((-1, 1)):
        event = made.lane.execute(made.lane.begin(r.Encode("cpu", 5 + number, 0, "tiny", joint, "raw"), made.work))
        assert isinstance(event, r.EncodeDone)
        sizes.append(event.payload_bytes)
        assert event.payload_bytes == len(made.work.payload)
    assert min(sizes) > tagged(1).nbytes
    wrong = made.lane.execute(made.lane.begin(r.Encode("cpu", 9, 0, "tiny", 3, "raw"), made.work))
    assert isinstance(wrong, r.JobEnded)
    assert wrong.failure == "joint 3 of 'tiny' is not kept on this device"


def test_an_unforeseen_failure_ends_the_job_and_not_the_lane(
    made: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of all things")

    with monkeypatch.context() as patched:
        patched.setattr(Chain, "run", fail)
        made.start(0, made.last)
        assert made.event() == r.JobEnded("cpu", 1, "ZeroDivisionError: of all things")
    made.start(0, made.last, job=2)
    assert isinstance(made.event(), r.RunDone)


def test_a_slower_device_takes_as_long_as_it_is_told(task: Task, profile: Profile) -> None:
    made = Made(task, profile, stretch_ns=3_000_000)
    made.start(0, made.last)
    event = made.event()
    made.lane.close()
    assert isinstance(event, r.RunDone)
    assert min(event.segment_ns) >= 3_000_000


def test_closing_ends_job_and_thread(slow: Made) -> None:
    threads = threading.active_count()
    slow.start(0, slow.last)
    time.sleep(0.02)
    slow.lane.close()
    assert slow.event() == r.JobEnded("cpu", 1)
    assert threading.active_count() == threads - 1
    assert isinstance(tagged(0), np.ndarray)
