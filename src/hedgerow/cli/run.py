"""`hedgerow run`: answer the samples of a folder at a rate, watch it live, and sum up."""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.cli._policies import POLICY_HELP
from hedgerow.cli._run_beside import ReuseOption, RouterOption, SendOption, SpoolOption, declare_reuse, routing
from hedgerow.errors import HostError, UsageError

if TYPE_CHECKING:
    from hedgerow.assurance.certification import CertificateFile
    from hedgerow.cli._run_beside import Look
    from hedgerow.core import Outcome
    from hedgerow.device.answer import Answer
    from hedgerow.device.session import Session
    from hedgerow.models.task import Task

SAMPLES_BYTES_MAX = 1 << 30
PATIENCE_S = 5.0  # how long after the last deadline answers are waited for


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(
    task: Annotated[Path, typer.Argument(help="A task file (.toml) or a model file (.onnx).")],
    folder: Annotated[Path, typer.Option("--input", help="A folder of pictures, or of .npz files for tensors.")],
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="Samples a second.")] = 10.0,
    server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A server (else the device alone).")] = None,
    profile: Annotated[Path | None, typer.Option(help="A profile file (else a quick one is measured now).")] = None,
    deadline_ms: Annotated[float, typer.Option(help="From capture to answer.")] = 100.0,
    criticality: Annotated[str, typer.Option(help="safety, mission or background.")] = "mission",
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "ours",
    journal: Annotated[Path | None, typer.Option(help="Keep every decision in this file.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Run its streams, each at its own period, under its rules (needs --profile).")
    ] = None,
    arbitration: Annotated[Path | None, typer.Option(help="Rules for models that see different things.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Go through the folder so many times.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Go on for so long instead.")] = None,
    determinism: Annotated[
        str, typer.Option(help="whole (this process is steadied), own (its threads) or off.")
    ] = "whole",
    reuse: ReuseOption = None,
    router: RouterOption = None,
    spool: SpoolOption = None,
    send: SendOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per answer, then the summary.")] = False,
) -> None:
    """Answer every sample by its deadline, with a live view on a terminal. Ctrl-C ends it with the summary."""
    from hedgerow.device.determinism import by_name
    from hedgerow.device.session import Session, address_of, open_task

    steady = by_name(determinism)
    if server is not None:
        address_of(server)
    opened = open_task(task)
    samples = read_samples(opened, folder)
    proof, periods_ns = _streams(certificate, rate)
    if proof is not None:
        deadline_ms = max(each.deadline_ns for each in proof.governing().streams) / 1e6
    a_second = sum(1e9 / each for each in periods_ns.values())
    count = _count(seconds, repeat, len(samples), a_second)
    how = ", ".join(str(name) for name in periods_ns if name) or criticality
    title = f"hedgerow run   {opened.name}   {server or 'device alone'}   {deadline_ms:g} ms, {how}, {policy}"
    with ExitStack() as stack:
        say: Callable[[str], None] = _say
        made: dict[str, Any] = {"profile": profile, "policy": policy, "certificate": proof, "arbitration": arbitration}
        made |= {"journal": journal, "determinism": steady}
        stream = {"deadline_ms": deadline_ms, "criticality": criticality, "period_ms": 1000.0 / rate}
        frames = samples if profile is None else ()
        session = stack.enter_context(
            Session(opened, server, frames=frames, say=lambda text: say(text), **made, **stream)  # type: ignore[arg-type]
        )
        declare_reuse(session, reuse, stream)
        if sys.stderr.isatty() and not as_json:
            say = _live(stack, session, title, deadline_ms)
        teller = stack.enter_context(Teller(_answer_line if as_json else lambda _answer: None))
        summary = Summary(deadline_ms, teller.tell, look=routing(stack, session, router, spool, send, _say))
        session.listen(summary.watch)
        offer(session, list(samples.values()), summary, list(schedule(periods_ns, count)))
    print(json.dumps({"summary": summary.to_dict()}) if as_json else summary.text())
    if proof is not None and (summary.withdrawn or summary.late):
        raise typer.Exit(1)


def _count(seconds: float | None, repeat: int | None, samples: int, a_second: float) -> int:
    """How many samples are offered."""
    if repeat is not None and seconds is not None:
        raise UsageError("give --repeat or --seconds, not both")
    return max(1, round(seconds * a_second) if seconds is not None else samples * (repeat or 1))


def _live(stack: ExitStack, session: "Session", title: str, deadline_ms: float) -> Callable[[str], None]:
    """Show it on the terminal, from a process of its own; returns what notes a line there."""
    from hedgerow.views.process import LiveView

    view = stack.enter_context(LiveView(title=title, deadline_ms=deadline_ms))
    session.listen(view.feed.tell)
    return view.note


def _streams(certificate: Path | None, rate: float) -> tuple["CertificateFile | None", dict[str | None, int]]:
    """The certificate, and the period of each stream in ns; without one: the session's own stream at `rate`."""
    if certificate is None:
        return None, {None: round(1e9 / rate)}
    from hedgerow.assurance.certification import load

    proof = load(certificate)
    return proof, {each.name: each.period_ns or round(1e9 / rate) for each in proof.governing().streams}


def _say(text: str) -> None:
    print(f"hedgerow: {text}", file=sys.stderr)


def read_samples(task: "Task", folder: Path) -> dict[str, Any]:
    """The folder's samples by file name: pictures for a task of frames, .npz files of named tensors otherwise.

    UsageError naming the folder or file: not there, empty, unreadable, more than SAMPLES_BYTES_MAX, or not fit for the task.
    """
    from hedgerow.profiling import read_folder

    if task.model(task.reference).preparation is not None:
        return dict(read_folder(folder))
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one that holds .npz files")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".npz")
    except OSError as error:
        raise HostError(f"cannot list the folder {folder}: {error.strerror or error}") from error
    if not paths:
        names = ", ".join(spec.name for spec in task.inputs)
        raise UsageError(f"there is no .npz file in {folder}; task '{task.name}' takes the tensors {names}")
    if sum(path.stat().st_size for path in paths) > SAMPLES_BYTES_MAX:
        raise UsageError(f"the samples in {folder} are more than {SAMPLES_BYTES_MAX >> 30} GiB; give fewer")
    return {path.name: task.sample(_tensors(path)) for path in paths}


def _tensors(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UsageError(f"{path} does not read as an .npz file of plain arrays ({error})") from None


class Teller:
    """Says answers on a thread of its own, in order: a slow reader of our output holds up no lane and no timer."""

    def __init__(self, say: "Callable[[Answer], None]") -> None:
        self._say = say
        self._queue: SimpleQueue[Answer | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="hedgerow-teller", daemon=True)

    def tell(self, answer: "Answer") -> None:
        self._queue.put(answer)

    def _serve(self) -> None:
        while (answer := self._queue.get()) is not None:
            self._say(answer)

    def __enter__(self) -> "Teller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()


@dataclass(slots=True)
class Summary:
    """Counts answers as they come; `tell` is called with each; `deadline_ms` is the longest there is. Latency is capture to the moment the answer was handed over."""

    deadline_ms: float
    tell: "Callable[[Answer], None]"
    look: "Look | None" = None  # takes each sample with its answer
    offered: int = 0
    late: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    by_arm: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    by_mode: Counter[str] = field(default_factory=Counter)  # of answers that a certificate's proof covers
    uplink_bytes: int = 0
    energy_mj: float = 0.0
    interrupted: bool = False
    withdrawn: int = 0
    differing: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def take(self, answer: "Answer", latency_ms: float) -> None:
        """Count one answer, from any thread."""
        with self.lock:
            self.latencies_ms.append(latency_ms)
            usable = answer.status in ("answered", "late", "safe_value")
            self.late += not usable or latency_ms > answer.deadline_ms
            self.by_arm[answer.arm or "none"] += 1
            self.by_status[answer.status.value] += 1
            self.by_reason[answer.reason] += 1
            self.by_mode.update([answer.mode] if answer.mode else [])
            self.uplink_bytes += answer.uplink_bytes
            self.energy_mj += answer.energy_mj
            self.tell(answer)
            self.lock.notify_all()

    def watch(self, _now_ns: int, _event: object, outcome: "Outcome") -> None:
        """A listener for Session.listen: counts withdrawals, and requests whose models saw different things."""
        kinds = [type(record).__name__ for record in outcome.records]
        self.withdrawn += kinds.count("CertificateWithdrawn")
        self.differing += kinds.count("Arbitrated")

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        from hedgerow.assurance.deadlines import quantile

        ascending = sorted(self.latencies_ms)
        p50, p99, longest = (quantile(ascending, share) for share in (0.5, 0.99, 1.0))
        return {
            "requests": self.offered,
            "in_time": len(ascending) - self.late,
            "late": self.late + self.offered - len(ascending),
            "by_status": dict(self.by_status),
            "by_arm": dict(self.by_arm),
            "by_reason": dict(self.by_reason),
            "by_mode": dict(self.by_mode),
            "p50_ms": p50,
            "p99_ms": p99,
            "max_ms": longest,
            "uplink_bytes": self.uplink_bytes,
            "energy_mj": round(self.energy_mj, 1),
            "withdrawn": self.withdrawn,
            "views_differed": self.differing,
            "interrupted": self.interrupted,
        }

    def text(self) -> str:
        """For people."""
        found = self.to_dict()
        safe = self.by_status.get("safe_value", 0)
        kinds = (
            f"{found['in_time'] - safe} answered in time, {safe} safe values" if safe else f"{found['in_time']} in time"
        )
        lines = [f"{found['requests']} samples: {kinds}, {found['late']} late or unanswered"]
        if self.interrupted:
            lines[0] += " (interrupted)"
        if self.latencies_ms:
            lines.append(
                f"latency   p50 {found['p50_ms']:.1f}   p99 {found['p99_ms']:.1f}   max {found['max_ms']:.1f} ms"
            )
        counted = {"arms": self.by_arm, "status": self.by_status, "reasons": self.by_reason, "certified": self.by_mode}
        for title, counts in counted.items() if self.by_mode else list(counted.items())[:3]:
            lines.append(f"{title:<9} " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
        lines.append(f"used      {self.uplink_bytes:,} bytes up, {self.energy_mj:,.0f} mJ (modelled)")
        if self.differing:
            lines.append(
                f"views     differed {self.differing} times: the journal holds each with the rule that decided"
            )
        if self.withdrawn:
            lines.append(f"the certificate was withdrawn {self.withdrawn} times: see the lines above, or the journal")
        return "\n".join(lines)


Due = tuple[int, str | None]
"""When a sample is captured, in ns from the start, and its stream (None: the session's own)."""


def schedule(periods_ns: Mapping[str | None, int], count: int) -> Iterator[Due]:
    """The first `count` captures of these streams, each at its own period, in their order; they do not begin together."""
    due = [(period_ns * place // len(periods_ns), name) for place, (name, period_ns) in enumerate(periods_ns.items())]
    for _ in range(count):
        moment_ns, name = min(due, key=lambda each: each[0])
        due[due.index((moment_ns, name))] = (moment_ns + periods_ns[name], name)
        yield moment_ns, name


def offer(session: "Session", samples: list[Any], summary: Summary, dues: list[Due]) -> None:
    """Submit a sample, in turn, whenever one is due, and wait for their answers; Ctrl-C ends the offering, not the answers."""
    start_ns = time.monotonic_ns() + 50_000_000
    with _interruptible() as stop:
        for index, (after_ns, stream) in enumerate(dues):
            captured_ns = start_ns + after_ns
            while (left_ns := captured_ns - time.monotonic_ns()) > 0 and not stop.is_set():
                stop.wait(left_ns / 1e9)
            if stop.is_set():
                break
            _submit(session, samples[index % len(samples)], captured_ns, stream, summary)
        summary.interrupted = stop.is_set()
    _await(summary)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that nothing is cut off in the middle of a step; the next one ends all."""
    stop = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _submit(session: "Session", sample: Any, captured_ns: int, stream: str | None, summary: Summary) -> None:
    future = session.submit(sample, captured_at=captured_ns / 1e9, stream=stream)
    summary.offered += 1
    if summary.look is not None:
        look = summary.look
        future.add_done_callback(lambda done: look(sample, done.result()))
    future.add_done_callback(lambda done: summary.take(done.result(), (time.monotonic_ns() - captured_ns) / 1e6))


def _await(summary: Summary) -> None:
    with summary.lock:
        patience_s = summary.deadline_ms / 1e3 + PATIENCE_S
        summary.lock.wait_for(lambda: len(summary.latencies_ms) == summary.offered, patience_s)


def _answer_line(answer: "Answer") -> None:
    told: Mapping[str, Any] = {
        "request": answer.request,
        "status": answer.status.value,
        "source": answer.source.value,
        "arm": answer.arm,
        "reason": answer.reason,
        "stream": answer.stream,
        "mode": answer.mode,
        "label": answer.label,
        "label_index": answer.label_index,
        "confidence": answer.confidence,
        "age_ms": round(answer.age_ms, 3),
        "in_time": answer.in_time,
        "agreement": answer.agreement,
        "energy_mj": answer.energy_mj,
        "uplink_bytes": answer.uplink_bytes,
        "prefix_share": answer.prefix_share,
    }
    try:
        print(json.dumps(told), flush=True)
    except BrokenPipeError:  # nobody reads any more: what is still said goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
