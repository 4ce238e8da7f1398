"""The network as events: what a client says becomes what the core hears; a wrong server or answer is told once."""

import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.device import network as networks
from hedgerow.device.lane import Workpiece
from hedgerow.device.network import CloudNetwork
from hedgerow.errors import LinkError
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.wire.faults import Fault, FaultKind
from hedgerow.wire.messages import Crossing, RemoteAnswer
from tests.device.small import tagged
from tests.wire.serving import until


class Client:
    """Stands where CloudClient stands; the test is the other side."""

    def __init__(self, address: str, **_: object) -> None:
        self.crossings: list[tuple[Crossing, dict[str, Callable[..., None]]]] = []
        self.stopped: list[Any] = []
        self.probes: list[dict[str, Any]] = []
        self.description: Any = LinkError("nobody is there")

    def send(self, crossing: Crossing, **ends: Callable[..., None]) -> None:
        self.crossings.append((crossing, ends))

    def stop(self, key: object) -> None:
        self.stopped.append(key)

    def probe(self, payload_bytes: int, **ends: Any) -> None:
        self.probes.append({"payload_bytes": payload_bytes, **ends})

    def describe(self, *_: object, **__: object) -> Any:
        if isinstance(self.description, Exception):
            raise self.description
        return self.description

    def reconnect(self) -> None: ...

    def close(self) -> None: ...


class Made:
    def __init__(self, task: Task) -> None:
        self.task, self.events, self.said = task, list[r.Event](), list[str]()
        self.chain = task.open("tiny")
        self.network = CloudNetwork("there:1", task, {"tiny": self.chain}, {}, self.events.append)
        self.network.on_problem = self.said.append
        self.client: Client = self.network._client  # type: ignore[assignment]

    def send(self, request: int = 0, attempt: int = 1) -> tuple[Workpiece, Any, dict[str, Callable[..., None]]]:
        work = Workpiece({"x": tagged(request)}, payload=b"payload")
        self.network.send(r.Send(request, attempt, "cloud", "tiny", -1, 4, "raw", 5_000), work, 2_000)
        crossing, ends = self.client.crossings[-1]
        return work, crossing, ends

    def served(self, task_id: str, chain_id: str, plain: bool = False, prefixes: bool = True) -> Any:
        model = SimpleNamespace(name="tiny", chain_id=chain_id)
        return SimpleNamespace(
            plain=plain, prefixes=prefixes, tasks=[SimpleNamespace(task_id=task_id, name="it", models=[model])]
        )

    def probe(self, number: int = 1) -> None:
        self.network.probe(r.Probe(number, "cloud", 8192, True, 500_000_000))


@pytest.fixture
def made(task: Task, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr(networks, "CloudClient", Client)
    return Made(task)


def answer(tensors: Tensors) -> RemoteAnswer:
    return RemoteAnswer(tensors, 1, 2, 3, 44)


def test_a_crossing_carries_what_both_sides_must_agree_on(made: Made) -> None:
    _, crossing, _ = made.send(7, 2)
    assert (crossing.task_id, crossing.chain_id) == (made.task.task_id, made.chain.chain_id)
    assert (crossing.model, crossing.joint, crossing.last, crossing.codec) == ("tiny", -1, 4, "raw")
    assert (crossing.payload, crossing.remaining_ns, crossing.attempt) == (b"payload", 3_000, 2)
    assert len(crossing.sample_id) == 16
    made.network.stop(7, 2)
    assert made.client.stopped == [(crossing.sample_id, 2)]


def test_acks_answers_and_faults_become_events_of_their_request(made: Made) -> None:
    work, crossing, ends = made.send(7)
    key = (crossing.sample_id, crossing.attempt)
    ends["on_ack"](key, 100, 1)
    outputs: Tensors = {"y": np.zeros((1, 64), np.float32)}
    ends["on_answer"](key, answer(outputs), 2)
    assert work.remote is outputs
    assert made.events == [r.ChunkAcked(7, 1, 100), r.AnswerArrived(7, 1, 44, 1, 2, 3, None)]
    ends["on_answer"](key, answer(outputs), 3)  # a second one is nobody's
    assert len(made.events) == 2
    assert made.network._works == {}


@pytest.mark.parametrize("knows", [True, False])
def test_a_payload_may_be_cut_where_core_codec_and_server_allow_it(made: Made, knows: bool) -> None:
    """A server of before says nothing of parts in its description: it is sent the whole, as ever."""
    work = Workpiece({"x": tagged(0)}, payload=bytes(100), cuts=(20, 40, 60, 80))
    sent = r.Send(0, 1, "cloud", "tiny", -1, 4, "raw", 5_000, 30, 700)
    made.network.send(sent, work, 2_000)
    assert made.client.crossings[-1][0].prefix_ends == ()  # nobody has said yet that the server knows of parts
    made.client.description = made.served(made.task.task_id, made.chain.chain_id, prefixes=knows)
    made.probe()
    until(lambda: made.client.probes, "the probe behind the description")
    made.network.send(sent, work, 2_000)
    crossing, ends = made.client.crossings[-1]
    assert (crossing.prefix_ends, crossing.prefix_after_ns) == ((40, 60, 80) if knows else (), 700)
    ends["on_answer"](
        (crossing.sample_id, 1), replace(answer({"y": np.zeros((1, 64), np.float32)}), prefix_bytes=60), 2
    )
    assert made.events[-1] == r.AnswerArrived(0, 1, 44, 1, 2, 3, None, None, 60)
    made.network.send(replace(sent, prefix_bytes=0), work, 2_000)
    assert made.client.crossings[-1][0].prefix_ends == ()


@pytest.mark.parametrize("kind", FaultKind)
def test_only_what_the_request_is_to_blame_for_spares_the_link(made: Made, kind: FaultKind) -> None:
    _, crossing, ends = made.send(3)
    ends["on_fault"]((crossing.sample_id, 1), Fault(kind, "so it goes"), 2)
    harmless = kind.value in ("too_late", "cancelled", "overloaded", "too_large")
    assert made.events == [r.RemoteFailed(3, 1, kind.value, not harmless, "so it goes")]
    assert made.network._works == {}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, r"it has the tensors \(none\)"),
        ({"z": np.zeros((1, 64), np.float32)}, "it has the tensors z"),
        ({"y": np.zeros((1, 64), np.float64)}, "must be float32, not float64"),
        ({"y": np.zeros((1, 63), np.float32)}, "must have shape"),
    ],
)
def test_an_answer_that_cannot_be_one_is_a_fault_and_told(made: Made, tensors: Tensors, words: str) -> None:
    for request in range(2):
        work, crossing, ends = made.send(request)
        ends["on_answer"]((crossing.sample_id, 1), answer(tensors), 2)
        assert work.remote is None
    failed = [event for event in made.events if isinstance(event, r.RemoteFailed)]
    assert [(event.fault, event.link_at_fault) for event in failed] == [("bad_answer", True)] * 2
    assert len(made.said) == 2  # the herald says it once
    assert re.search(words, made.said[0])


def test_nothing_is_probed_before_the_server_was_asked_and_found_right(made: Made) -> None:
    made.probe(1)
    until(lambda: made.events == [r.ProbeLost(1)], "the lost probe")
    assert made.said == []  # nobody there is no problem to tell of
    made.client.description = made.served("another", made.chain.chain_id)
    made.probe(2)
    until(lambda: made.events[-1] == r.ProbeLost(2), "the second")
    made.client.description = made.served(made.task.task_id, "another cut")
    made.probe(3)
    until(lambda: made.events[-1] == r.ProbeLost(3), "the third")
    assert [("does not serve" in text, "cut or prepared" in text) for text in made.said] == [
        (True, False),
        (False, True),
    ]
    assert made.client.probes == []
    made.client.description = made.served(made.task.task_id, made.chain.chain_id)
    made.probe(4)
    until(lambda: len(made.client.probes) == 1, "the probe itself")
    probe = made.client.probes[0]
    assert (probe["payload_bytes"], probe["fresh"], probe["timeout_s"]) == (8192, True, 0.5)
    probe["on_done"](5, 6, 8192, 7)
    made.probe(5)  # asked once, not again
    made.client.probes[1]["on_lost"](9)
    assert made.events[-2:] == [r.ProbeAnswered(4, 5, 6, 8192), r.ProbeLost(5)]
    made.network.close()


def test_a_server_that_turns_out_to_be_another_is_asked_again(made: Made) -> None:
    made.client.description = made.served(made.task.task_id, made.chain.chain_id)
    made.probe(1)
    until(lambda: len(made.client.probes) == 1, "the first probe")
    _, crossing, ends = made.send(0)
    ends["on_fault"]((crossing.sample_id, 1), Fault(FaultKind.WRONG_TASK, "no such task here"), 2)
    assert made.said == ["no such task here"]
    made.client.description = LinkError("gone")
    made.probe(2)
    until(lambda: made.events[-1] == r.ProbeLost(2), "asking again")
