"""The session's and the camera's side: what they may not do, and what they make of a guard that is none."""

import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hedgerow.errors import GuardFull, GuardLost, HedgerowError, HostError, PeerError, UsageError
from hedgerow.guard.attach import Attachment
from hedgerow.guard.consumer import Consumer
from hedgerow.guard.launch import settings_of
from hedgerow.guard.memory import places
from tests.guard.running import Running, guarding, streams_file


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A guard whose session stays away from its stream: the test is the camera and the session."""
    file = streams_file(tmp_path_factory.mktemp("guard"), deadline_ms=300.0)
    with guarding(file, options=("sleep", "1000")) as running:
        yield running


def test_a_camera_of_another_process_announces_and_numbers_run_on_after_it_restarts(guard: Running) -> None:
    with Consumer(guard.path) as consumer:
        with Attachment(guard.path) as camera:
            first = camera.announce("camera")
            message = consumer.receive()
        assert message is not None
        assert (message.frame, message.kind) == (first, "safe_value")
        with Attachment(guard.path) as camera:
            assert camera.announce("camera") == first + 1
            consumer.receive()


def test_an_answer_without_the_session_s_epoch_is_not_forwarded(guard: Running) -> None:
    with Consumer(guard.path) as consumer, Attachment(guard.path) as stranger:
        assert stranger.epoch == 0
        stranger.answer("camera", stranger.announce("camera"), b"1")
        message = consumer.receive()
    assert message is not None
    assert message.kind == "safe_value"


def test_more_open_frames_than_slots_are_refused_and_none_is_lost(guard: Running) -> None:
    with Consumer(guard.path) as consumer, Attachment(guard.path) as camera:
        frames = [camera.announce("camera") for _ in range(camera.streams["camera"]["slots"])]
        with pytest.raises(HostError, match="frames of stream 'camera' are open"):
            camera.announce("camera")
        told = [consumer.receive() for _ in frames]
    assert sorted(message.frame for message in told if message is not None) == frames


def test_a_stale_answer_does_not_displace_a_later_frame_s(guard: Running) -> None:
    with Attachment(guard.path) as camera:
        slots = camera.streams["camera"]["slots"]
        assert camera.answer("camera", 5 + slots, b"new")
        assert not camera.answer("camera", 5, b"old")
        found = camera.door.rings[3].get(5 + slots)
    assert found is not None
    assert found.payload == b"new"


def test_misuse_is_named(guard: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with Attachment(guard.path) as camera:
        with pytest.raises(UsageError, match="there are: camera"):
            camera.announce("rear")
        with pytest.raises(UsageError, match="at most 4096"):
            camera.answer("camera", 0, b"x" * 4097)
    with pytest.raises(UsageError, match="closed"):
        camera.announce("camera")
    with pytest.raises(UsageError, match="'memory' or 'socket'"):
        Consumer(guard.path, through="air")
    monkeypatch.delenv("HEDGEROW_GUARD", raising=False)
    with pytest.raises(UsageError, match="hedgerow guard"):
        Attachment()


def test_no_guard_is_a_lost_guard(tmp_path: Path) -> None:
    with pytest.raises(GuardLost, match="no guard answers"):
        Attachment(tmp_path / "nothing")


def test_a_consumer_that_fell_behind_reads_on_from_the_oldest_at_once(tmp_path: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=20.0, slots_out=8, heartbeat_ms=10_000.0)
    with guarding(file, options=("sleep", "1000")) as guard, Consumer(guard.path) as slow:
        with Attachment(guard.path) as camera:
            for _ in range(20):
                camera.announce("camera")
            guard.until(lambda: camera.door.state(0).frame >= 20)
        while slow._sock.recv(1) and select.select([slow], [], [], 0)[0]:
            pass  # every bell is heard, and none comes for 10 s
        first = slow._from_memory()
        assert first is not None
        rest = [slow.receive() for _ in range(7)]
        assert slow._from_memory() is None
        assert [first.frame, *(message.frame for message in rest if message is not None)] == [*range(12, 20)]
        assert slow.missed == 12


def test_a_consumer_whom_a_full_guard_has_dropped_is_told_so(tmp_path: Path) -> None:
    file = streams_file(tmp_path, peers_max=2, heartbeat_ms=10.0)
    with guarding(file, options=("sleep", "1000")) as guard, Consumer(guard.path) as stuck:
        guard.until(lambda: guard.heard("is dropped"))
        with Attachment(guard.path), Attachment(guard.path):
            with pytest.raises(GuardFull, match="raise peers_max"):
                Consumer(guard.path)
            with pytest.raises(UsageError, match="lets nobody in any more"):
                for _ in stuck:
                    pass


GREETING = {"number": 0, **settings_of({"stream": [{"name": "a", "deadline_ms": 50, "safe_value": 0}]}).description}
SIZE = places(GREETING)[-1][0]


@contextmanager
def pretending(path: Path, greeting: bytes, size: int) -> Iterator[None]:
    """Something that listens where a guard should, and hands out this."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as peer:
                memory = os.memfd_create("pretended")
                os.ftruncate(memory, size)
                socket.send_fds(peer, [greeting], [memory])
                os.close(memory)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("change", "size", "complaint"),
    [
        ({"version": 2}, SIZE, "version 2"),
        ({}, SIZE - 64, "size"),
        ({"streams": 3}, SIZE, "no guard"),
        ({"slots_out": "many"}, SIZE, "no guard"),
    ],
)
def test_a_guard_of_another_version_or_none_at_all_is_refused(
    tmp_path: Path, change: dict[str, Any], size: int, complaint: str
) -> None:
    with pretending(tmp_path / "socket", json.dumps(GREETING | change).encode(), size):
        with pytest.raises(PeerError, match=complaint):
            Attachment(tmp_path / "socket")


def test_noise_instead_of_a_greeting_is_refused(tmp_path: Path) -> None:
    with pretending(tmp_path / "socket", b"\xff\xfe{", SIZE):
        with pytest.raises(HedgerowError, match="no guard"):
            Consumer(tmp_path / "socket")
