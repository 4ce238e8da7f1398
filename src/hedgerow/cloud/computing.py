"""What a lane does for one request: decode, run the segments while the result is wanted, and say where the time went."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hedgerow.cloud.catalogue import ServedModel
from hedgerow.cloud.lanes import Job
from hedgerow.models.tensors import Tensors

Decode = Callable[[], Tensors]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The tensors alive after the last segment, and the time it took."""

    tensors: Tensors
    decode_ns: int
    compute_ns: int
    segment_ns: tuple[int, ...]


def job_for(
    served: ServedModel, first: int, last: int, decode: Decode, *, deadline_ns: int, expected_ns: int
) -> Job[Outcome]:
    """A job that runs segments first..last (inclusive) on what `decode` gives."""

    def work(job: Job[Outcome]) -> Outcome:
        return _compute(served, first, last, decode, job)

    return Job(work, deadline_ns=deadline_ns, expected_ns=expected_ns)


def _compute(served: ServedModel, first: int, last: int, decode: Decode, job: Job[Outcome]) -> Outcome:
    start_ns = time.monotonic_ns()
    tensors = decode()
    decoded_ns = time.monotonic_ns()
    segment_ns: list[int] = []

    def segment_done(segment: int, duration_ns: int) -> None:
        segment_ns.append(duration_ns)
        served.times.note(segment, duration_ns)

    run = served.chain.run(tensors, first, last, should_stop=job.should_stop, segment_done=segment_done)
    if run.last < last:
        raise job.stopped_fault(f"after segment {run.last} of {last}")
    compute_ns = time.monotonic_ns() - decoded_ns
    return Outcome(run.tensors, decoded_ns - start_ns, compute_ns, tuple(segment_ns))
