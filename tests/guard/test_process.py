"""The guard as a process, with real sessions that die, hang, stop and starve, and real consumers.

No time is a pass mark: messages are counted, each frame has exactly one, and everything waits as long as it must.
"""

import ast
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgerow.errors import GuardLost, UsageError
from hedgerow.guard import attach, consumer, frames, memory, process
from hedgerow.guard.attach import Attachment
from hedgerow.guard.consumer import Consumer, Message
from tests.guard.running import PATIENCE_S, SESSION, SOURCE, Running, guarding, streams_file

THE_GUARD = [memory, frames, process]
LINES_MAX = 300


def until(consumer: Consumer, enough: Callable[[Message], bool]) -> list[Message]:
    """Messages up to the first that is enough."""
    found = []
    for message in consumer:
        found.append(message)
        if enough(message):
            return found
    raise AssertionError("the guard said goodbye")


def further(consumer: Consumer, count: int) -> list[Message]:
    """Messages up to the one that is so many frames after the first."""
    first = consumer.receive()
    assert first is not None
    return [first, *until(consumer, lambda message: message.frame > first.frame + count)]


def check_one_each(messages: list[Message]) -> None:
    """Every number between the first and the last exactly once, and what stands in answers is their frame's own."""
    numbers = sorted(message.frame for message in messages)
    assert len(set(numbers)) == len(numbers)
    assert set(range(min(numbers), max(numbers) - 20)) <= set(numbers)  # the last few may still be open
    for message in messages:
        if message.kind == "answer":
            assert message.value["frame"] == message.frame
            assert message.reason == "answered"
        else:
            assert message.value == {"stop": True}
            assert message.reason != "answered"


def test_answers_reach_consumers_by_memory_and_by_socket_alike(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path, deadline_ms=5000.0), "plain", "2000", "5") as guard:
        with Consumer(guard.path) as one, Consumer(guard.path, through="socket") as other:
            by_memory = until(one, lambda message: message.frame >= 60)
            by_socket = until(other, lambda message: message.frame >= 60)
            assert one.missed == other.missed == 0
    check_one_each(by_memory)
    first = by_socket[0].frame
    assert {message.kind for message in by_memory} == {"answer"}
    assert [message for message in by_memory if message.frame >= first] == by_socket


@pytest.mark.parametrize(
    ("mode", "hang_frames", "said"),
    [("die", 0, "ended with 3"), ("eat", 0, "ended with"), ("deadlock", 8, "8 frames in a row without an answer")],
)
def test_a_session_that_dies_starves_or_deadlocks_is_replaced_and_no_frame_is_silent(
    tmp_path: Path, mode: str, hang_frames: int, said: str
) -> None:
    file = streams_file(tmp_path, deadline_ms=200.0, period_ms=20.0, hang_frames=hang_frames)
    with guarding(file, mode, "5000", "20", "15") as guard, Consumer(guard.path) as consumer:
        messages = until(consumer, lambda message: message.epoch == 2 and message.kind == "answer")
        messages += further(consumer, 5)
        assert guard.heard(said)
    check_one_each(messages)
    kinds = [message.kind for message in messages]
    assert "safe_value" in kinds
    assert {message.value["pid"] for message in messages if message.kind == "answer"} > set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_session_killed_or_stopped_by_hand_leaves_no_frame_silent(tmp_path: Path, number: signal.Signals) -> None:
    file = streams_file(tmp_path, deadline_ms=200.0, period_ms=20.0)
    with guarding(file, "plain", "5000", "20") as guard, Consumer(guard.path) as consumer:
        messages = until(consumer, lambda message: message.kind == "answer" and message.frame > 10)
        pid = guard.session_pid()
        os.kill(pid, number)
        messages += until(consumer, lambda message: message.expected)
        messages += further(consumer, 15)
        if number == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
        messages += until(consumer, lambda message: message.kind == "answer")
        messages += further(consumer, 10)
        assert guard.status()["starts"] == (2 if number == signal.SIGKILL else 1)
    check_one_each(messages)
    if number == signal.SIGSTOP:
        assert {message.reason for message in messages if message.expected} == {"no frame was announced"}


def test_a_camera_of_its_own_process_has_each_of_its_frames_answered_whatever_happens_to_the_session(
    tmp_path: Path,
) -> None:
    with guarding(streams_file(tmp_path, deadline_ms=150.0), "follow", "0", "0") as guard:
        with Consumer(guard.path) as consumer, Attachment(guard.path) as camera:
            captured, told = dict[int, int](), list[Message]()

            def shoot(count: int) -> None:
                for _ in range(count):
                    now_ns = time.monotonic_ns()
                    captured[camera.announce("camera", now_ns)] = now_ns
                    time.sleep(0.02)

            def take() -> Message:
                message = consumer.receive()
                assert message is not None
                told.append(message)
                return message

            shoot(1)
            while take().kind != "answer":  # until the session has loaded
                shoot(1)
            for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
                os.kill(guard.session_pid(), number)
                shoot(20)
            while len(told) < len(captured):
                take()
    assert sorted(message.frame for message in told) == sorted(captured)
    assert {message.frame: message.captured_ns for message in told} == captured
    assert {"answer", "safe_value"} == {message.kind for message in told}
    assert not any(message.expected for message in told)


def test_a_slow_answer_is_too_late_counted_and_dropped(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path, deadline_ms=150.0), "slow", "2000", "20", "4") as guard:
        with Consumer(guard.path) as consumer:
            messages = until(consumer, lambda message: message.frame >= 60)
        guard.until(lambda: guard.status()["streams"][0]["late_answers"] >= 5)
    check_one_each(messages)
    slow = [message for message in messages if message.frame % 4 == 3]
    assert {message.kind for message in slow} == {"safe_value"}
    assert {message.reason for message in slow} == {"no answer by the deadline"}
    assert not any(message.expected for message in messages)


def test_starts_are_limited_and_safe_values_go_on(tmp_path: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=100.0, period_ms=10.0, start_ms=100.0, restarts_per_minute=2)
    with guarding(file, "leave", "0", "1") as guard, Consumer(guard.path) as consumer:
        guard.until(lambda: guard.heard("2 starts in a minute are the limit"))
        ended = len(guard.heard("session ended"))
        messages = until(consumer, lambda message: message.epoch == 2 and message.reason.endswith("not running"))
        messages += further(consumer, 40)
        assert len(guard.heard(" started")) == ended == 2
    check_one_each(messages)
    assert all(message.expected for message in messages)
    assert messages[-1].reason == "the session is not running"


def test_a_consumer_that_does_not_read_is_dropped_and_the_other_gets_all(tmp_path: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=5000.0)
    with guarding(file, "plain", "5000", "1") as guard:
        with Consumer(guard.path) as stuck, Consumer(guard.path) as reading:
            messages = until(reading, lambda message: bool(guard.heard("is dropped")))
            check_one_each(messages)
            assert reading.missed == 0
            with pytest.raises(UsageError, match="did not read"):
                list(stuck)
        assert guard.status()["dropped"] == 1


def test_a_killed_guard_is_noticed_by_consumer_and_session_which_lives_on(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path), "plain", "100000", "5") as guard:
        with Consumer(guard.path) as consumer, Consumer(guard.path, through="socket") as other:
            until(consumer, lambda message: True)
            pid = guard.session_pid()
            guard.process.kill()
            with pytest.raises(GuardLost, match="without a goodbye"):
                list(consumer)
            with pytest.raises(GuardLost, match="without a goodbye"):
                list(other)
        guard.until(lambda: "session: guard lost" in guard.printed)
        os.kill(pid, signal.SIGKILL)  # it lived


def test_a_stopped_guard_is_noticed_by_its_silence(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path, heartbeat_ms=50.0), "plain", "100000", "5") as guard:
        with Consumer(guard.path) as consumer, Attachment(guard.path) as camera:
            until(consumer, lambda message: True)
            lost: list[GuardLost] = []
            camera.watch(lost.append)
            guard.process.send_signal(signal.SIGSTOP)
            with pytest.raises(GuardLost, match="silent"):
                list(consumer)
            guard.until(lambda: lost)
            with pytest.raises(GuardLost, match="no sign"):
                camera.announce("camera")
            guard.process.send_signal(signal.SIGCONT)
        guard.until(lambda: "session: guard lost" in guard.printed)


def test_it_says_goodbye_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path), "plain", "100000", "5") as guard, Consumer(guard.path) as consumer:
        until(consumer, lambda message: True)
        pid = guard.session_pid()
        guard.end()
        assert guard.process.returncode == 0
        assert list(consumer)[-1:] != [None]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert os.listdir(tmp_path) == ["streams.toml"]


def scribble(guard: Running, seed: int) -> None:
    """Chance bytes over announcements, answers and messages, as a session with a wild pointer would write them."""
    chance = random.Random(seed)
    with Attachment(guard.path) as camera:
        for ring in camera.door.rings[1:]:
            length = ring.count * ring._stride
            for _ in range(200):
                at = ring._start + chance.randrange(length - 64)
                ring._memory[at : at + 64] = chance.randbytes(64)


def test_memory_full_of_noise_harms_no_later_frame(tmp_path: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=200.0, period_ms=20.0)
    with guarding(file, "plain", "100000", "20") as guard, Consumer(guard.path, through="socket") as consumer:
        messages = until(consumer, lambda message: message.frame > 10)
        for seed in range(5):
            scribble(guard, seed)
            messages += further(consumer, 8)
        messages += further(consumer, 40)
        messages += until(consumer, lambda message: message.kind == "answer")
    check_one_each(messages)


def test_a_stuck_or_closed_standard_error_does_not_stop_the_guard(tmp_path: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=100.0, period_ms=10.0, start_ms=100.0)
    path = str(tmp_path / "sock")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    command = [sys.executable, "-m", "hedgerow.guard.launch", str(file), "--socket", path, "--", "false"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=writer, env={**os.environ, "PYTHONPATH": SOURCE}
    ) as guard:
        assert guard.stdout is not None
        guard.stdout.readline()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 1000)  # nobody reads
        with Consumer(path) as consumer:
            further(consumer, 30)
            os.close(reader)
            os.close(writer)  # and now nobody ever will
            until(consumer, lambda message: message.epoch >= 3)
            check_one_each(further(consumer, 30))
        guard.terminate()
        assert guard.wait(PATIENCE_S) == 0


WITHOUT_FORK = """
import os, sys
from hedgerow.guard import launch
begin = "import os; real, refused = os.fork, [1, 2]\\ndef fork():\\n if refused: refused.pop(); raise OSError(11, 'no more processes')\\n return real()\\nos.fork = fork\\n"
become = os.execv
os.execv = lambda python, words: become(python, [*words[:4], begin + words[4], *words[5:]])
launch.main()
"""


def test_a_machine_that_has_no_process_left_is_waited_for(tmp_path: Path) -> None:
    file, path = streams_file(tmp_path), str(tmp_path / "sock")
    words = [str(file), "--socket", path, "--", sys.executable, "-S", SESSION, "plain", "10000", "10"]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_FORK, *words], stdout=pipe, stderr=pipe, env=environment
    ) as guard:
        assert guard.stdout is not None
        guard.stdout.readline()
        with Consumer(path) as consumer:
            assert until(consumer, lambda message: message.kind == "answer")[-1].epoch == 3
        guard.terminate()
        _, said = guard.communicate(timeout=PATIENCE_S)
    assert said.count(b"no more processes") == 2


# ---------------------------------------------------------------------------------------------------------- what it is


def test_no_clock_but_the_monotonic_one_is_read() -> None:
    for module in [*THE_GUARD, attach, consumer]:
        tree = ast.parse(Path(str(module.__file__)).read_text())
        read = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "time"
        }
        assert read <= {"monotonic_ns", "sleep"}, module.__name__
        assert "datetime" not in ast.dump(tree)


def test_the_guard_s_process_loads_the_standard_library_and_itself_alone() -> None:
    program = "import sys; import hedgerow.guard.process; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.partition(".")[0] == "hedgerow"}
    assert ours == {"hedgerow", "hedgerow.guard", *(module.__name__ for module in THE_GUARD)}
    assert {name.partition(".")[0] for name in loaded - ours} <= {*sys.stdlib_module_names, "__main__"}


def test_a_running_guard_has_no_package_s_library_mapped(tmp_path: Path) -> None:
    with guarding(streams_file(tmp_path), "plain", "100000", "5") as guard:
        guard.session_pid()
        maps = Path(f"/proc/{guard.process.pid}/maps").read_text()
    assert "memfd:hedgerow-guard" in maps
    assert "site-packages" not in maps


def test_it_stays_small() -> None:
    """Lines of code in all that the process loads of the guard; docstrings, comments and blank lines do not count."""
    assert sum(code_lines(Path(str(module.__file__)).read_text()) for module in THE_GUARD) < LINES_MAX


def code_lines(text: str) -> int:
    spared = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in blank]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - spared)
