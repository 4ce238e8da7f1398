"""What Hedgerow adds to bare inference: local runs against ONNX Runtime, remote ones against their parts timed alone.

Journal and reserve are on, one thread, a model alone. Local and bare runs alternate; the remote run's parts (encoding,
bytes to the server and back, decoding and computing) are timed in the same run, by turns with it. Timer lateness is the
session's own timer beside a running model. Predictions are those of the decisions, against what then happened.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hedgerow import codecs
from hedgerow.core import records as r
from hedgerow.core.policies import Choice, View
from hedgerow.device.session import Session, open_task
from hedgerow.device.timer import Timer
from hedgerow.errors import HostError
from hedgerow.models.fetch import fetch
from hedgerow.models.tensors import Tensors
from hedgerow.profiling import Profile, make_profile
from hedgerow.wire.client import CloudClient

_PREDICTED_AFTER = 50
_READY_S = 60.0


@dataclass
class Fixed:
    """Always the first arm of this kind; the reserve stands behind it as behind any other."""

    kind: str
    name: str = "fixed"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        for column, arm in enumerate(view.table.arms):
            if arm.name.startswith(self.kind) and view.admissible[column]:
                return Choice(column, r.Reason.POLICY_FIXED)
        return None


@dataclass
class Watch:
    """Collects what was predicted and what came, from the session's own records."""

    predicted: dict[int, tuple[float, float]] = field(default_factory=dict)
    pairs: list[tuple[float, float, float]] = field(default_factory=list)

    def __call__(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        for record in outcome.records:
            if isinstance(record, r.Decision):
                self.predicted[record.request] = (record.predicted_ms, record.predicted_p90_ms)
            elif isinstance(record, r.Delivered) and record.reason is not r.Reason.HOLD_ENDED:
                self.pairs.append((*self.predicted.pop(record.request), record.age_ms))

    def errors(self) -> list[float]:
        """|predicted - actual| / actual, warm-up left out."""
        return [abs(median - age) / age for median, _, age in self.pairs[_PREDICTED_AFTER:]]

    def pinball(self) -> list[float]:
        """Pinball loss of the predicted median and 90th percentile, over the actual latency."""
        losses = []
        for median, p90, age in self.pairs[_PREDICTED_AFTER:]:
            for level, said in ((0.5, median), (0.9, p90)):
                losses.append(max(level * (age - said), (level - 1) * (age - said)) / age)
        return losses


def bench_overhead(
    *, runs: int = 300, timers: int = 2000, say: Callable[[str], None] = lambda text: None
) -> dict[str, float]:
    """Measure everything; about a minute. Fetches MobileNetV2 when it is not there."""
    model = fetch("mobilenet-v2")
    feeds: Tensors = {"input": np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        say("profiling")
        profile = make_profile(open_task(model), quick=True, seconds=6.0)
        say("local against bare ONNX Runtime")
        watch = Watch()
        with _session(model, None, "local:", profile, Path(folder) / "local.jsonl") as session:
            session.listen(watch)
            local = _local(session, model, feeds, runs)
        say("remote against its parts")
        remote_watch = Watch()
        server, address = _serve(model)
        try:
            with _session(model, address, "cloud:", profile, Path(folder) / "remote.jsonl") as session:
                session.listen(remote_watch)
                remote = _remote(session, address, feeds, runs)
        finally:
            server.terminate()
            server.wait(10.0)
        say("timers beside a running model")
        lateness = _timers(model, feeds, timers)
    errors = watch.errors() + remote_watch.errors()
    pinball = watch.pinball() + remote_watch.pinball()
    return {
        **local,
        **remote,
        "timer_late_p999_ms": round(float(np.quantile(lateness, 0.999)), 3),
        "prediction_pinball": round(float(np.mean(pinball)), 4),
        "prediction_error_median": round(float(np.median(errors)), 4),
        "runs": runs,
    }


def _session(model: Path, server: str | None, arms: str, profile: Profile, journal: Path) -> Session:
    return Session(model, server, policy=Fixed(arms), profile=profile, journal=journal, deadline_ms=500.0)


def _local(session: Session, model: Path, feeds: Tensors, runs: int) -> dict[str, float]:
    from hedgerow.models.engines.onnxruntime_engine import bare_session

    bare = bare_session(model.read_bytes(), threads=1)
    ours: list[int] = []
    theirs: list[int] = []
    for number in range(runs + 20):
        pair = (ours, theirs) if number % 2 else (theirs, ours)
        for times in pair:
            begun = time.perf_counter_ns()
            if times is ours:
                session.run(None, feeds)
            else:
                bare.run(None, feeds)
            times.append(time.perf_counter_ns() - begun)
    base, excess = np.median(theirs[20:]), np.median(np.array(ours[20:]) - np.array(theirs[20:]))
    return {
        "local_overhead_ratio": round(float(excess / base), 4),
        "local_overhead_us": round(float(excess) / 1e3, 1),
        "bare_ms": round(float(base) / 1e6, 3),
    }


def _remote(session: Session, address: str, feeds: Tensors, runs: int) -> dict[str, float]:
    """Answers from the server against encode + the same bytes across + decode + compute, each alone, by turns."""
    codec = codecs.get("raw")
    told: list[r.AnswerArrived] = []

    def listen(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        if isinstance(event, r.AnswerArrived):
            told.append(event)

    session.listen(listen)
    size = len(codec.encode(feeds))
    whole, parts = [], []
    with CloudClient(address) as client:
        for _ in range(runs):
            before = len(told)
            begun = time.perf_counter_ns()
            session.answer(feeds)
            taken = time.perf_counter_ns() - begun
            begun = time.perf_counter_ns()
            codec.encode(feeds)
            encoding = time.perf_counter_ns() - begun
            crossing = _cross(client, size)
            if len(told) > before and crossing is not None:
                whole.append(taken)
                parts.append(encoding + crossing + told[-1].queue_ns + told[-1].decode_ns + told[-1].compute_ns)
    if len(whole) < runs // 2:
        raise HostError(f"only {len(whole)} of {runs} requests were answered by the server; the machine is too busy")
    base, excess = np.median(parts), np.median(np.array(whole) - np.array(parts))
    return {
        "remote_over_parts_ratio": round(float(excess / base), 4),
        "remote_over_parts_ms": round(float(excess) / 1e6, 3),
        "parts_ms": round(float(base) / 1e6, 3),
    }


def _cross(client: CloudClient, size: int) -> int | None:
    """The same bytes over the same wire, with nothing computed: until the last one is acknowledged, in ns."""
    done = threading.Event()
    taken: list[int] = []

    def on_done(trip_ns: int, transfer_ns: int, payload: int, now_ns: int) -> None:
        taken.append(transfer_ns)
        done.set()

    client.probe(size, fresh=False, timeout_s=2.0, on_done=on_done, on_lost=lambda now_ns: done.set())
    done.wait(3.0)
    return taken[0] if taken else None


def _serve(model: Path) -> "tuple[subprocess.Popen[str], str]":
    command = [sys.executable, "-m", "hedgerow.cli.main", "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.startswith("serving on "):
        process.kill()
        process.wait(10.0)
        raise HostError("the server of the benchmark did not start")
    return process, line.removeprefix("serving on ")


def _timers(model: Path, feeds: Tensors, count: int) -> list[float]:
    """Lateness in ms of the reserve's timer while a model runs on another thread."""
    from hedgerow.models.engines.onnxruntime_engine import bare_session

    bare, stop = bare_session(model.read_bytes(), threads=1), threading.Event()

    def work() -> None:
        while not stop.is_set():
            bare.run(None, feeds)

    worker = threading.Thread(target=work)
    worker.start()
    fired, late = threading.Event(), []

    def fire() -> None:
        late.append((time.monotonic_ns() - due) / 1e6)
        fired.set()

    timer = Timer(fire)
    try:
        for number in range(count):
            fired.clear()
            due = time.monotonic_ns() + 1_000_000 * (1 + number % 7)
            timer.set(due)
            fired.wait(1.0)
    finally:
        timer.close()
        stop.set()
        worker.join(10.0)
    return late
