"""How late a timer fires beside a running model, how long one takes to stop, and how long an answer takes to its caller.

The timer is the one that starts reserves: `Event.wait` in a thread of its own, with the kernel's timer slack for that
thread set to 1 ns where it can be (Linux). A delivery is what the session does from a run's end on: the core's step, the
answer's meaning, the caller's future. Timers and deliveries are measured while the slowest chain runs in another thread.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from hedgerow.core import Arm, ArmTable, Core, LocalModel, RunStep, Stream
from hedgerow.core.policies import by_name
from hedgerow.core.records import SECOND, RequestArrived, Run, RunDone
from hedgerow.errors import EngineError, HedgerowError
from hedgerow.models.chain import Chain
from hedgerow.models.engines import Cancelled
from hedgerow.models.task import Task
from hedgerow.profiling.samples import Sample
from hedgerow.profiling.timer_slack import tighten_timer_slack

WAIT_S = 0.003
_RUN_TIMEOUT_S = 30.0


def timer_lateness_ns(chain: Chain, samples: Sequence[Sample], *, count: int, wait_s: float = WAIT_S) -> list[int]:
    """By how much each of `count` waits of `wait_s` ended late, while `chain` runs."""
    late: list[int] = []

    def wait() -> None:
        tighten_timer_slack()
        never = threading.Event()
        for _ in range(count):
            due_ns = time.perf_counter_ns() + round(wait_s * 1e9)
            never.wait(wait_s)
            late.append(max(0, time.perf_counter_ns() - due_ns))

    thread = threading.Thread(target=wait, name="hedgerow-timer-check", daemon=True)
    thread.start()
    runs = 0
    while thread.is_alive():
        chain.run(samples[runs % len(samples)].tensors)
        runs += 1
    thread.join()
    return late


def delivery_ns(task: Task, name: str, chain: Chain, samples: Sequence[Sample], *, count: int) -> list[int]:
    """How long each of `count` deliveries takes, from before the core's step to after the caller was called back, while
    `chain`, the open model `name`, runs."""
    last = len(chain.segments) - 1
    outputs = chain.run(samples[0].tensors).tensors
    model = LocalModel(name, "cpu", 1.0, *[(SECOND,) * (last + 1)] * 4)
    table = ArmTable((Arm(f"local:{name}", (RunStep("device", name, 0, last, SECOND),), 1.0),), (model,))
    core = Core(table, policy=by_name("ours"), streams=(Stream("main", 60 * SECOND),))
    took: list[int] = []
    failures: list[HedgerowError] = []

    def deliver(request: int) -> None:
        outcome = core.step(RequestArrived(request, "main", time.monotonic_ns()), now_ns=time.monotonic_ns())
        run = next((each for each in outcome.actions if isinstance(each, Run)), None)
        if run is None:
            raise HedgerowError(
                "the core started no run for a lone request: deliveries cannot be measured; please report it"
            )
        began_ns = time.monotonic_ns()
        core.step(RunDone(run.lane, run.job, run.last, (1,) * (last + 1)), now_ns=began_ns)
        task.interpret(outputs)
        future: Future[None] = Future()
        future.add_done_callback(lambda _: took.append(time.monotonic_ns() - began_ns))
        future.set_result(None)

    def work() -> None:
        try:
            for request in range(count):
                deliver(request)
                time.sleep(WAIT_S)
        except HedgerowError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="hedgerow-delivery-check", daemon=True)
    thread.start()
    runs = 0
    while thread.is_alive():
        chain.run(samples[runs % len(samples)].tensors)
        runs += 1
    thread.join()
    if failures:
        raise failures[0]
    return took


def cancellation_ns(chain: Chain, samples: Sequence[Sample], *, count: int, median_ns: int) -> list[int]:
    """Time from `chain.cancel()` until its run has ended, at `count` moments spread over a run of `median_ns`.

    A run that was over before it was told to stop teaches nothing; if all were, the list is one 0.
    """
    moments_s = [median_ns * 1e-9 * 0.9 * (index + 0.5) / count for index in range(count)]
    found = [_cancel_once(chain, samples[i % len(samples)], after_s=moment) for i, moment in enumerate(moments_s)]
    return [each for each in found if each is not None] or [0]


def _cancel_once(chain: Chain, sample: Sample, *, after_s: float) -> int | None:
    """Start a run, cancel it `after_s` later: the ns it took to end; None if it ended by itself."""
    begun = threading.Event()
    ended_ns: list[int] = []
    failures: list[EngineError] = []

    def run() -> None:
        begun.set()
        try:
            chain.run(sample.tensors)
        except Cancelled:
            ended_ns.append(time.perf_counter_ns())
        except EngineError as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="hedgerow-cancel-check", daemon=True)
    thread.start()
    begun.wait(_RUN_TIMEOUT_S)
    time.sleep(after_s)
    told_ns = time.perf_counter_ns()
    chain.cancel()
    thread.join(_RUN_TIMEOUT_S)
    if failures:
        raise failures[0]
    return ended_ns[0] - told_ns if ended_ns else None
