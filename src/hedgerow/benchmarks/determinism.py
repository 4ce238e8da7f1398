"""Each determinism setting on and off, by turns in one run, beside the load that it is meant for.

One session answers a model's requests on the device at a steady rate, each given to its lane as a camera would; beside it the
session's kind of timer waits 1 to 7 ms, about once for each request. A setting is switched with every block of requests, the order within a
pair of blocks too, so that what drifts meets both alike. Loads: `processes` (one computing process for each core),
`thread` (a Python thread that computes), `garbage` (a large heap of the caller's that grows and sheds while requests are in
flight), `none`. Rules: a setting that is refused is told so and not timed; a gain is claimed only if the 99th percentile
fell by a tenth and more pairs of blocks were better than chance would give in one of forty tries (sign test); a control that
switches nothing shows what the machine's own noise looks like; figures of a setting hold beside its load alone.
"""

import gc
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hedgerow.core import records as r
from hedgerow.device import scheduling
from hedgerow.device.determinism import SWITCH_INTERVAL_S, Applied, Determinism, apply
from hedgerow.device.driver import Listener
from hedgerow.device.session import Session, open_task
from hedgerow.device.timer import Timer
from hedgerow.doctor.timing import computing_thread
from hedgerow.models.fetch import fetch
from hedgerow.models.tensors import Tensors
from hedgerow.profiling import Profile, make_profile
from hedgerow.profiling.busy import busy_processes
from hedgerow.profiling.host import usable_cores

BLOCK = 25  # requests
PERIOD_S = 0.02
SETTLE = 3  # requests after each switch that are not counted
_HEAP, _KEPT, _SHED = 300_000, 40_000, 10_000  # containers: the caller's own, the young at any time, one request's
_GAIN, _CHANCE = 0.9, 0.025
Churn = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Durations in ms."""

    p50: float
    p99: float
    p999: float
    max: float
    count: int


@dataclass(frozen=True, slots=True)
class Pauses:
    """Garbage collections that began while a request was in flight, and what they took, ms."""

    count: int
    longest_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One setting beside its load. `ratio` is the 99th percentile on over off; `pairs_better` of the pairs of blocks.

    `judged` names what the setting is meant to steady, and what `verdict` stands on: "latency" or "timer".
    """

    setting: str
    load: str
    done: bool
    how: str
    judged: str
    latency_off: Quantiles | None = None
    latency_on: Quantiles | None = None
    timer_off: Quantiles | None = None
    timer_on: Quantiles | None = None
    pauses_off: Pauses | None = None
    pauses_on: Pauses | None = None
    ratio: float | None = None
    pairs_better: float | None = None
    verdict: str = "refused here"


@dataclass(slots=True)
class Block:
    """What one block of requests gave, in ms."""

    latency: list[float] = field(default_factory=list)
    timer: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)


class Rig:
    """A session, the timer beside it, and the settings switched on both; one of determinism's Threads."""

    def __init__(self, model: Path, profile: Profile, feeds: Tensors) -> None:
        self._session = Session(
            model, profile=profile, deadline_ms=1000.0, determinism=Determinism.off(), watch_vitals=False
        )
        self._feeds = feeds
        self._watch: Listener | None = None
        self._session.listen(self._relay)
        self._late: list[float] = []
        self._fired = threading.Event()
        self._due_ns = 0
        self._timer = Timer(self._fire)
        self._pauses: list[float] = []
        self._flying, self._begun_ns = False, 0
        gc.callbacks.append(self._collection)

    @property
    def timer_thread(self) -> int:
        return self._timer.thread

    @property
    def lane_threads(self) -> Mapping[str, int]:
        return self._session._driver.lane_threads

    def listen(self, listener: Listener) -> None:
        self._watch = listener

    def _relay(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        if self._watch is not None:
            self._watch(now_ns, event, outcome)

    @contextmanager
    def switched(self, settings: Determinism) -> Iterator[Applied]:
        """The settings in force for this block, and everything as it was after it."""
        applied = apply(settings, self)
        try:
            yield applied
        finally:
            applied.close()
            self._watch = None
            for thread in (self.timer_thread, *self.lane_threads.values()):
                scheduling.thread_as_others(thread)

    def _collection(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._begun_ns = time.perf_counter_ns() if self._flying else 0
        elif self._begun_ns:
            self._pauses.append((time.perf_counter_ns() - self._begun_ns) / 1e6)

    def block(self, requests: int, churn: Churn) -> Block:
        """Answer `requests` at the rate, with the timer beside them."""
        found, self._late, self._pauses = Block(), [], []
        stop = threading.Event()
        waiter = threading.Thread(target=self._wait_over_and_over, args=(stop,))
        waiter.start()
        start = time.monotonic()
        try:
            for number in range(requests):
                time.sleep(max(0.0, start + number * PERIOD_S - time.monotonic()))
                begun, self._flying = time.perf_counter_ns(), True
                future = self._session.submit(self._feeds)
                churn()
                future.result()
                self._flying = False
                found.latency.append((time.perf_counter_ns() - begun) / 1e6)
        finally:
            stop.set()
            waiter.join()
        found.timer, found.pauses = self._late, self._pauses
        return found

    def _wait_over_and_over(self, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            self._fired.clear()
            self._due_ns = time.monotonic_ns() + 1_000_000 * (1 + number % 7)
            self._timer.set(self._due_ns)
            self._fired.wait(1.0)
            stop.wait(PERIOD_S)
            number += 1

    def _fire(self) -> None:
        self._late.append(max(0, time.monotonic_ns() - self._due_ns) / 1e6)
        self._fired.set()

    def close(self) -> None:
        gc.callbacks.remove(self._collection)
        self._timer.close()
        self._session.close()


@contextmanager
def _processes() -> Iterator[Churn]:
    with busy_processes(usable_cores()):
        yield lambda: None


@contextmanager
def _thread() -> Iterator[Churn]:
    with computing_thread():
        yield lambda: None


@contextmanager
def _garbage() -> Iterator[Churn]:
    heap = [[number] for number in range(_HEAP)]
    kept: deque[list[object]] = deque(maxlen=_KEPT)

    def churn() -> None:
        for _ in range(_SHED // 2):
            circle: list[object] = []
            circle.append(circle)
            kept.append(circle)
            kept.append([circle])

    yield churn
    heap.clear()


@contextmanager
def _none() -> Iterator[Churn]:
    yield lambda: None


_LOADS: dict[str, Callable[[], AbstractContextManager[Churn]]] = {
    "processes": _processes, "thread": _thread, "garbage": _garbage, "none": _none
}  # fmt: skip


def _plans() -> list[tuple[str, Determinism, str, str]]:
    """(setting, what is asked for, load, what is judged)."""
    off, last = Determinism.off(), max(os.sched_getaffinity(0))
    own = Determinism(timer_priority=None, lane_cores=(last,))
    switch = Determinism(timer_priority=None, switch_interval_s=SWITCH_INTERVAL_S)
    return [
        ("timer priority", Determinism(), "processes", "timer"),
        ("lane cores", own, "processes", "latency"),
        ("switch interval", switch, "thread", "timer"),
        ("collect when idle", Determinism(timer_priority=None, collect_when_idle=True), "garbage", "latency"),
        ("lock memory", Determinism(timer_priority=None, lock_memory=True), "none", "latency"),
        ("nothing (control)", off, "processes", "latency"),
    ]


def bench_determinism(
    *, requests: int = 500, subject: "tuple[Path, Profile, Tensors] | None" = None, say: Callable[[str], None] = print
) -> list[Row]:
    """`requests` with each setting on and as many with it off; about 20 ms each. `subject`: model, its profile and one
    sample (MobileNetV2, fetched and profiled now)."""
    rig = Rig(*(subject or _mobilenet(say)))
    try:
        rows = []
        for name, settings, load, judged in _plans():
            say(f"{name} (load: {load})")
            rows.append(_row(rig, name, settings, load, judged, max(4, requests // BLOCK)))
        return rows
    finally:
        rig.close()


def _mobilenet(say: Callable[[str], None]) -> tuple[Path, Profile, Tensors]:
    model = fetch("mobilenet-v2")
    feeds: Tensors = {"input": np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)}
    say("profiling")
    return model, make_profile(open_task(model), quick=True, seconds=6.0), feeds


def _row(rig: Rig, name: str, settings: Determinism, load: str, judged: str, pairs: int) -> Row:
    with rig.switched(settings) as applied:
        refused = [each.how for each in applied.settings if not each.done]
        how = "; ".join(each.how for each in applied.settings)
    if refused:
        return Row(name, load, False, "; ".join(refused), judged)
    on: list[Block] = []
    off: list[Block] = []
    with _LOADS[load]() as churn:
        rig.block(BLOCK, churn)  # not counted: caches, the load's own start
        for pair in range(pairs):
            order = ((on, settings), (off, Determinism.off()))
            for blocks, asked in order if pair % 2 else reversed(order):
                with rig.switched(asked):
                    rig.block(SETTLE, churn)
                    blocks.append(rig.block(BLOCK, churn))
    return _judged(Row(name, load, True, how, judged), on, off)


def _judged(row: Row, on: list[Block], off: list[Block]) -> Row:
    def all_of(blocks: list[Block], what: str) -> list[float]:
        return [each for block in blocks for each in getattr(block, what)]

    ratio = _p99(all_of(on, row.judged)) / _p99(all_of(off, row.judged))
    pairs = list(zip(on, off, strict=True))
    better = sum(_p99(getattr(a, row.judged)) < _p99(getattr(b, row.judged)) for a, b in pairs) / len(pairs)
    return Row(
        row.setting,
        row.load,
        row.done,
        row.how,
        row.judged,
        latency_off=_quantiles(all_of(off, "latency")),
        latency_on=_quantiles(all_of(on, "latency")),
        timer_off=_quantiles(all_of(off, "timer")),
        timer_on=_quantiles(all_of(on, "timer")),
        pauses_off=_pauses(all_of(off, "pauses")),
        pauses_on=_pauses(all_of(on, "pauses")),
        ratio=round(ratio, 3),
        pairs_better=round(better, 3),
        verdict=verdict(ratio, round(better * len(pairs)), len(pairs)),
    )


def verdict(ratio: float, better: int, pairs: int) -> str:
    """What may be claimed of a setting that was better in so many pairs of blocks; see the module's docstring."""
    if ratio <= _GAIN and _chance(better, pairs) <= _CHANCE:
        return "gain"
    if ratio >= 1 / _GAIN and _chance(pairs - better, pairs) <= _CHANCE:
        return "loss"
    return "no difference shown"


def _chance(better: int, pairs: int) -> float:
    """The probability that a coin thrown `pairs` times shows heads `better` times or more."""
    return float(sum(math.comb(pairs, each) for each in range(better, pairs + 1)) / 2**pairs)


def _pauses(found: list[float]) -> Pauses:
    return Pauses(len(found), round(max(found, default=0.0), 3), round(sum(found), 1))


def _p99(values: list[float]) -> float:
    return float(np.quantile(values, 0.99, method="inverted_cdf"))


def _quantiles(values: list[float]) -> Quantiles:
    p50, p99, p999, most = (float(each) for each in np.quantile(values, (0.5, 0.99, 0.999, 1.0), method="inverted_cdf"))
    return Quantiles(round(p50, 3), round(p99, 3), round(p999, 3), round(most, 3), len(values))


def table(rows: list[Row]) -> str:
    """A Markdown table, times in ms: "off -> on" of 50th, 99th, 99.9th percentile and largest; pauses: garbage collections
    that began while a request was in flight."""
    lines = [
        "| setting | load | local latency, off -> on | timer lateness, off -> on | pauses in flight, off -> on "
        "| p99 on/off | pairs better | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.latency_off and row.latency_on and row.timer_off and row.timer_on and row.pauses_off and row.pauses_on:
            off, on = row.pauses_off, row.pauses_on
            pauses = f"{off.count} (longest {off.longest_ms:.1f}) -> {on.count} (longest {on.longest_ms:.1f})"
            latency, timer = _both(row.latency_off, row.latency_on), _both(row.timer_off, row.timer_on)
            judged = f"{row.ratio:.2f} ({row.judged}) | {row.pairs_better:.0%} | {row.verdict}"
            lines.append(f"| {row.setting} | {row.load} | {latency} | {timer} | {pauses} | {judged} |")
        else:
            lines.append(f"| {row.setting} | {row.load} | - | - | - | - | - | {row.verdict}: {row.how} |")
    return "\n".join(lines)


def _both(off: Quantiles, on: Quantiles) -> str:
    def said(found: Quantiles) -> str:
        return f"{found.p50:.2f} / {found.p99:.2f} / {found.p999:.2f} / {found.max:.2f}"

    return f"{said(off)} -> {said(on)} (n {off.count}, {on.count})"
