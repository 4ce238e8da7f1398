"""A lane: one event a job, from joint to joint, preempted, cancelled, failing; and the slower device it may pretend."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.device.lane import Job, Lane, Workpiece
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.planning import arm_table
from hedgerow.profiling import Profile
from tests.device.small import Oracle, profile_of, tagged
from tests.models.branches import frame, rich_task
from tests.wire.serving import assert_close

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


class Branched:
    """A lane with a trunk, its exits and a copy of it, and one frame."""

    def __init__(self, folder: Path) -> None:
        self.task = Task.load(rich_task(folder))
        self.chains = self.task.open_all()
        table, events = arm_table(profile_of(self.task), self.task), Queue[r.Event]()
        self.lane = Lane("cpu", self.chains, self.task, table, {}, events.put)
        self.work = Workpiece(self.task.sample(frame()))

    def run(self, model: str, first: int, last: int, *, preempted: bool = False) -> r.Event:
        return self.lane.execute(Job(r.Run("cpu", 1, 0, model, first, last), self.work, preempted=preempted))

    def alive(self, model: str, joint: int) -> Tensors:
        return self.chains[model].run(self.work.sample, 0, joint).tensors


@pytest.fixture
def branched(tmp_path: Path) -> Iterator[Branched]:
    made = Branched(tmp_path)
    yield made
    made.lane.close()


def test_an_exits_run_leaves_its_trunks_tensors_where_it_leaves_the_trunk(branched: Branched) -> None:
    event = branched.run("early", 0, 2)
    assert isinstance(event, r.RunDone)
    assert (event.last, len(event.segment_ns), event.confidence is not None) == (2, 3, True)
    assert set(branched.work.joints) == {("trunk", 1), ("early", 2)}
    kept = branched.work.joints["trunk", 1]["first"]
    assert_close(kept, branched.alive("trunk", 1)["first"])
    assert isinstance(branched.run("later", 2, 3), r.RunDone)  # a later exit, from what the first one left
    assert isinstance(branched.run("trunk", 3, 3), r.RunDone)
    assert_close(branched.work.outputs["trunk"]["logits"], branched.alive("trunk", 3)["logits"])
    assert set(branched.work.outputs) == {"early", "later", "trunk"}


def test_a_preempted_exit_leaves_what_it_did_at_the_joint(branched: Branched) -> None:
    event = branched.run("later", 0, 3, preempted=True)
    assert isinstance(event, r.RunDone)
    assert (event.last, set(branched.work.joints)) == (0, {("trunk", 0)})
    assert isinstance(branched.run("early", 1, 2), r.RunDone)


def test_where_kin_was_not_stopped_nothing_is_kept(branched: Branched) -> None:
    branched.run("trunk", 0, 2)
    event = branched.run("early", 2, 2)
    assert event == r.JobEnded("cpu", 1, "joint 1 of 'early' is not kept on this device")


def test_another_precision_goes_on_and_its_own_tensors_come_first(branched: Branched) -> None:
    branched.run("copy", 0, 1)
    branched.run("trunk", 2, 3)
    mixed = branched.chains["trunk"].run(branched.alive("copy", 1), 2).tensors["logits"]
    assert_close(branched.work.outputs["trunk"]["logits"], mixed)
    encoded = branched.lane.execute(Job(r.Encode("cpu", 2, 0, "trunk", 1, "raw"), branched.work))
    assert isinstance(encoded, r.EncodeDone)
    branched.run("trunk", 0, 1)
    branched.run("trunk", 2, 3)
    assert_close(branched.work.outputs["trunk"]["logits"], branched.alive("trunk", 3)["logits"])
