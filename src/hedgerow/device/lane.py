"""One device lane for real: a thread that runs one job at a time, and lets a caller run a job on its own thread.

Jobs come from the core through `begin`; each ends with exactly one event (RunDone, EncodeDone, JobEnded), whatever goes
wrong in it. A caller who waits for the answer anyway may `execute` the job himself: that saves two thread switches.
`preempt` stops a job at its next joint, `cancel` ends the engine's call.

What a run leaves is kept where it ended, and of a branch also where it left its trunk: so the run of an exit is done in two
pieces, without a copy. What is kept belongs to whose segments made it, so that kin find it (core/arms.py: `LocalModel`).

`stretch` makes this lane pretend to be a slower one: after each segment it waits for as long as the function says, given
the segment's profiled median (see emulation.slow_device). None in real use.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from hedgerow import codecs
from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable, CrossStep
from hedgerow.device.seeing import See, blind
from hedgerow.errors import EngineError, HedgerowError
from hedgerow.models.chain import Chain
from hedgerow.models.engines import Cancelled
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors

Post = Callable[[r.Event], None]
Stretch = Callable[[int], int]
_LOG = logging.getLogger("hedgerow")


def crossing_key(model: str, joint: int, codec: str) -> str:
    """How the profile names the calibration of what crosses."""
    return f"{model}@{joint}:{codec}"


@dataclass(slots=True)
class Workpiece:
    """What a request has on this device: its living tensors by (model whose segments made them, joint), its outputs by model, its
    payload; and whose frame it is."""

    sample: Tensors
    joints: dict[tuple[str, int], Tensors] = field(default_factory=dict)
    outputs: dict[str, Tensors] = field(default_factory=dict)
    payload: bytes = b""
    cuts: tuple[int, ...] = ()  # where the payload may be cut
    remote: Tensors | None = None
    stream: str = ""


@dataclass(slots=True)
class Job:
    """A Run or Encode under way; the flags are set by other threads."""

    action: r.Run | r.Encode
    work: Workpiece
    preempted: bool = False
    cancelled: bool = False


class Lane:
    """Runs jobs for the lane called `name`; `post` takes the event that ends each."""

    def __init__(
        self,
        name: str,
        chains: dict[str, Chain],
        task: Task,
        table: ArmTable,
        calibrations: Mapping[str, codecs.Calibration],
        post: Post,
        stretch: Stretch | None = None,
        see: See = blind,
    ) -> None:
        self.name = name
        self._chains, self._task, self._post, self._stretch = chains, task, post, stretch
        self._models, self._see = {model.name: model for model in table.locals}, see
        self._encode_median = {
            (step.codec, *arm.sends(position)): step.encode_median_ns
            for arm in table.arms
            for position, step in enumerate(arm.steps)
            if isinstance(step, CrossStep)
        }
        self._calibrations = calibrations
        self._codecs: dict[str, codecs.Codec] = {}
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._current: Job | None = None
        self._thread = threading.Thread(target=self._serve, name=f"hedgerow-lane-{name}", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------------------------------- called under the core

    def begin(self, action: r.Run | r.Encode, work: Workpiece) -> Job:
        """Make the lane's next job the current one; `enqueue` it or `execute` it next."""
        job = Job(action, work)
        self._wake.clear()
        with self._lock:
            self._current = job
        return job

    @property
    def thread(self) -> int:
        """The native id of the thread that runs what is enqueued."""
        return self._thread.native_id or 0

    def enqueue(self, job: Job) -> None:
        self._queue.put(job)

    def preempt(self, job_number: int) -> None:
        """Stop at the next joint; an unknown job is over already."""
        with self._lock:
            if self._current is not None and self._current.action.job == job_number:
                self._current.preempted = True

    def cancel(self, job_number: int) -> None:
        """End the job as soon as the engine lets go."""
        with self._lock:
            job = self._current
            if job is None or job.action.job != job_number:
                return
            job.cancelled = True
            self._wake.set()
            if isinstance(job.action, r.Run):
                self._chains[job.action.model].cancel()

    def codec(self, spec: str, model: str, joint: int) -> codecs.Codec:
        """The codec for a crossing, with the calibration that the profile keeps for it."""
        key = crossing_key(model, joint, spec)
        if key not in self._codecs:
            self._codecs[key] = codecs.get(spec, calibration=self._calibrations.get(key))
        return self._codecs[key]

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what runs and end the thread."""
        with self._lock:
            job = self._current
        if job is not None:
            self.cancel(job.action.job)
        self._queue.put(None)
        self._thread.join(timeout_s)

    # --------------------------------------------------------------------------------------------- on the job's thread

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            self._post(self.execute(job))

    def execute(self, job: Job) -> r.Event:
        """Do the job on this thread; returns the event that ends it."""
        try:
            return self._run(job, job.action) if isinstance(job.action, r.Run) else self._encode(job, job.action)
        except Cancelled:
            return r.JobEnded(self.name, job.action.job)
        except HedgerowError as error:
            return r.JobEnded(self.name, job.action.job, str(error))
        except Exception as error:  # noqa: BLE001 - supervisor: a lane that died would leave every request unanswered
            _LOG.exception("job %d on lane %s failed in an unforeseen way", job.action.job, self.name)
            return r.JobEnded(self.name, job.action.job, f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                if self._current is job:
                    self._current = None

    def _run(self, job: Job, action: r.Run) -> r.Event:
        times: list[int] = []
        medians = self._models[action.model].segment_median_ns

        def segment_done(index: int, duration_ns: int) -> None:
            times.append(duration_ns + self._pretend(job, medians[index]))

        tensors = self._kept(job.work, action.model, action.first - 1)
        if job.cancelled:
            raise Cancelled("cancelled before it began")
        for first, last in self._pieces(action):
            ran = self._chains[action.model].run(
                tensors, first, last, should_stop=lambda: job.preempted or job.cancelled, segment_done=segment_done
            )
            if job.cancelled:
                raise Cancelled("cancelled at a joint")
            tensors = job.work.joints[self._owner(action.model, ran.last), ran.last] = ran.tensors
            if job.preempted:
                break
        confidence = view = None
        if ran.last == len(medians) - 1:
            job.work.outputs[action.model] = ran.tensors
            confidence = self._task.interpret(ran.tensors).confidence
            view = self._see(action.model, ran.tensors)
        return r.RunDone(self.name, action.job, ran.last, tuple(times), confidence, view)

    def _pieces(self, action: r.Run) -> list[tuple[int, int]]:
        """(first, last) of what is run in one go: a branch's run is parted where it leaves its trunk."""
        shared = self._models[action.model].shared
        if action.first <= shared < action.last:
            return [(action.first, shared), (shared + 1, action.last)]
        return [(action.first, action.last)]

    def _owner(self, model: str, joint: int) -> str:
        """The model whose segments made what is alive there."""
        found = self._models[model]
        return found.trunk if joint <= found.shared else model

    def _kept(self, work: Workpiece, model: str, joint: int) -> Tensors:
        """What is alive at that joint (-1: the sample): the model's own, its kin's, or a copy's in another precision."""
        if joint < 0:
            return work.sample
        mine = self._models[model]
        for name in (self._owner(model, joint), *(name for name, each in self._models.items() if mine.alike(each))):
            if (name, joint) in work.joints:
                return work.joints[name, joint]
        raise EngineError(f"joint {joint} of '{model}' is not kept on this device")

    def _encode(self, job: Job, action: r.Encode) -> r.Event:
        started = time.monotonic_ns()
        tensors = self._kept(job.work, action.model, action.joint)
        codec = self.codec(action.codec, action.model, action.joint)
        job.work.payload = codec.encode(tensors)
        job.work.cuts = codecs.prefix_ends(codec, job.work.payload)
        self._pretend(job, self._encode_median.get((action.codec, action.model, action.joint), 0))
        if job.cancelled:
            raise Cancelled("cancelled while encoding")
        return r.EncodeDone(self.name, action.job, len(job.work.payload), time.monotonic_ns() - started)

    def _pretend(self, job: Job, median_ns: int) -> int:
        """Wait as a slower device would; ends early when the job is cancelled. Returns how long it was, in ns."""
        if self._stretch is None or job.cancelled:
            return 0
        # the table's medians are the slow device's: what this machine's own median leaves to wait is the function's affair
        extra = self._stretch(median_ns)
        started = time.perf_counter_ns()
        if extra > 0:
            self._wake.wait(extra / 1e9)
        return time.perf_counter_ns() - started
