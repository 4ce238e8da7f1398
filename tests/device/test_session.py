"""The front door: alone, with a server, with the wrong one; the order and bits of ONNX Runtime; what is refused."""

import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest

from hedgerow.core.records import Delivered, Source, Status
from hedgerow.device.answer import Answer
from hedgerow.device.session import Session
from hedgerow.errors import EngineError, HostError, UsageError
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from hedgerow.profiling import Profile
from tests.device.small import Oracle, Steps, dense_task, pair_task, profile_of, tagged
from tests.emulation.peers import free_port
from tests.models.small_models import write_sum
from tests.wire.serving import ServerProcess, server_process, until


def arrivals(steps: Steps) -> int:
    return sum(type(event).__name__ == "RequestArrived" for _, event, _ in steps.steps)


def test_answers_alone_without_profile_server_or_link(task_file: Path) -> None:
    said: list[str] = []
    with Session(task_file, deadline_ms=500, say=said.append) as session:
        answer = session.answer(tagged(1))
    assert answer.status is Status.ANSWERED
    assert answer.source is Source.LOCAL
    assert "no profile given" in said[0]


def test_run_is_onnxruntimes_in_order_type_and_bits(tmp_path: Path) -> None:
    path = write_sum(tmp_path / "sum.onnx")
    feeds: Tensors = {
        "b": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "a": np.full((2, 3), 1 / 3, np.float32),
        "count": np.array([2**40], np.int64),
    }
    reference = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    task = Task.of_model(path)
    with Session(path, profile=profile_of(task)) as session:
        for names in (None, [], ["sum"], ["counted", "sum"], ["counted"], ["sum", "sum"]):
            got, expected = session.run(names, feeds), reference.run(names, feeds)
            assert [each.dtype for each in got] == [each.dtype for each in expected]
            assert [each.tobytes() for each in got] == [each.tobytes() for each in expected]
            assert [each.shape for each in got] == [each.shape for each in expected]


def test_cut_models_give_the_whole_models_answer(task: Task, profile: Profile) -> None:
    oracle = Oracle(task)
    with Session(task, profile=profile) as session:
        for number in range(5):
            oracle.check(tagged(number), {"y": session.run(["y"], {"x": tagged(number)})[0]})


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"z": tagged(0)}, "expected the tensors 'x'"),
        ({}, "expected the tensors"),
        ({"x": tagged(0).astype(np.float64)}, "must be float32, not float64"),
        ({"x": tagged(0)[:, :3]}, "must have shape"),
        ({"x": tagged(0)[0]}, "must have shape"),
        ({"x": np.full((1, 64), np.nan, np.float32)}, "NaN or infinite"),
        ({"x": [[1.0] * 64]}, "must be a NumPy array"),
    ],
)
def test_wrong_samples_are_refused_before_they_are_counted(
    task: Task, profile: Profile, feeds: dict[str, object], words: str
) -> None:
    steps = Steps()
    with Session(task, profile=profile) as session:
        session.listen(steps)
        for call in (lambda: session.run(None, feeds), lambda: session.answer(feeds), lambda: session.submit(feeds)):  # type: ignore[arg-type]
            with pytest.raises(UsageError, match=words):
                call()
        assert arrivals(steps) == 0
        assert session.answer(tagged(0)).request == 0


def test_wrong_names_streams_and_moments_are_refused(task: Task, profile: Profile) -> None:
    steps = Steps()
    with Session(task, profile=profile) as session:
        session.listen(steps)
        with pytest.raises(UsageError, match="no output 'w'; there are: y"):
            session.run(["w"], {"x": tagged(0)})
        with pytest.raises(UsageError, match="no stream 'x'; there are: main"):
            session.answer(tagged(0), stream="x")
        with pytest.raises(UsageError, match="in the future"):
            session.answer(tagged(0), captured_at=time.monotonic() + 1)
        for moment in (float("nan"), float("inf")):
            with pytest.raises(UsageError, match="captured_at must be"):
                session.answer(tagged(0), captured_at=moment)
        for deadline in (0.0, -1.0, float("nan"), float("inf"), 1e-9):
            with pytest.raises(UsageError, match="deadline_ms must be a positive number"):
                session.answer(tagged(0), deadline_ms=deadline)
        assert arrivals(steps) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"deadline_ms": 0}, "deadline_ms must be a positive"),
        ({"period_ms": -5}, "period_ms must be a positive"),
        ({"criticality": "vital"}, "criticality must be one of safety, mission, background"),
        ({"policy": "hope"}, "no policy 'hope'"),
    ],
)
def test_a_session_that_cannot_be_leaves_nothing_behind(
    task: Task, profile: Profile, settings: dict[str, object], words: str
) -> None:
    before = set(threading.enumerate())
    with pytest.raises(UsageError, match=words):
        Session(task, profile=profile, **settings)  # type: ignore[arg-type]
    assert set(threading.enumerate()) == before


def test_a_failure_after_its_threads_began_ends_them(
    task: Task, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())

    def fail(*_: object, **__: object) -> None:
        raise HostError("no network today")

    monkeypatch.setattr("hedgerow.device.session.CloudNetwork", fail)
    with pytest.raises(HostError, match="no network today"):
        Session(task, "127.0.0.1:1", profile=profile)
    assert set(threading.enumerate()) == before


def test_a_profile_of_another_task_is_refused(task: Task, tmp_path: Path) -> None:
    other = dense_task(tmp_path, name="other", seed=3)
    with pytest.raises(UsageError, match="measured for task 'other'"):
        Session(task, profile=profile_of(other))


def test_age_and_deadline_count_from_capture(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile, deadline_ms=200) as session:
        fresh = session.answer(tagged(0))
        assert fresh.status is Status.ANSWERED
        old = session.answer(tagged(1), captured_at=time.monotonic() - 0.15)
        assert old.age_ms >= 150
        gone = session.answer(tagged(2), captured_at=time.monotonic() - 1.0)
        assert gone.status is Status.LATE
        assert not gone.in_time
        Oracle(task).check(tagged(2), gone.outputs)


def test_a_safe_value_stands_in_at_the_deadline(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile, deadline_ms=200, safe_value={"y": np.zeros((1, 64))}) as session:
        answer = session.answer(tagged(2), captured_at=time.monotonic() - 1.0)
        assert answer.status is Status.SAFE_VALUE
        assert answer.source is Source.SAFE_VALUE
        assert answer.outputs == {}
        assert isinstance(answer.safe_value, dict)


def test_run_gives_the_safe_value_or_says_that_there_is_none(
    task: Task, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = {"y": np.zeros((1, 64), np.float32)}
    with Session(task, profile=profile, deadline_ms=0.5, safe_value=safe) as session:
        assert not session.run(None, {"x": tagged(0)})[0].any()
    with Session(task, profile=profile, deadline_ms=500) as session:

        def fail(*_: object, **__: object) -> None:
            raise EngineError("the model broke")

        monkeypatch.setattr(type(session._chains["tiny"]), "run", fail)
        with pytest.raises(EngineError, match="no answer: failed"):
            session.run(None, {"x": tagged(0)})


def test_a_task_of_two_models_answers_with_its_label(tmp_path: Path) -> None:
    task = pair_task(tmp_path)
    profile = profile_of(task, agreeing={"small": 15})
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with Session(task, profile=profile, deadline_ms=300) as session:
        answer = session.answer(frame)
        assert answer.model in ("small", "big")
        assert answer.label == f"label{answer.label_index}"
        assert answer.confidence is not None
        whole = task.open(answer.model).run({"frame": frame}).tensors
        np.testing.assert_array_equal(answer.outputs["logits"], whole["logits"])
        with pytest.raises(UsageError, match="use answer"):
            session.run(None, {"frame": frame})


def test_a_good_server_answers_with_the_samples_own_answer(task: Task, profile: Profile, server: ServerProcess) -> None:
    oracle = Oracle(task)
    with Session(task, server.address, profile=profile, deadline_ms=400) as session:
        sources: list[Source] = []

        def remote() -> bool:
            number = len(sources)
            answer = session.answer(tagged(number))
            assert answer.status is Status.ANSWERED
            oracle.check(tagged(number), answer.outputs)
            sources.append(answer.source)
            return sources.count(Source.REMOTE) >= 10

        until(remote, "ten remote answers")


def test_a_dead_server_costs_no_answer(task: Task, profile: Profile) -> None:
    said: list[str] = []
    with Session(task, f"127.0.0.1:{free_port()}", profile=profile, deadline_ms=400, say=said.append) as session:
        for number in range(10):
            answer = session.answer(tagged(number))
            assert answer.status is Status.ANSWERED
            assert answer.source is Source.LOCAL
        until(lambda: len(said) == 1, "word of the dead server")
    assert "is not reached yet; the device answers alone" in said[0]


def test_a_server_without_a_port_is_refused(task: Task, profile: Profile) -> None:
    for wrong in ("nohost", "host:", ":80", "host:0", "host:99999", "oip://host"):
        with pytest.raises(UsageError, match="give HOST:PORT"):
            Session(task, wrong, profile=profile)


def test_another_tasks_server_is_told_once_and_the_device_answers(task: Task, profile: Profile, tmp_path: Path) -> None:
    dense_task(tmp_path, name="other", seed=3)
    said: list[str] = []
    with server_process(tmp_path / "other.toml") as wrong:
        with Session(task, wrong.address, profile=profile, deadline_ms=400, say=said.append) as session:
            numbers = iter(range(10_000))

            def told() -> bool:
                answer = session.answer(tagged(next(numbers)))
                assert answer.source is Source.LOCAL
                assert answer.status is Status.ANSWERED
                return bool(said)

            until(told, "word of the wrong server")
            end = time.monotonic() + 1.5  # several more probes
            while time.monotonic() < end:
                told()
                time.sleep(0.02)
    assert len(said) == 1
    assert "does not serve this very task 'tiny' (it offers other)" in said[0]


def test_safety_delivers_its_own_answer_and_advice_comes_beside_it(
    task: Task, profile: Profile, server: ServerProcess
) -> None:
    oracle = Oracle(task)
    with Session(task, server.address, profile=profile, deadline_ms=400, criticality="safety") as session:
        advised: list[int] = []
        numbers = iter(range(10_000))

        def advice() -> bool:
            number = next(numbers)
            came = threading.Event()

            def take(tensors: Tensors) -> None:
                oracle.check(tagged(number), tensors)
                advised.append(number)
                came.set()

            answer = session.submit(tagged(number), on_advice=take).result(20)
            assert answer.source is Source.LOCAL
            oracle.check(tagged(number), answer.outputs)
            if answer.advice is not None:
                oracle.check(tagged(number), answer.advice)
                advised.append(number)
            else:
                came.wait(0.1)
            return len(advised) >= 5

        until(advice, "five pieces of advice")


def test_background_is_answered_when_it_can_be_and_spooled_at_its_end(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile) as session:
        session.open_stream("log", deadline_ms=50, criticality="background", expiry_ms=5000)
        answer = session.answer(tagged(0), stream="log")
        assert answer.status in (Status.ANSWERED, Status.LATE)
        session.open_stream("gone", deadline_ms=50, criticality="background", expiry_ms=100)
        gone = session.answer(tagged(0), stream="gone", captured_at=time.monotonic() - 1)
        assert gone.status is Status.SPOOLED


def test_many_threads_streams_and_sources_each_get_their_own_answer(
    task: Task, profile: Profile, server: ServerProcess
) -> None:
    oracle = Oracle(task)
    steps = Steps()
    answers: dict[int, Answer] = {}
    with Session(task, server.address, profile=profile, deadline_ms=400) as session:
        session.listen(steps)
        for index in range(3):
            session.open_stream(f"s{index}", deadline_ms=300 + 50 * index, criticality=("mission", "safety")[index % 2])
        until(lambda: session.answer(tagged(0)).source is Source.REMOTE, "the link to open")
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                flying: list[tuple[int, Future[Answer]]] = []
                for index in range(40):
                    number = 1000 * (thread + 1) + index
                    if index % 3 == 0:
                        answers[number] = session.answer(tagged(number), stream=f"s{thread % 3}")
                    else:
                        flying.append((number, session.submit(tagged(number), stream=f"s{index % 3}")))
                        time.sleep(0.002)
                for number, future in flying:
                    answers[number] = future.result(20)
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(answers) == 160
    for number, answer in answers.items():
        if answer.status is not Status.DROPPED:
            oracle.check(tagged(number), answer.outputs)
    delivered = [record.request for _, record in steps.records() if isinstance(record, Delivered)]
    assert len(delivered) == len(set(delivered)) == arrivals(steps)
    assert {answer.source for answer in answers.values()} >= {Source.LOCAL, Source.REMOTE}


def test_the_newest_sample_wins_and_every_dropped_one_is_told(tmp_path: Path) -> None:
    task = dense_task(tmp_path)
    profile = profile_of(task, median_ms={"tiny": 20}, bound_ms={"tiny": 40})
    steps = Steps()

    class Slow:
        factor = 1.0

        def extra_ns(self, profiled_median_ns: int) -> int:
            return profiled_median_ns

    with Session(task, profile=profile, deadline_ms=120, period_ms=4, slow_device=Slow()) as session:
        session.listen(steps)
        futures = []
        for number in range(80):
            futures.append(session.submit(tagged(number)))
            time.sleep(0.004)
        answers = [future.result(20) for future in futures]
    statuses = [answer.status for answer in answers]
    assert statuses.count(Status.DROPPED) >= 20
    assert statuses.count(Status.DROPPED) + sum(bool(answer.outputs) for answer in answers) == 80
    assert answers[-1].status is not Status.DROPPED
    assert all(answer.reason == "newer_sample" for answer in answers if answer.status is Status.DROPPED)
    for number, answer in enumerate(answers):
        if answer.outputs:
            Oracle(task).check(tagged(number), answer.outputs)


def test_close_ends_what_is_open_and_leaves_nothing(task: Task, profile: Profile, server: ServerProcess) -> None:
    Oracle(task)
    process = psutil.Process()
    with Session(task, server.address, profile=profile):
        pass  # what libraries keep for good is there now
    until(lambda: not process.net_connections("tcp"), "an end of the first session's sockets")
    threads, files = set(threading.enumerate()), process.num_fds()
    session = Session(task, server.address, profile=profile, deadline_ms=400)
    until(lambda: session.answer(tagged(0)).source is Source.REMOTE, "the link to open")
    flying = [session.submit(tagged(number)) for number in range(10)]
    session.close()
    session.close()
    for future in flying:
        assert future.result(0).status in (Status.ANSWERED, Status.DROPPED)
    for call in (lambda: session.answer(tagged(0)), lambda: session.submit(tagged(0))):
        with pytest.raises(UsageError, match="closed"):
            call()
    until(lambda: set(threading.enumerate()) == threads, "the end of its threads")
    until(lambda: not process.net_connections("tcp"), "the end of its sockets")
    until(lambda: process.num_fds() <= files, "the end of its files")
