"""The other side's part of a profile: segment times as the server tells them, the round trip, and the uplink.

Rule: what the server does not tell is not made up but marked: `segments_ns` is None and `estimated` is true, and a plan
then takes this machine's own times.
"""

import secrets
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hedgerow import codecs
from hedgerow.codecs import Calibration
from hedgerow.errors import HedgerowError, LinkError
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from hedgerow.profiling.profile import RAW_SAMPLE, CloudProfile
from hedgerow.profiling.samples import Sample
from hedgerow.profiling.times import times
from hedgerow.wire import Crossing, Description, Fault, Key, RemoteAnswer

ANSWER_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 5.0
UPLINK_PROBE_BYTES = 256 * 1024


class ServerClient(Protocol):
    """What is used of `hedgerow.wire.CloudClient`."""

    address: str

    def describe(self, timeout_s: float = 5.0, *, models: Sequence[str] = ()) -> Description: ...

    def put_calibration(self, calibration: Calibration, timeout_s: float = 5.0) -> str: ...

    def send(
        self,
        crossing: Crossing,
        *,
        on_ack: Callable[[Key, int, int], None],
        on_answer: Callable[[Key, RemoteAnswer, int], None],
        on_fault: Callable[[Key, Fault, int], None],
    ) -> Key: ...

    def probe(
        self,
        payload_bytes: int,
        *,
        fresh: bool,
        timeout_s: float,
        on_done: Callable[[int, int, int, int], None],
        on_lost: Callable[[int], None],
    ) -> None: ...


def unmeasured(models: Sequence[str]) -> CloudProfile:
    """Where no server was asked."""
    return CloudProfile(address="", estimated=True, segments_ns=dict.fromkeys(models))


def measure_server(
    client: ServerClient, task: Task, chains: Mapping[str, Chain], samples: Sequence[Sample], *, count: int
) -> CloudProfile:
    """Ask the server `count` times for each model and probe as often; LinkError when it cannot be reached.

    Models that it does not offer as the same chain are left unmeasured.
    """
    description = client.describe(models=tuple(chains))
    offered = [name for name in chains if _offers(description, task, name, chains[name])]
    segments: dict[str, tuple[int, ...] | None] = dict.fromkeys(chains)
    decode_ns: list[int] = []
    for name in offered:
        answers = [_ask(client, task, name, chains[name], samples[index % len(samples)]) for index in range(count)]
        segments[name] = _medians(answers, len(chains[name].segments))
        decode_ns += [answer.decode_ns for answer in answers]
    trips = [_probe(client, 0)[0] for _ in range(max(count, 5))]
    rates = [_rate_mbps(client) for _ in range(3)]
    return CloudProfile(
        address=client.address,
        estimated=any(each is None for each in segments.values()),
        segments_ns=segments,
        decode_ns=round(statistics.median(decode_ns)) if decode_ns else None,
        round_trip=times(trips),
        uplink_mbps=round(statistics.median(rates), 3),
    )


def _offers(description: Description, task: Task, model: str, chain: Chain) -> bool:
    if description.plain:
        return task.model(model).preparation is None
    found = description.model(task.task_id, model)
    return found is not None and found.chain_id == chain.chain_id


def _medians(answers: Sequence[RemoteAnswer], segments: int) -> tuple[int, ...] | None:
    """Median of each segment, the first answer (a cold server) left out; None unless all of them are told."""
    told = [answer.segment_ns for answer in answers[1:] or answers if len(answer.segment_ns) == segments]
    if not told:
        return None
    return tuple(round(statistics.median(column)) for column in zip(*told, strict=True))


def _ask(client: ServerClient, task: Task, model: str, chain: Chain, sample: Sample) -> RemoteAnswer:
    payload = codecs.get("raw").encode(sample.tensors)
    ended = threading.Event()
    answers: list[RemoteAnswer] = []
    errors: list[HedgerowError] = []

    def answered(_key: Key, answer: RemoteAnswer, _now_ns: int) -> None:
        answers.append(answer)
        ended.set()

    def failed(_key: Key, fault: Fault, _now_ns: int) -> None:
        errors.append(fault.error())
        ended.set()

    crossing = Crossing(
        sample_id=secrets.token_bytes(16),
        attempt=0,
        task_id=task.task_id,
        model=model,
        chain_id=chain.chain_id,
        joint=RAW_SAMPLE,
        last=len(chain.segments) - 1,
        codec="raw",
        calibration_id="",
        payload=payload,
        remaining_ns=round(ANSWER_TIMEOUT_S * 1e9),
    )
    client.send(crossing, on_ack=lambda *_: None, on_answer=answered, on_fault=failed)
    if not ended.wait(ANSWER_TIMEOUT_S + 1.0):
        raise LinkError(f"the server at {client.address} did not answer within {ANSWER_TIMEOUT_S:g} s")
    if errors:
        raise errors[0]
    return answers[0]


def _probe(client: ServerClient, payload_bytes: int) -> tuple[int, int]:
    """(round trip, transfer) in ns."""
    ended = threading.Event()
    found: list[tuple[int, int]] = []

    def done(round_trip_ns: int, transfer_ns: int, _payload_bytes: int, _now_ns: int) -> None:
        found.append((round_trip_ns, transfer_ns))
        ended.set()

    client.probe(
        payload_bytes, fresh=False, timeout_s=PROBE_TIMEOUT_S, on_done=done, on_lost=lambda _now_ns: ended.set()
    )
    ended.wait(PROBE_TIMEOUT_S + 1.0)
    if not found:
        raise LinkError(f"the server at {client.address} lost a probe of {payload_bytes} bytes; is the link up?")
    return found[0]


def _rate_mbps(client: ServerClient) -> float:
    started_ns = time.monotonic_ns()
    round_trip_ns, transfer_ns = _probe(client, UPLINK_PROBE_BYTES)
    spent_ns = max(transfer_ns - round_trip_ns, 1) if transfer_ns else time.monotonic_ns() - started_ns
    return UPLINK_PROBE_BYTES * 8e3 / spent_ns
