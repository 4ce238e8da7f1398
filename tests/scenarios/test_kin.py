"""Exits, cascades and copies for real: ONNX files made here, real sessions, a real server process behind an emulated link.

What was answered is held against the chains themselves, run whole: an exit's answer is the exit's, bit for bit.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.core import records as r
from hedgerow.core.records import Prices, Source, Status
from hedgerow.device.answer import Answer
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.relay import Relay
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array
from hedgerow.profiling import Profile
from tests.cli.typed import hedgerow
from tests.device.small import Steps, profile_of
from tests.models.branches import frames, rich_task
from tests.wire.serving import ServerProcess, assert_close, server_process, until

COUNT = 24
FRAMES = list(frames(COUNT).values())


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_task(tmp_path_factory.mktemp("rich"), gate=0.6)


@pytest.fixture(scope="module")
def task(task_file: Path) -> Task:
    return Task.load(task_file)


def by_hand(task: Task, copy_agrees: int = 17) -> Profile:
    """The reference takes 20 ms, the trunk 10, the exits 3 and 4; half of the samples are sure."""
    sure = tuple(0.9 if index % 2 else 0.3 for index in range(20))
    names = ("early", "later", "trunk", "copy", "big")
    return profile_of(
        task,
        median_ms={"early": 3.0, "later": 4.0, "trunk": 10.0, "copy": 5.0, "big": 20.0},
        bound_ms={"early": 30.0, "later": 40.0, "trunk": 80.0, "copy": 50.0, "big": 120.0},
        agreeing={"early": 14, "later": 16, "trunk": 18, "copy": copy_agrees},
        confidence=dict.fromkeys(names, sure),
    )


@pytest.fixture(scope="module")
def profile(task: Task) -> Profile:
    return by_hand(task)


@pytest.fixture(scope="module")
def server(task_file: Path) -> Iterator[ServerProcess]:
    with server_process(task_file) as process:
        yield process


class Truth:
    """Every model's whole answer to a frame, from chains of our own."""

    def __init__(self, task: Task) -> None:
        self.task, self._chains = task, task.open_all()

    def outputs(self, model: str, frame: Array) -> dict[str, Array]:
        return self._chains[model].run(self.task.sample(frame)).tensors

    def sure(self, model: str, frame: Array) -> bool:
        confidence = self.task.interpret(self.outputs(model, frame)).confidence
        gate = self.task.model(model).gate
        return confidence is not None and gate is not None and confidence >= gate

    def check(self, answer: Answer, frame: Array) -> None:
        """The answer is that of the model it names."""
        for name, array in self.outputs(answer.model, frame).items():
            assert_close(answer.outputs[name], array)


def test_an_exit_answers_when_it_is_sure_and_else_the_trunk_goes_on(task: Task, profile: Profile) -> None:
    truth, told = Truth(task), set()
    with Session(task, profile=profile, deadline_ms=1000, policy="only:exit:trunk@early,later") as session:
        for frame in FRAMES:
            answer = session.answer(frame)
            expected = next((name for name in ("early", "later") if truth.sure(name, frame)), "trunk")
            assert (answer.model, answer.source, answer.status) == (expected, Source.LOCAL, Status.ANSWERED)
            assert answer.reason == ("local_done" if expected == "trunk" else "confident_at_gate")
            truth.check(answer, frame)
            told.add(answer.model)
    assert told == {"early", "later", "trunk"}


def test_an_unsure_exit_sends_the_tensors_that_it_has(task: Task, profile: Profile, server: ServerProcess) -> None:
    truth, sources = Truth(task), set()
    arm = "only:cascade:early>split:trunk@1:raw"
    with Session(task, server.address, profile=profile, deadline_ms=2000, policy=arm) as session:
        until(lambda: session.answer(FRAMES[0]).arm == arm[5:], "the link")
        for frame in FRAMES:
            answer = session.answer(frame)
            sure = truth.sure("early", frame)
            assert (answer.model, answer.source) == (("early", Source.LOCAL) if sure else ("trunk", Source.REMOTE))
            truth.check(answer, frame)
            sources.add(answer.source)
    assert sources == {Source.LOCAL, Source.REMOTE}


def test_a_small_model_asks_a_big_one_only_when_unsure(task: Task, profile: Profile, server: ServerProcess) -> None:
    truth, arm = Truth(task), "only:cascade:trunk>cloud:big:raw"
    with Session(task, server.address, profile=profile, deadline_ms=2000, policy=arm) as session:
        until(lambda: session.answer(FRAMES[0]).arm == arm[5:], "the link")
        for frame in FRAMES:
            answer = session.answer(frame)
            assert answer.model == ("trunk" if truth.sure("trunk", frame) else "big")
            assert (answer.uplink_bytes == 0) == (answer.model == "trunk")
            truth.check(answer, frame)


def test_a_copy_runs_the_head_and_the_model_itself_the_tail(
    task: Task, profile: Profile, server: ServerProcess
) -> None:
    arm, chains = "only:split:copy>trunk@2:raw", task.open_all()
    with Session(task, server.address, profile=profile, deadline_ms=2000, policy=arm) as session:
        until(lambda: session.answer(FRAMES[0]).arm == arm[5:], "the link")
        answer = session.answer(FRAMES[0])
    kept = chains["copy"].run(task.sample(FRAMES[0]), 0, 2).tensors
    expected = chains["trunk"].run(kept, 3).tensors["logits"]
    assert (answer.model, answer.source) == ("trunk", Source.REMOTE)
    assert_close(answer.outputs["logits"], expected)


def test_when_the_link_stalls_the_reserve_goes_on_to_an_exit_from_what_the_head_left(
    task: Task, server: ServerProcess, tmp_path: Path
) -> None:
    """A poor copy is held at first; what the head leaves makes an exit the better reserve."""
    truth, journal, profile = Truth(task), tmp_path / "journal", by_hand(task, copy_agrees=2)
    relay = Relay("127.0.0.1", server.port)
    relay.start()
    try:
        arm = "only:split:trunk@1:raw"
        steps = Steps()
        with Session(
            task, f"127.0.0.1:{relay.port}", profile=profile, deadline_ms=400, policy=arm, journal=journal
        ) as session:
            session.listen(steps)
            until(lambda: session.answer(FRAMES[0]).source is Source.REMOTE, "the link")
            relay.set_conditions(LinkConditions(stalled=True))
            answer = session.answer(FRAMES[1])
    finally:
        relay.stop()
    assert (answer.source, answer.status, answer.arm) == (Source.LOCAL, Status.ANSWERED, arm[5:])
    assert answer.model in ("early", "later")
    truth.check(answer, FRAMES[1])
    chosen = [
        each.plan for _, each in steps.records() if isinstance(each, r.ReserveChosen) and each.request == answer.request
    ]
    assert chosen[-1] == f"{answer.model}@2"
    assert replay(journal).difference is None


def test_short_of_battery_and_hot_a_cheaper_arm_with_an_exit_is_chosen(task: Task, profile: Profile) -> None:
    """ "trunk" 40 mJ at .90, the exits before it 14 mJ and more; a disagreement is worth what makes them change places."""
    with Session(
        task, profile=profile, deadline_ms=1000, prices=Prices(disagreement_mj=150), watch_vitals=False
    ) as session:
        usual = session.answer(FRAMES[0]).arm
        session._driver.take(r.BatteryLevel(0.1))
        session._driver.take(r.Temperature(95.0))
        short = session.answer(FRAMES[0]).arm
    energy = {arm.name: float(session.table.busy_ns[column]) for column, arm in enumerate(session.table.arms)}
    assert usual.startswith("local:")
    assert short.startswith(("exit:", "local:early", "local:later"))
    assert energy[short] < energy[usual]


@pytest.mark.parametrize("policy", ["hedgerow", "only:cascade:copy>cloud:big:raw"])
def test_failing_over_to_the_copy_here_and_back_loses_no_frame(
    task_file: Path, server: ServerProcess, tmp_path: Path, policy: str
) -> None:
    """The cloud's big model, a blackout of a second and a half in mid-stream, the copy on the device, and the cloud again."""
    gated = Task.load(task_file)
    copy = replace(gated.model("copy"), gate=2.0 / 2.0)
    task = replace(gated, models=tuple(copy if each.name == "copy" else each for each in gated.models))
    sure: dict[str, tuple[float, ...]] = {"copy": (0.5,) * 20}
    times = {"early": 30.0, "later": 30.0, "trunk": 30.0, "copy": 4.0, "big": 60.0}
    agreeing = {"early": 10, "later": 10, "trunk": 18, "copy": 17}
    profile = profile_of(task, median_ms=times, agreeing=agreeing, confidence=sure)
    truth, relay, steps = Truth(task), Relay("127.0.0.1", server.port), Steps()
    relay.start()
    flying: list[tuple[int, Future[Answer]]] = []

    def stream(until_: float, session: Session) -> None:
        while time.monotonic() < until_:
            number = len(flying)
            flying.append((number, session.submit(FRAMES[number % COUNT])))
            time.sleep(0.03)

    try:
        address = f"127.0.0.1:{relay.port}"
        with Session(
            task, address, profile=profile, deadline_ms=400, policy=policy, journal=tmp_path / "journal"
        ) as session:
            session.listen(steps)
            until(lambda: session.answer(FRAMES[0]).source is Source.REMOTE, "the link")
            stream(time.monotonic() + 1.0, session)
            before = len(flying)
            relay.set_conditions(LinkConditions(blackout=True))
            stream(time.monotonic() + 1.5, session)
            relay.set_conditions(LinkConditions())
            back = len(flying)
            stream(time.monotonic() + 3.0, session)
            answers = [future.result(20) for _, future in flying]
    finally:
        relay.stop()
    delivered = [each.request for _, each in steps.records() if isinstance(each, r.Delivered)]
    requests = [answer.request for answer in answers]
    assert len(set(requests)) == len(flying)
    assert all(delivered.count(request) == 1 for request in requests)
    assert all(answer.status in (Status.ANSWERED, Status.LATE) for answer in answers)
    for (number, _), answer in zip(flying, answers, strict=True):
        truth.check(answer, FRAMES[number % COUNT])
    assert any(answer.source is Source.REMOTE and answer.model == "big" for answer in answers[:before])
    assert any(answer.source is Source.LOCAL and answer.model == "copy" for answer in answers[before:back])
    assert any(answer.source is Source.REMOTE and answer.model == "big" for answer in answers[back:])
    assert steps.unexcused() == []
    assert replay(tmp_path / "journal").difference is None


STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 110
deadline_ms = 200
capture_delay_ms = 10
reserves = [RESERVES]
[rule]
exceedances_max = 5000
"""


def test_an_exit_named_as_reserve_proves_what_the_whole_model_cannot(
    task: Task, profile: Profile, tmp_path: Path
) -> None:
    """Every 110 ms: the reference's bound of 120 ms is too much, the exit's 30 ms are not."""
    whole = prove(inputs_of(STREAMS.replace("RESERVES", '"big"'), profile))
    assert whole.document is None
    assert whole.failing
    document = prove(inputs_of(STREAMS.replace("RESERVES", '"early"'), profile)).document
    assert document is not None
    document.save(tmp_path / "certificate.json")
    with Session(task, profile=profile, certificate=tmp_path / "certificate.json") as session:
        answers = []
        for number in range(8):
            answers.append(session.answer(FRAMES[number]))
            time.sleep(0.13)
        assert session.mode
    assert {answer.status for answer in answers} == {Status.ANSWERED}
    assert {answer.mode for answer in answers} != {""}


def test_run_and_serve_from_the_command_line(task_file: Path, server: ServerProcess, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, frame in enumerate(FRAMES[:6]):
        Image.fromarray(frame).save(pictures / f"{number}.png")
    profile = tmp_path / "profile.json"
    words = ["profile", str(task_file), "-o", str(profile), "--images", str(pictures), "--quick", "--seconds", "2"]
    assert hedgerow(*words).returncode == 0
    chosen = ["--profile", str(profile), "--json", "--deadline-ms", "1000"]
    for address in ([], ["--server", server.address]):
        done = hedgerow("run", str(task_file), "--input", str(pictures), *address, *chosen)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])
