"""Real processes and sockets: the server is killed, the link is cut, stalls, or speaks garbage. Each sample is answered by
its deadline, and the cloud is used again within two seconds of the link's return."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hedgerow.core.records import Source, Status
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.relay import Relay
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import tagged
from tests.scenarios.faults import PREFACE, SETTINGS, RawServer, Traffic, recovery_ms, wait_remote
from tests.wire.serving import ServerProcess, server_process, until

RECOVERY_MS_MAX = 2000.0


@contextmanager
def relayed(server: ServerProcess) -> Iterator[Relay]:
    relay = Relay("127.0.0.1", server.port)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Threads, sockets and files are as before when this ends."""
    process = psutil.Process()
    threads, connections, files = set(threading.enumerate()), len(process.net_connections("tcp")), process.num_fds()
    yield
    until(lambda: set(threading.enumerate()) <= threads, "the end of its threads")
    until(lambda: len(process.net_connections("tcp")) <= connections, "the end of its sockets")
    until(lambda: process.num_fds() <= files, "the end of its files")


def recovered(traffic: Traffic, back_ns: int) -> float:
    until(lambda: recovery_ms(traffic.steps, back_ns) is not None, "the link to be used again")
    found = recovery_ms(traffic.steps, back_ns)
    assert found is not None
    return found


def test_a_killed_server_costs_no_answer_and_is_used_again_when_it_is_back(
    task: Task, profile: Profile, task_file: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with server_process(task_file) as server:
        port = server.port
        with undisturbed():
            with Session(task, server.address, profile=profile, deadline_ms=400, journal=journal) as session:
                with Traffic(session) as traffic:
                    wait_remote(traffic)
                    server.kill()
                    before = traffic.count
                    until(lambda: traffic.count > before + 40, "samples while the server is gone")
                    with server_process(task_file, port=port):
                        back = time.monotonic_ns()
                        took_ms = recovered(traffic, back)
                        wait_remote(traffic)
                answers = traffic.check(task)
    assert {answer.source for answer in answers} == {Source.LOCAL, Source.REMOTE}
    assert took_ms <= RECOVERY_MS_MAX
    replayed = replay(journal)
    assert replayed.difference is None
    assert replayed.decisions == len(answers)


Fault = Callable[[Relay, bool], None]


def reset(relay: Relay, on: bool) -> None:
    relay.refuse(on)
    if on:
        relay.reset()


FAULTS: dict[str, Fault] = {
    "stall": lambda relay, on: relay.stall(on),
    "blackout": lambda relay, on: relay.blackout(on),
    "reset": reset,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_link_costs_no_answer_and_is_used_again_when_it_is_good(
    task: Task, profile: Profile, server: ServerProcess, tmp_path: Path, kind: str
) -> None:
    journal, fault = tmp_path / "journal", FAULTS[kind]
    with relayed(server) as relay, undisturbed():
        with Session(task, f"127.0.0.1:{relay.port}", profile=profile, deadline_ms=400, journal=journal) as session:
            with Traffic(session) as traffic:
                wait_remote(traffic)
                for _ in range(2):
                    fault(relay, True)
                    time.sleep(1.2)
                    fault(relay, False)
                    assert recovered(traffic, time.monotonic_ns()) <= RECOVERY_MS_MAX
                    wait_remote(traffic)
            traffic.check(task)
    assert replay(journal).difference is None


def test_a_cut_in_the_middle_of_a_transfer(task: Task, profile: Profile, server: ServerProcess) -> None:
    with relayed(server) as relay, undisturbed():
        with Session(task, f"127.0.0.1:{relay.port}", profile=profile, deadline_ms=400) as session:
            with Traffic(session, period_s=0.05, batch=400) as traffic:  # 100 kB each
                wait_remote(traffic)
                relay.set_conditions(LinkConditions(uplink_bytes_per_s=500_000))  # 200 ms each: always one on its way
                for _ in range(3):
                    time.sleep(0.3)
                    relay.reset()
                relay.clear()
                assert recovered(traffic, time.monotonic_ns()) <= RECOVERY_MS_MAX
            traffic.check(task)


def _garbage(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(os.urandom(2000))
    connection.recv(1)


def _half_a_frame(connection: socket.socket) -> None:
    connection.sendall(SETTINGS + bytes([0, 255, 255, 1, 4, 0, 0, 0, 1]) + b"half")
    while connection.recv(65536):
        pass


def _settings_and_silence(connection: socket.socket) -> None:
    connection.sendall(SETTINGS)
    while connection.recv(65536):
        pass


def _hang_up(connection: socket.socket) -> None:
    connection.recv(len(PREFACE))


@pytest.mark.parametrize("talk", [_garbage, _half_a_frame, _settings_and_silence, _hang_up])
def test_who_speaks_garbage_is_never_entrusted_with_anything(
    task: Task, profile: Profile, talk: Callable[[socket.socket], None]
) -> None:
    with undisturbed(), RawServer(talk) as raw:
        with Session(task, f"127.0.0.1:{raw.port}", profile=profile, deadline_ms=400) as session:
            with Traffic(session) as traffic:
                until(lambda: raw.accepted >= 2 and traffic.count >= 50, "samples beside garbage")
            answers = traffic.check(task)
    assert {answer.source for answer in answers} == {Source.LOCAL}


def test_garbage_in_the_servers_place_ends_when_the_server_is_back(
    task: Task, profile: Profile, task_file: Path
) -> None:
    with undisturbed(), server_process(task_file) as server:
        with Session(task, server.address, profile=profile, deadline_ms=400) as session:
            with Traffic(session) as traffic:
                wait_remote(traffic)
                server.kill()
                with RawServer(_garbage, server.port) as raw:
                    until(lambda: raw.accepted >= 2, "probes of the garbage")
                with server_process(task_file, port=server.port):
                    assert recovered(traffic, time.monotonic_ns()) <= RECOVERY_MS_MAX
                    wait_remote(traffic)
            traffic.check(task)


def test_two_streams_through_blackouts_at_changing_phases_are_late_only_with_a_reason(
    task: Task, server: ServerProcess, tmp_path: Path
) -> None:
    from tests.device.small import Steps, profile_of

    tight = profile_of(task, median_ms={"tiny": 3.0}, bound_ms={"tiny": 8.0})
    journal, steps = tmp_path / "journal", Steps()
    with relayed(server) as relay:
        with Session(task, f"127.0.0.1:{relay.port}", profile=tight, journal=journal) as session:
            session.listen(steps)
            session.open_stream("fast", deadline_ms=60, period_ms=60)
            session.open_stream("slow", deadline_ms=100, period_ms=100)
            futures, begun = [], time.monotonic()
            moments = sorted([(i * 0.0601, "fast") for i in range(75)] + [(i * 0.1001, "slow") for i in range(45)])
            cuts = [(1.0 + index * 0.61, index % 2 == 0) for index in range(6)]
            for number, (at_s, stream) in enumerate(moments):
                while cuts and cuts[0][0] <= at_s:
                    relay.blackout(cuts.pop(0)[1])
                time.sleep(max(0.0, begun + at_s - time.monotonic()))
                futures.append(session.submit(tagged(number), stream=stream))
            answers = [future.result(20) for future in futures]
    assert all(answer.status is not Status.FAILED for answer in answers)
    assert steps.unexcused() == []
    assert replay(journal).difference is None


@pytest.mark.slow
def test_two_thousand_requests_leave_no_memory_behind(task: Task, profile: Profile, server: ServerProcess) -> None:
    process = psutil.Process()
    with Session(task, server.address, profile=profile, deadline_ms=400) as session:
        for number in range(300):
            session.answer(tagged(number % 10))
        before = process.memory_info().rss
        for number in range(2000):
            session.answer(tagged(number % 10))
        grown = process.memory_info().rss - before
        until(lambda: session._driver._pending == {}, "the end of the last audit")
    assert grown < 20e6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_stall_of_half_a_minute_and_ten_recoveries(
    task: Task, profile: Profile, server: ServerProcess, tmp_path: Path
) -> None:
    journal, took = tmp_path / "journal", []
    with relayed(server) as relay, undisturbed():
        with Session(task, f"127.0.0.1:{relay.port}", profile=profile, deadline_ms=400, journal=journal) as session:
            with Traffic(session) as traffic:
                wait_remote(traffic)
                for index in range(11):
                    fault = list(FAULTS.values())[index % 3]
                    fault(relay, True)
                    time.sleep(30 if index == 0 else 1.0 + 0.37 * index)
                    fault(relay, False)
                    took.append(recovered(traffic, time.monotonic_ns()))
                    wait_remote(traffic)
            traffic.check(task)
    print("recoveries, ms:", sorted(round(each) for each in took))
    assert max(took) <= RECOVERY_MS_MAX
    assert replay(journal).difference is None
