"""The live shell around the core: real clock, lanes, timer and network. It carries actions out and decides nothing.

Every event, from whatever thread, goes through `post`: one lock, one step, then the actions; callers' futures are resolved
after the lock is released. A callback of the caller's that raises is logged and costs no answer.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import assert_never

from hedgerow.core import Core
from hedgerow.core import records as r
from hedgerow.core.views import Arbitrated, PrefixAnswer
from hedgerow.device.answer import Answer
from hedgerow.device.auditor import Auditor
from hedgerow.device.journal import Journal
from hedgerow.device.lane import Job, Lane, Workpiece
from hedgerow.device.network import Network
from hedgerow.device.reusing import Kept, Reusing
from hedgerow.device.seeing import settled
from hedgerow.device.timer import Timer
from hedgerow.errors import UsageError
from hedgerow.models.change import Looks, summary
from hedgerow.models.task import Interpretation, Task
from hedgerow.models.tensors import Tensors

Listener = Callable[[int, r.Event, r.Outcome], None]
_LOG = logging.getLogger("hedgerow")


@dataclass(slots=True)
class Pending:
    """A caller's request: what it works on and what it waits for.

    `mine` takes this request's lane jobs while `thread`, the caller's own, is here and waits anyway; None: the lane runs them.
    """

    request: int
    stream: r.Stream
    captured_ns: int
    deadline_ns: int
    work: Workpiece
    future: "Future[Answer]"
    safe_value: object = None
    on_advice: Callable[[Tensors], None] | None = None
    mine: list[Job] | None = None
    thread: int = field(default_factory=threading.get_ident)
    delivered: r.Delivered | None = None
    promised: bool = False
    arbitrated: Arbitrated | None = None
    part: PrefixAnswer | None = None  # from how much of what was sent the remote answer came, if not from all
    looks: Looks | None = None  # its sample's summary, where its stream declares reuse


class Driver:
    """Owns the core. `lanes` and `network` are attached after construction, for they post here."""

    def __init__(self, core: Core, task: Task, journal: Journal | None = None) -> None:
        self._core, self._task, self._journal = core, task, journal
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._numbers = 0
        self._lanes: dict[str, Lane] = {}
        self._network: Network | None = None
        self._listeners: list[Listener] = []
        self._qualities = {arm.name: arm.quality for arm in core.table.arms}
        self._local_quality = {model.name: model.quality for model in core.table.locals}
        self._closing = self._closed = False
        self._reusing = Reusing()
        self._auditor = Auditor(task, self.post)
        self._timer = Timer(lambda: self.post(r.TimerFired()))

    def attach(self, lanes: dict[str, Lane], network: Network | None) -> None:
        self._lanes, self._network = lanes, network
        self.post(r.TimerFired())

    def listen(self, listener: Listener) -> None:
        """Call `listener(now_ns, event, outcome)` after every step, under the lock: it must be quick and must not post."""
        self._listeners.append(listener)

    @property
    def timer_thread(self) -> int:
        """The native id of the timer's thread."""
        return self._timer.thread

    @property
    def lane_threads(self) -> dict[str, int]:
        """The native ids of the lanes' threads, by lane."""
        return {name: lane.thread for name, lane in self._lanes.items()}

    # ---------------------------------------------------------------------------------------------------------- posting

    def submit(
        self,
        stream: r.Stream,
        sample: Tensors,
        captured_ns: int,
        deadline_ns: int | None,
        safe_value: object,
        on_advice: Callable[[Tensors], None] | None,
        *,
        help_out: bool = False,
        track: int = 0,
        changed: bool = False,
    ) -> "Future[Answer]":
        """Admit one sample. `help_out`: the caller will wait anyway, so its thread runs the request's lane jobs."""
        future: Future[Answer] = Future()
        length = stream.deadline_ns if deadline_ns is None else deadline_ns
        work = Workpiece(sample, stream=stream.name)
        pending = Pending(-1, stream, captured_ns, captured_ns + length, work, future, safe_value, on_advice)
        pending.looks = None if stream.reuse_below is None else summary(sample)
        mine: list[Job] = []
        pending.mine = mine if help_out else None

        def arrival() -> r.Event:
            pending.request = self._numbers
            self._numbers += 1
            self._pending[pending.request] = pending
            looks = None if changed else pending.looks
            event = self._reusing.arrival(pending.request, stream.name, captured_ns, deadline_ns, looks)
            return replace(event, track=track, changed=changed) if track or changed else event

        try:
            self._step(arrival, submitting=True)
        except UsageError:  # refused before admission
            self._pending.pop(pending.request, None)
            raise
        if pending.request < 0:
            raise UsageError("the session is closed; open a new one")
        try:
            while mine:
                self._run_here(mine.pop())
        finally:
            pending.mine = None
        return future

    def take(self, event: r.Event) -> None:
        """Take one event of the caller's; UsageError if it cannot be."""
        self._step(lambda: event)

    def post(self, event: r.Event) -> None:
        """Take one event, from any thread. A fault of ours in taking it is logged: the thread, a lane's or the timer's, goes on."""
        try:
            self._step(lambda: event)
        except Exception:  # noqa: BLE001 - supervisor: a dead lane or timer would leave every request unanswered
            _LOG.exception("%s could not be taken", type(event).__name__)

    def _run_here(self, job: Job) -> None:
        """Do a lane's job on the caller's thread."""
        try:
            event = self._lanes[job.action.lane].execute(job)
        except BaseException:  # the caller was interrupted: the lane is free again all the same
            self.post(r.JobEnded(job.action.lane, job.action.job, "interrupted"))
            raise
        self.post(event)

    def _step(self, make: Callable[[], r.Event], *, submitting: bool = False) -> None:
        ended: list[tuple[Pending, Answer]] = []
        advised: list[Pending] = []
        slow: list[r.DeliveryTook] = []
        with self._lock:
            if self._closed or (self._closing and submitting):
                return
            now = time.monotonic_ns()
            event = make()
            outcome = self._core.step(event, now_ns=now)
            if self._journal is not None:
                self._journal.append(now, event, outcome)
            for record in outcome.records:
                if isinstance(record, r.Delivered) and record.request in self._pending:
                    self._pending[record.request].delivered = record
                elif isinstance(record, Arbitrated) and not record.late and record.request in self._pending:
                    self._pending[record.request].arbitrated = record
                elif isinstance(record, PrefixAnswer) and record.request in self._pending:
                    self._pending[record.request].part = record
            for action in outcome.actions:
                self._carry_out(action, now, ended, advised)
            self._timer.set(self._core.next_wakeup_ns())
            for listener in tuple(self._listeners):
                self._tell(listener, now, event, outcome)
        for pending, answer in ended:
            told = time.monotonic_ns()  # what the caller's own callbacks take is not ours
            if pending.future.set_running_or_notify_cancel():
                pending.future.set_result(answer)
            if told - now > self._core.margins.deliver_ns:
                in_time = answer.status in (r.Status.ANSWERED, r.Status.SAFE_VALUE)
                late = pending.promised and in_time and told > pending.deadline_ns
                slow.append(r.DeliveryTook(pending.request, pending.captured_ns, told - now, late))
        for pending in advised:
            self._advise(pending)
        for each in slow:
            self.post(each)

    def _tell(self, listener: Listener, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        try:
            listener(now_ns, event, outcome)
        except Exception:  # noqa: BLE001 - a meter or view that fails must not stop a lane or the timer
            self._listeners.remove(listener)
            _LOG.exception("a listener failed and is told nothing more")

    def _advise(self, pending: Pending) -> None:
        if pending.on_advice is None or pending.work.remote is None:
            return
        try:
            pending.on_advice(pending.work.remote)
        except Exception:  # noqa: BLE001 - the caller's code, on a thread that all requests need
            _LOG.exception("on_advice failed for request %d", pending.request)

    # ---------------------------------------------------------------------------------------------------------- actions

    def _carry_out(
        self, action: r.Action, now_ns: int, ended: list[tuple[Pending, Answer]], advised: list[Pending]
    ) -> None:
        match action:
            case r.Run() | r.Encode():
                lane, pending = self._lanes[action.lane], self._pending[action.request]
                job = lane.begin(action, pending.work)
                mine = pending.mine if pending.delivered is None else None  # the caller does not wait for an audit
                if mine is not None and threading.get_ident() == pending.thread:
                    mine.append(job)
                else:
                    lane.enqueue(job)
            case r.Preempt():
                self._lanes[action.lane].preempt(action.job)
            case r.Cancel():
                self._lanes[action.lane].cancel(action.job)
            case r.Send():
                if self._network is not None:
                    self._network.send(action, self._pending[action.request].work, now_ns)
            case r.StopSending():
                if self._network is not None:
                    self._network.stop(action.request, action.attempt)
            case r.Probe():
                if self._network is not None:
                    self._network.probe(action)
            case r.Deliver():
                pending = self._pending[action.request]
                pending.promised = action.promised
                answer = self._answer(pending, action, now_ns)
                if action.reusable:
                    meaning = Interpretation(answer.label_index, answer.label, answer.confidence)
                    known = (action.request, pending.captured_ns, pending.looks, answer.outputs, answer.agreement)
                    own = self._task.interpret(answer.outputs) if answer.outputs else None
                    kept = Kept(*known, meaning, own.confidence if own else None)
                    self._reusing.keep(pending.stream.name, kept)
                ended.append((pending, answer))
            case r.Advise():
                advised.append(self._pending[action.request])
            case r.Compare():
                self._auditor.compare(action, self._pending[action.request].work)
            case r.Forget():
                self._pending.pop(action.request, None)
            case _:
                assert_never(action)

    def _answer(self, pending: Pending, action: r.Deliver, now_ns: int) -> Answer:
        outputs: Tensors = {}
        agreement, seen_ns = 0.0, pending.captured_ns
        if action.source is r.Source.LOCAL:
            outputs = pending.work.outputs[action.model]
            agreement = self._local_quality[action.model]
        elif action.source is r.Source.REMOTE and pending.work.remote is not None:
            outputs = pending.work.remote
            agreement = self._qualities[action.arm] if pending.part is None else pending.part.quality
        elif action.source is r.Source.REUSED:
            again = self._reusing.again(pending.stream.name)
            outputs, agreement, seen_ns = again.outputs, again.agreement, again.captured_ns
        meaning, suggested = self._task.interpret(outputs) if outputs else None, None
        if action.source is r.Source.REUSED:
            meaning = again.meaning
        elif meaning is not None and pending.arbitrated is not None:
            meaning, suggested = settled(self._task, meaning, pending.arbitrated)
        remote, part = action.source is r.Source.REMOTE or action.advised, pending.part
        share = part.prefix_bytes / part.payload_bytes if part is not None and remote else None
        said = pending.delivered
        assert said is not None
        return Answer(
            request=action.request,
            stream=pending.stream.name,
            status=action.status,
            source=action.source,
            outputs=outputs,
            label=meaning.label if meaning else None,
            label_index=meaning.label_index if meaning else None,
            confidence=meaning.confidence if meaning else None,
            arm=action.arm,
            model=action.model,
            reason=action.reason.value,
            captured_ns=pending.captured_ns,
            deadline_ms=(pending.deadline_ns - pending.captured_ns) / 1e6,
            age_ms=said.age_ms,
            agreement=agreement,
            energy_mj=said.energy_mj,
            uplink_bytes=said.uplink_bytes,
            safe_value=pending.safe_value if action.source is r.Source.SAFE_VALUE else None,
            advice=pending.work.remote if action.advised else None,
            mode=self._core.mode,
            seen_age_ms=(now_ns - seen_ns) / 1e6 if outputs else None,
            views=pending.arbitrated.views if pending.arbitrated else (),
            suggested=suggested,
            prefix_share=share,
        )

    # -------------------------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Stop everything; requests still open end as `dropped`. Leaves no thread behind. Twice does no harm."""
        with self._lock:
            self._closing = True
            open_requests = [number for number, pending in self._pending.items() if not pending.future.done()]
        for number in open_requests:
            self.post(r.RequestWithdrawn(number))
        with self._lock:
            self._closed = True
        self._timer.close()
        if self._network is not None:
            self._network.close()
        for lane in self._lanes.values():
            lane.close()
        self._auditor.close()
        if self._journal is not None:
            self._journal.close()
