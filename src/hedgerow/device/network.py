"""The link for real: the core's Send, StopSending and Probe carried out by `wire.CloudClient`, its answers as events.

The server is asked what it serves before anything is entrusted to it: the first probe of a connection asks, and a server
with another task, model or cut is never probed successfully, so the breaker stays open and the device answers. What is
wrong is told through `on_problem`, whose owner says it once.
"""

import gc
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from secrets import token_bytes
from typing import Protocol

from hedgerow.codecs import Calibration
from hedgerow.core import records as r
from hedgerow.device.lane import Post, Workpiece, crossing_key
from hedgerow.device.seeing import See, blind
from hedgerow.errors import HedgerowError, PeerError
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.wire.channels import TlsFiles
from hedgerow.wire.client import CloudClient
from hedgerow.wire.faults import Fault, FaultKind, Measure
from hedgerow.wire.messages import Crossing, Description, Key, RemoteAnswer, ends_worth

# What says nothing against the link or the server; everything else opens the breaker when it repeats.
_HARMLESS = frozenset({FaultKind.TOO_LATE, FaultKind.CANCELLED, FaultKind.OVERLOADED, FaultKind.TOO_LARGE})
_OTHER_SERVER = frozenset(
    {FaultKind.WRONG_TASK, FaultKind.WRONG_MODEL, FaultKind.WRONG_CUT, FaultKind.WRONG_VERSION, FaultKind.WRONG_CODEC}
)
Now = Callable[[], int]


class Network(Protocol):
    """What the driver needs of a link."""

    def send(self, action: r.Send, work: Workpiece, now_ns: int) -> None: ...
    def stop(self, request: int, attempt: int) -> None: ...
    def probe(self, action: r.Probe) -> None: ...
    def close(self) -> None: ...


class CloudNetwork:
    """One server behind one link. `chains` are this device's, by model name: what both sides must agree on."""

    def __init__(
        self,
        address: str,
        task: Task,
        chains: Mapping[str, Chain],
        calibrations: Mapping[str, Calibration],
        post: Post,
        *,
        tls: TlsFiles | None = None,
        timeout_s: float = 0.75,
        plain: bool = False,
        see: See = blind,
    ) -> None:
        self._task, self._post = task, post
        self._chain_ids = {name: chain.chain_id for name, chain in chains.items()}
        self._outputs = {name: chain.outputs for name, chain in chains.items()}
        self._calibrations = dict(calibrations)
        self._timeout_s = timeout_s
        self._client = CloudClient(address, tls=tls)
        self._address = address
        self._run_id = token_bytes(8)
        self._described = False
        self._prefixes = False  # the server can compute from the first part of a payload; a plain or older one cannot
        self._asking = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._works: dict[Key, tuple[str, Workpiece]] = {}
        self._heard: dict[Key, int] = {}  # bytes acknowledged of what is under way
        self.problem: str | None = None
        self._plain, self._see = plain, see
        self.on_problem: Callable[[str], None] = lambda problem: None

    @property
    def rejected(self) -> Counter[Measure]:
        """Errors of the channel detected so far, by the measure that did."""
        return self._client.rejected

    # ------------------------------------------------------------------------------------------- called under the core

    def send(self, action: r.Send, work: Workpiece, now_ns: int) -> None:
        key = self._key(action.request, action.attempt)
        self._works[key] = (action.model, work)
        calibration = self._calibrations.get(crossing_key(action.model, action.joint, action.codec))
        crossing = Crossing(
            sample_id=key[0],
            attempt=key[1],
            task_id=self._task.task_id,
            model=action.model,
            chain_id=self._chain_ids[action.model],
            joint=action.joint,
            last=action.last,
            codec=action.codec,
            calibration_id=calibration.id if calibration else "",
            payload=work.payload,
            remaining_ns=max(0, action.useful_until_ns - now_ns),
            stream=work.stream,
            prefix_ends=ends_worth(work.cuts, action.prefix_bytes) if action.prefix_bytes and self._prefixes else (),
            prefix_after_ns=action.prefix_after_ns,
        )
        self._client.send(crossing, on_ack=self._acked, on_answer=self._answered, on_fault=self._failed)

    def stop(self, request: int, attempt: int) -> None:
        self._client.stop(self._key(request, attempt))

    def probe(self, action: r.Probe) -> None:
        """Probe; before the first one the server is asked what it serves, on a thread of its own."""
        if self._described:
            self._probe(action)
            return
        asker = threading.Thread(target=self._ask, args=(action,), name="hedgerow-describe", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [asker]
        asker.start()

    def close(self) -> None:
        self._client.close()
        for thread in self._threads:
            thread.join(self._timeout_s + 1.0)
        gc.collect()  # failed crossings hold their connections in cycles; gRPC's own thread ends with the last of them

    # -------------------------------------------------------------------------------------------------- what comes back

    def _probe(self, action: r.Probe) -> None:
        self._client.probe(
            action.payload_bytes,
            fresh=action.fresh,
            timeout_s=action.timeout_ns / 1e9,
            on_done=lambda trip, transfer, payload, now: self._post(
                r.ProbeAnswered(action.probe, trip, transfer, payload)
            ),
            on_lost=lambda now: self._post(r.ProbeLost(action.probe)),
        )

    def _ask(self, action: r.Probe) -> None:
        with self._asking:
            try:
                if not self._described:
                    self._client.reconnect()
                    self._check(self._client.describe(self._timeout_s, models=tuple(self._chain_ids)))
                    for calibration in self._calibrations.values():
                        if not self._plain:
                            self._client.put_calibration(calibration, self._timeout_s)
                    self._described = True
            except (HedgerowError, CancelledError) as error:  # cancelled: the client was closed meanwhile
                if isinstance(error, PeerError):
                    self._tell(str(error))
                self._post(r.ProbeLost(action.probe))
                return
        self._probe(action)

    def _check(self, description: Description) -> None:
        """PeerError unless the server has this task with the same models, cut the same way."""
        self._prefixes = description.prefixes
        if description.plain != self._plain:
            kind = (
                "only the Open Inference Protocol; give it as"
                if description.plain
                else "Hedgerow's protocol; give it without"
            )
            raise PeerError(f"the server at {self._address} speaks {kind} oip://")
        if self._plain:
            return
        served = {task.task_id: task for task in description.tasks}
        task = served.get(self._task.task_id)
        if task is None:
            offers = ", ".join(each.name for each in description.tasks) or "nothing"
            raise PeerError(
                f"the server at {self._address} does not serve this very task '{self._task.name}' (it offers {offers}); "
                "start it with the same task file and models"
            )
        for model in task.models:
            mine = self._chain_ids.get(model.name)
            if mine is not None and mine != model.chain_id:
                raise PeerError(
                    f"the server at {self._address} has model '{model.name}' cut or prepared in another way; "
                    "start it with the same task file"
                )

    def _tell(self, problem: str) -> None:
        self.problem = problem
        self.on_problem(problem)

    def _acked(self, key: Key, bytes_received: int, now_ns: int) -> None:
        """Pass on the first acknowledgement (the round trip) and the last (all has crossed); those between teach nothing."""
        work = self._works.get(key, ("", None))[1]
        if work is None:
            return
        first, self._heard[key] = key not in self._heard, bytes_received
        if first or bytes_received >= len(work.payload):
            self._post(r.ChunkAcked(self._request(key), key[1], bytes_received))

    def _answered(self, key: Key, answer: RemoteAnswer, now_ns: int) -> None:
        model, work = self._works.pop(key, ("", None))
        crossed = self._heard.pop(key, 0)
        if work is None:
            return
        if answer.prefix_bytes and crossed:  # how far it came beyond the part that was answered
            self._post(r.ChunkAcked(self._request(key), key[1], crossed))
        try:
            confidence = self._confidence(model, answer.tensors)
            view = self._see(model, answer.tensors)
        except HedgerowError as error:
            self._tell(f"the server at {self._address} gave an answer that cannot be one: {error}")
            self._fault(key, "bad_answer", True, str(error))
            return
        work.remote = answer.tensors
        self._post(
            r.AnswerArrived(
                self._request(key),
                key[1],
                answer.answer_bytes,
                answer.queue_ns,
                answer.decode_ns,
                answer.compute_ns,
                confidence,
                view,
                answer.prefix_bytes,
            )
        )

    def _confidence(self, model: str, outputs: Tensors) -> float | None:
        """The answer's confidence; a HedgerowError unless these are the model's outputs."""
        expected = self._outputs[model]
        if set(outputs) != {spec.name for spec in expected}:
            raise PeerError(f"it has the tensors {', '.join(sorted(outputs)) or '(none)'}")
        for spec in expected:
            if spec.dtype != "object":
                spec.check(outputs[spec.name])
        return self._task.interpret(outputs).confidence

    def _failed(self, key: Key, fault: Fault, now_ns: int) -> None:
        self._works.pop(key, None)
        crossed = self._heard.pop(key, 0)
        if crossed:  # how far it came before it failed
            self._post(r.ChunkAcked(self._request(key), key[1], crossed))
        if fault.kind in _OTHER_SERVER:
            self._described = False  # another server answers there now: ask again before trusting it
            if fault.kind is not FaultKind.WRONG_CODEC:  # a restarted server only lacks the calibrations
                self._tell(fault.message)
        self._fault(key, fault.kind.value, fault.kind not in _HARMLESS, fault.message)

    def _fault(self, key: Key, fault: str, link_at_fault: bool, message: str) -> None:
        self._post(r.RemoteFailed(self._request(key), key[1], fault, link_at_fault, message))

    def _key(self, request: int, attempt: int) -> Key:
        return self._run_id + request.to_bytes(8, "big"), attempt

    def _request(self, key: Key) -> int:
        return int.from_bytes(key[0][8:], "big")
