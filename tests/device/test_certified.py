"""Sessions under a certificate: its streams, its modes, what is refused, and what withdraws it while real work runs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.core import records as r
from hedgerow.core.records import Source, Status
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import Oracle, Steps, dense_task, profile_of, tagged
from tests.wire.serving import ServerProcess, until

NAME = "tiny"  # of the dense task and its model
STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 1000
deadline_ms = 800
capture_delay_ms = 10
criticality = "safety"
safe_value = "brake"
[[stream]]
name = "side"
period_ms = 2000
deadline_ms = 1500
capture_delay_ms = 10
safe_value = {speed = 0}
[[mode]]
name = "nominal"
[[mode]]
name = "stop"
streams.front = { reserves = [] }
streams.side = { reserves = [] }
[rule]
exceedances_max = 1
return_after_s = 3600
return_after_max_s = 3600
hot_celsius = 80
cool_celsius = 70
"""


def certify(folder: Path, profile: Profile, streams: str = STREAMS) -> Path:
    document = prove(inputs_of(streams, profile)).document
    assert document is not None
    document.save(folder / "certificate.json")
    return folder / "certificate.json"


@pytest.fixture
def certificate(tmp_path: Path, profile: Profile) -> Path:
    return certify(tmp_path, profile)


@pytest.fixture
def session(task: Task, profile: Profile, certificate: Path, tmp_path: Path) -> Iterator[Session]:
    said: list[str] = []
    with Session(
        task,
        profile=profile,
        certificate=certificate,
        journal=tmp_path / "journal",
        watch_vitals=False,
        say=said.append,
    ) as session:
        yield session


def test_its_streams_are_open_with_their_safe_values_and_it_answers(session: Session, task: Task) -> None:
    for number, stream in enumerate(("front", "side")):
        answer = session.answer(tagged(number), stream=stream)
        assert answer.status is Status.ANSWERED
        assert answer.mode == session.mode == "nominal"
        Oracle(task).check(tagged(number), answer.outputs)


def test_other_streams_deadlines_and_settings_are_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="no stream 'main'; there are: front, side"):
        session.answer(tagged(1))
    with pytest.raises(UsageError, match="leave deadline_ms out"):
        session.answer(tagged(1), stream="front", deadline_ms=5000)
    with pytest.raises(UsageError, match="'lidar' is not in the certificate"):
        session.open_stream("lidar", deadline_ms=100)
    with pytest.raises(UsageError, match="not as it was certified"):
        session.open_stream("front", deadline_ms=100)


def test_a_lone_stream_needs_no_name(task: Task, profile: Profile, tmp_path: Path) -> None:
    alone = 'format = 1\n[[stream]]\nname = "eye"\nperiod_ms = 1000\ndeadline_ms = 900\ncapture_delay_ms = 5\n'
    with Session(task, profile=profile, certificate=certify(tmp_path, profile, alone)) as session:
        assert session.answer(tagged(1)).stream == "eye"


def test_a_lane_beyond_its_bounds_withdraws_the_certificate_and_the_journal_shows_it(
    task: Task, profile: Profile, certificate: Path, tmp_path: Path
) -> None:
    """Run at its true speed behind a certificate that was made for bounds a thousand times shorter."""
    hasty = profile_of(task, median_ms={NAME: 0.001}, bound_ms={NAME: 0.002})
    journal, steps = tmp_path / "journal", Steps()
    said: list[str] = []
    often = STREAMS.replace("period_ms = 1000", "period_ms = 5").replace("period_ms = 2000", "period_ms = 5")
    with Session(
        task,
        profile=hasty,
        certificate=certify(tmp_path, hasty, often),
        journal=journal,
        watch_vitals=False,
        say=said.append,
    ) as session:
        session.listen(steps)
        for number in range(4):
            last = session.answer(tagged(number), stream="front")
            time.sleep(0.01)
        assert session.mode == "stop"
        assert last.source is Source.SAFE_VALUE
        assert last.safe_value == "brake"
        assert session.answer(tagged(9), stream="side").safe_value == {"speed": 0}
    kinds = [type(record) for _, record in steps.records()]
    assert kinds.index(r.BoundExceeded) < kinds.index(r.CertificateWithdrawn) < kinds.index(r.ModeChanged)
    assert any("certificate is withdrawn in mode 'nominal'" in each for each in said)
    replayed = replay(journal)
    assert replayed.difference is None
    assert replayed.decisions


def test_heat_changes_the_mode_of_a_running_session(session: Session) -> None:
    session._driver.post(r.Temperature(85.0))
    assert session.mode == "stop"
    answer = session.answer(tagged(1), stream="side")
    assert (answer.source, answer.mode) == (Source.SAFE_VALUE, "stop")


def test_with_a_server_a_certified_stream_is_answered_from_there(
    task: Task, profile: Profile, certificate: Path, server: ServerProcess
) -> None:
    with Session(task, server.address, profile=profile, certificate=certificate) as session:

        def remote() -> bool:
            time.sleep(0.02)
            return session.answer(tagged(1), stream="side").source is Source.REMOTE

        until(remote, "a remote answer")


def test_a_slow_delivery_is_told(session: Session) -> None:
    steps = Steps()
    session.listen(steps)
    session.listen(lambda now_ns, event, outcome: time.sleep(0.03))  # it is told before the caller is
    session.submit(tagged(1), stream="front").result()
    until(lambda: any(isinstance(event, r.DeliveryTook) for _, event, _ in steps.steps), "word of a slow delivery")
    found = [record for _, record in steps.records() if isinstance(record, r.BoundExceeded)]
    assert "delivery" in {each.what for each in found}


def test_a_certificate_of_something_else_is_refused_in_one_line(
    task: Task, profile: Profile, certificate: Path, tmp_path: Path
) -> None:
    def refused(**settings: object) -> str:
        given: dict[str, object] = {"profile": profile, "certificate": certificate, **settings}
        with pytest.raises(UsageError) as told:
            Session(task, **given)  # type: ignore[arg-type]
        assert "\n" not in str(told.value)
        return str(told.value)

    assert "give that profile too" in refused(profile=None)
    assert "not from this one" in refused(profile=profile_of(task, median_ms={NAME: 9.0}))
    assert "holds no reserve" in refused(policy="cloud-only")
    assert "device_factor" in refused(slow_device=SlowDevice(2.0))
    assert "a profile of 1 threads a model, not of the session's 2" in refused(threads=2)
    assert "no certificate" in refused(certificate=tmp_path / "nothing.json")
    certificate.write_bytes(certificate.read_bytes()[:1000])
    assert "not a whole certificate" in refused()


def test_a_certificate_of_another_task_is_refused(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = dense_task(tmp_path / "other", seed=5)
    with pytest.raises(UsageError, match="certifies task"):
        Session(other, profile=profile_of(other), certificate=certificate)
