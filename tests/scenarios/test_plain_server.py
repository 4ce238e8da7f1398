"""A session whose server speaks only the Open Inference Protocol: whole models on raw tensors, and nothing else."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc as stubs

from hedgerow.core.records import Source, Status
from hedgerow.device.session import Session
from hedgerow.models.task import Task
from tests.device.small import Oracle, dense_task, profile_of, tagged
from tests.wire.serving import Device, until
from tests.wire.test_control import PlainServer


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return dense_task(tmp_path)


@pytest.fixture
def address(task: Task) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    device = Device(task.models[0].path.with_suffix(".toml"))
    stubs.add_GRPCInferenceServiceServicer_to_server(PlainServer(device), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_whole_models_are_answered_by_a_plain_server(task: Task, address: str) -> None:
    oracle = Oracle(task)
    with Session(task, f"oip://{address}", profile=profile_of(task), deadline_ms=400) as session:
        assert {step.codec for arm in session.table.arms if (step := arm.crossing)} == {"raw"}
        remote: list[int] = []

        def five() -> bool:
            number = len(remote)
            answer = session.answer(tagged(number))
            assert answer.status is Status.ANSWERED
            oracle.check(tagged(number), answer.outputs)
            if answer.source is Source.REMOTE:
                remote.append(answer.request)
            return len(remote) >= 5

        until(five, "five answers of the plain server")


def test_a_plain_server_without_the_prefix_is_told_and_the_device_answers(task: Task, address: str) -> None:
    said: list[str] = []
    with Session(task, address, profile=profile_of(task), deadline_ms=400, say=said.append) as session:

        def told() -> bool:
            assert session.answer(tagged(1)).source is Source.LOCAL
            return any("oip://" in each for each in said)

        until(told, "word of the plain server")
