"""The campaign's device: a process that opens one Session a trial and offers it three streams, as a consumer would.

`python -m hedgerow.campaigns.device FOLDER SERVER FACTOR` reads one order a line (JSON) on standard input and answers each:

    {"do": "open", "trial": ..., "journal": PATH, "seed": N}   a session; `ready` once a remote answer has come, or not
                                                               (with "certificate": PATH: its streams, under its rules)
    {"do": "go"}                                               begin to offer frames: `going`
    {"do": "tell", "of": "send" | "encode" | "run"}            tell the next action of this kind, at once: `act`
    {"do": "mark", "since_ns": T}                              tell the first remote answer after T: `remote`
    {"do": "clock"}                                            how far the wall clock is ahead of the monotonic one: `clock`
    {"do": "end"}                                              stop offering, wait for the rest, close, judge: `ended`
    {"do": "quit"}

Rules: times run from the scheduled capture to the moment the consumer was told; what the session leaves behind and what its
answers are worth is found out after it has closed; the witness is a second record of the steps, in memory, questioned here
in trials whose journal is the victim.
"""

import gc
import heapq
import json
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.assurance import Evidence, Timed
from hedgerow.assurance.certification import load
from hedgerow.assurance.rows import rows_to_text
from hedgerow.campaigns.footprint import Footprint, settled
from hedgerow.campaigns.judging import judge
from hedgerow.campaigns.oracle import Oracle, Said
from hedgerow.core import records as r
from hedgerow.core.records import Limits, Source, Status
from hedgerow.device.answer import Answer
from hedgerow.device.session import Session
from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.models.home import write_whole
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.profiling import Profile

SWITCH_INTERVAL_S = 0.0005
REMOTE_PATIENCE_S = 3.0
SPARE_S = 2.0


@dataclass(frozen=True, slots=True)
class Offered:
    """One stream of the campaign; `judged_ms` is what its promise counts by: the deadline, for background the expiry."""

    name: str
    criticality: str
    period_ms: float
    deadline_ms: float
    expiry_ms: float = 60_000.0

    @property
    def judged_ms(self) -> float:
        return self.expiry_ms if self.criticality == "background" else self.deadline_ms


STREAMS = (
    Offered("guard", "safety", 100.0, 100.0),
    Offered("steer", "mission", 60.0, 120.0),
    Offered("survey", "background", 150.0, 300.0, 1_500.0),
)


def certified(path: str) -> tuple[Offered, ...]:
    """The streams of a certificate."""
    return tuple(
        Offered(
            each.name, each.criticality.value, (each.period_ns or 0) / 1e6, each.deadline_ns / 1e6, each.expiry_ns / 1e6
        )
        for each in load(path).governing().streams
    )


@dataclass(slots=True)
class Kept:
    """What a request got; judged when the session is closed."""

    stream: Offered
    frame: int
    captured_ns: int
    future: "Future[Answer] | None" = None
    told_ns: int = 0
    tellings: int = 0
    advice: list[Tensors] = field(default_factory=list)


class Consumer:
    """Offers frames on schedule from a thread of its own and keeps what comes of each."""

    def __init__(
        self, session: Session, frames: NDArray[np.uint8], seed: int, streams: Sequence[Offered] = STREAMS
    ) -> None:
        self._session, self._frames, self._streams = session, frames, streams
        self._random = random.Random(seed)
        self.kept: list[Kept] = []
        self._end = threading.Event()
        self._told = threading.Condition()
        self._left = 0
        self._marked_ns: int | None = None
        self._thread = threading.Thread(target=self._offer_all, name="consumer")

    def start(self) -> None:
        """Begin to offer."""
        self._thread.start()

    def stop(self) -> None:
        """Offer nothing more; wait for every answer, or until patience ends."""
        self._end.set()
        self._thread.join()
        patience_s = max(each.judged_ms for each in self._streams) / 1e3 + Limits().unanswered_wait_ns / 1e9 + SPARE_S
        with self._told:
            self._told.wait_for(lambda: self._left == 0, patience_s)

    def mark(self, since_ns: int) -> None:
        """Tell on standard output when the next remote answer after `since_ns` comes."""
        self._marked_ns = since_ns

    def _offer_all(self) -> None:
        start_ns = time.monotonic_ns() + 1_000_000
        due = [
            (start_ns + int(self._random.uniform(0, each.period_ms) * 1e6), place)
            for place, each in enumerate(self._streams)
        ]
        heapq.heapify(due)
        while not self._end.is_set():
            captured_ns, place = due[0]
            wait_ns = captured_ns - time.monotonic_ns()
            if wait_ns > 0:
                self._end.wait(wait_ns / 1e9)
                continue
            heapq.heapreplace(due, (captured_ns + int(self._streams[place].period_ms * 1e6), place))
            self._offer(self._streams[place], captured_ns)

    def _offer(self, stream: Offered, captured_ns: int) -> None:
        frame = len(self.kept) % len(self._frames)
        kept = Kept(stream, frame, captured_ns)
        self.kept.append(kept)
        with self._told:
            self._left += 1
        kept.future = self._session.submit(
            self._frames[frame], captured_at=captured_ns / 1e9, stream=stream.name, on_advice=kept.advice.append
        )
        kept.future.add_done_callback(lambda done: self._hear(kept, done))

    def _hear(self, kept: Kept, done: "Future[Answer]") -> None:
        kept.told_ns = time.monotonic_ns()
        kept.tellings += 1
        marked_ns = self._marked_ns
        remote = done.result().source is Source.REMOTE or bool(kept.advice)
        if marked_ns is not None and remote and kept.told_ns > marked_ns:
            self._marked_ns = None
            say("remote", at_ns=kept.told_ns)
        with self._told:
            self._left -= 1
            self._told.notify()


def timed(index: int, kept: Kept, now_ns: int) -> Timed:
    """The row of one request; one that nobody answered is told as such."""
    deadline_ns = round(kept.stream.judged_ms * 1e6)
    if kept.future is None or not kept.future.done() or not kept.tellings:
        nothing = (Status.FAILED, Source.NONE, "", "", "unanswered", 0.0, 0)
        return Timed(index, -1, kept.captured_ns, now_ns, deadline_ns, *nothing)
    answer = kept.future.result()
    costs = (answer.energy_mj, answer.uplink_bytes, answer.label_index)
    who = (answer.status, answer.source, answer.arm, answer.model, answer.reason)
    return Timed(index, answer.request, kept.captured_ns, kept.told_ns, deadline_ns, *who, *costs)


def codec_of(arm: str, source: Source) -> str:
    """The codec that lay between a frame and a remote answer; empty for the device's own."""
    return arm.partition(":")[2].partition(":")[2] if source is Source.REMOTE else ""


def wrong_answers(kept: list[Kept], arms: Mapping[int, str], oracle: Oracle) -> list[str]:
    """Each answer or advice that is not its model's for its very frame, in words; `arms`: what was chosen for a request."""
    found = []
    for index, each in enumerate(kept):
        if each.future is None or not each.future.done():
            continue
        answer = each.future.result()
        if each.tellings > 1:
            found.append(f"request {index} was answered {each.tellings} times")
        said = [Said(each.frame, answer.model, codec_of(answer.arm, answer.source), answer.outputs)]
        said = said if answer.outputs else []
        arm = arms.get(answer.request, "")
        for advice in [*each.advice, *([answer.advice] if answer.advice else [])]:
            said.append(Said(each.frame, model_of(arm), codec_of(arm, Source.REMOTE), advice))
        found += [f"request {index}: {why}" for why in map(oracle.wrong, said) if why]
    return found


def model_of(arm: str) -> str:
    """The model that an arm ends with: "cloud:large:raw", "split:large@1:q8"."""
    return arm.partition(":")[2].partition(":")[0].partition("@")[0]


class Device:
    """Carries out the orders."""

    def __init__(self, folder: Path, server: str, factor: float) -> None:
        self._server, self._factor = server, factor
        given = json.loads((folder / "given.json").read_text())
        self._task = Task.load(given["task"])
        self._profile = Profile.load(given["profile"])
        self._frames: NDArray[np.uint8] = np.load(given["frames"])
        self._oracle = Oracle(self._task, self._frames)
        self._session: Session | None = None
        self._consumer: Consumer | None = None

    def open(self, order: dict[str, Any]) -> None:
        """A fresh session, warm: a remote answer has come, or could not be had in time."""
        gc.collect()
        self._order = order
        self._before = Footprint.now()
        self._witness: list[tuple[int, r.Event, r.Outcome]] | None = [] if order.get("witness") else None
        self._arms: dict[int, str] = {}
        self._payload_bytes, self._tells_acks = 0, bool(order.get("tell_acks"))
        self._awaited: type[object] | None = None
        self._up = threading.Event()
        certificate = order.get("certificate")
        streams = STREAMS if certificate is None else certified(certificate)
        self._session = session = self._new_session(streams, order["journal"], certificate)
        self._consumer = Consumer(session, self._frames, order["seed"], streams)
        up = self._up.wait(REMOTE_PATIENCE_S)
        say("ready", link=up)

    def _new_session(self, streams: Sequence[Offered], journal: str, certificate: str | None) -> Session:
        """With these streams open; under a certificate they are its own."""
        first = streams[0]
        session = Session(
            self._task,
            self._server,
            profile=self._profile,
            deadline_ms=first.deadline_ms,
            criticality=first.criticality,
            journal=journal,
            slow_device=SlowDevice(self._factor),
            certificate=certificate,
        )
        session.listen(self._hear)
        for each in streams if certificate is None else ():
            session.open_stream(
                each.name,
                deadline_ms=each.deadline_ms,
                criticality=each.criticality,
                period_ms=each.period_ms,
                expiry_ms=each.expiry_ms,
            )
        return session

    def tell(self, of: str) -> None:
        """Say `act` at the next action of this kind."""
        self._awaited = {"send": r.Send, "encode": r.Encode, "run": r.Run}[of]

    def _hear(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        awaited = self._awaited
        if awaited is not None and any(isinstance(action, awaited) for action in outcome.actions):
            self._awaited = None
            say("act", at_ns=now_ns)
        if self._witness is not None:
            self._witness.append((now_ns, event, outcome))
        for record in outcome.records:
            if isinstance(record, r.BreakerMoved) and record.after == "closed":
                self._up.set()
            elif isinstance(record, r.Decision):
                self._arms[record.request] = record.arm
        if isinstance(event, r.EncodeDone):
            self._payload_bytes = event.payload_bytes
        elif isinstance(event, r.ChunkAcked) and event.bytes_received >= self._payload_bytes and self._tells_acks:
            say("acked")

    def go(self) -> None:
        """Begin to offer frames."""
        assert self._consumer is not None
        self._consumer.start()
        say("going")

    def mark(self, order: dict[str, Any]) -> None:
        """See the module's head."""
        assert self._consumer is not None
        self._consumer.mark(order["since_ns"])

    def end(self) -> None:
        """Close, write the rows, say what was left behind and what was wrong."""
        assert self._session is not None
        assert self._consumer is not None
        consumer, session = self._consumer, self._session
        consumer.stop()
        began_s = time.monotonic()
        session.close()
        closing_s = time.monotonic() - began_s
        now_ns = time.monotonic_ns()
        rows = [timed(index, each, now_ns) for index, each in enumerate(consumer.kept)]
        wrong = wrong_answers(consumer.kept, self._arms, self._oracle)
        journal = session.journal
        self._session = self._consumer = None
        failure, header = (journal.failure, journal.header) if journal is not None else (None, None)
        del consumer, session, journal
        judged = None
        if self._witness is not None and header is not None:
            seen = Evidence.of(self._witness, margins=header.margins, energy=header.table.energy)
            judged = asdict(judge(rows, seen))
        self._witness = None
        after, leaks = settled(self._before)
        place = Path(self._order["rows"])
        write_whole(place, rows_to_text(rows).encode())
        say(
            "ended",
            wrong=wrong,
            leaks=leaks,
            rss_bytes=after.rss_bytes,
            native_threads=after.native_threads,
            closing_s=round(closing_s, 3),
            journal_failure=failure,
            judged=judged,
        )


_SAYING = threading.Lock()


def say(word: str, **fields: object) -> None:
    """One line to the harness; whole, whichever thread says it."""
    with _SAYING:
        print(json.dumps({"said": word, **fields}), flush=True)


def main(words: list[str]) -> None:
    """Serve orders until `quit` or the end of standard input."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    folder, server, factor = words
    device = Device(Path(folder), server, float(factor))
    say("started")
    for text in sys.stdin:
        order = json.loads(text)
        match order["do"]:
            case "open":
                device.open(order)
            case "go":
                device.go()
            case "mark":
                device.mark(order)
            case "tell":
                device.tell(order["of"])
            case "clock":
                say("clock", ahead_ns=time.time_ns() - time.monotonic_ns())
            case "end":
                device.end()
            case _:
                return


if __name__ == "__main__":
    main(sys.argv[1:])
