"""The guard's own process, as `launch` starts it: forwards answers, emits safe values, restarts the session.

Rules: it waits in one `select` until something is due or somebody rings, and nowhere else; it believes nothing that others
write; a consumer that does not read is dropped, never waited for. SIGTERM ends it, SIGUSR1 prints its counts.
"""

import contextlib
import ctypes
import gc
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from hedgerow.guard.frames import Frames
from hedgerow.guard.memory import ALIVE, END, Ring, Slot, pack, places

MS, SECOND = 1_000_000, 1_000_000_000


class Guard:
    """The parent of one session and the only writer of its consumers' messages."""

    def __init__(self, settings: dict[str, Any], command: list[str]) -> None:
        self.settings, self.command = settings, command
        *rings, (size, _, _) = places(settings["description"])
        memory = mmap.mmap(settings["memory_fd"], size)
        self.state, self.out, *others = [Ring(memory, *each) for each in rings]
        each = zip(settings["description"]["streams"], others[::2], others[1::2], settings["safe_values"], strict=True)
        self.streams = [Frames(*parts[:3], parts[3].encode(), settings["bound_ns"]) for parts in each]
        self.listener = socket.socket(fileno=settings["listener_fd"])
        self.signals, bell = socket.socketpair()
        for one in (self.listener, self.signals, bell):
            one.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(bell.detach())
        self.peers: dict[int, socket.socket] = {}  # by descriptor, for select
        self.consumers: dict[int, bool] = {}  # True: whole messages, False: a bell and the memory
        self.ears = [self.signals.fileno(), self.listener.fileno()]
        self.number = self.epoch = self.answered = self.dropped = 0
        self.child: int | None = None
        self.starts: list[int] = []
        self.restart_ns = self.alive_ns = time.monotonic_ns()
        self.end_ns: int | None = None
        for stream in self.streams:
            stream.expect(self.restart_ns + settings["start_ns"])

    def run(self) -> None:
        """Until it is told to end and its session has ended."""
        due_ns = 0
        while self.end_ns is None or self.child is not None:
            wait_s = max(0, due_ns - time.monotonic_ns()) / SECOND
            for fd in select.select(self.ears, [], [], wait_s)[0]:
                self.hear(fd) if fd in self.peers else self.greet() if fd == self.ears[1] else self.obey()
            now_ns = time.monotonic_ns()
            for index, stream in enumerate(self.streams):
                for message in stream.settle(now_ns, self.epoch, self.child is not None):
                    self.emit(index, *message)
                self.state.put(Slot(1 + index, stream.next_frame, stream.settled(), now_ns))
            self.state.put(Slot(0, self.number, 0, now_ns, self.epoch))
            if now_ns >= self.alive_ns:
                self.alive_ns = now_ns + self.settings["heartbeat_ns"]
                self.send(pack(Slot(self.number, 0, 0, now_ns, self.epoch, 0, ALIVE)))
            due_ns = min([self.alive_ns, *(due for stream in self.streams for due in stream.due_ns())])
            self.look_after(now_ns)
        self.emit(0, 0, 0, END, 0, b"")
        os.unlink(self.settings["socket"])
        self.report()

    # ------------------------------------------------------------------------------------------------------- messages

    def emit(self, stream: int, frame: int, captured_ns: int, kind: int, reason: int, payload: bytes) -> None:
        """One message, to the memory and to every consumer."""
        moment_ns, kind = time.monotonic_ns(), kind | reason << 8
        data = self.out.put(Slot(self.number, frame, captured_ns, moment_ns, self.epoch, stream, kind, payload))
        self.number += 1
        self.send(data)

    def send(self, data: bytes) -> None:
        for fd, whole in list(self.consumers.items()):
            try:
                self.peers[fd].send(data if whole else b"!")
            except BlockingIOError:
                self.dropped += 1
                self.forget(fd, "is dropped: it does not read")
            except OSError:
                self.forget(fd, "has left")

    def greet(self) -> None:
        """Let somebody in: a camera or a session, until it says that it is a consumer."""
        with contextlib.suppress(OSError):
            peer = self.listener.accept()[0]
            peer.setblocking(False)
            if len(self.peers) < self.settings["peers_max"]:
                greeting = {"number": self.number, **self.settings["description"]}
                socket.send_fds(peer, [json.dumps(greeting).encode()], [self.settings["memory_fd"]])
                self.peers[peer.fileno()] = peer
                self.ears.append(peer.fileno())

    def hear(self, fd: int) -> None:
        """A doorbell, which only wakes; the word of a consumer; the end of anybody."""
        try:
            word = self.peers[fd].recv(16)
        except OSError:
            word = b""
        if word in (b"socket", b"memory"):
            self.consumers[fd] = word == b"socket"
        elif not word:
            self.forget(fd, "has left")

    def forget(self, fd: int, why: str) -> None:
        self.say(f"{'a camera or session' if self.consumers.pop(fd, None) is None else 'a consumer'} {why}")
        self.ears.remove(fd)
        self.peers.pop(fd).close()

    # -------------------------------------------------------------------------------------------------------- session

    def look_after(self, now_ns: int) -> None:
        """Start what is to be started; end what hangs: it is alive, had time to load, and gives no answers."""
        answered, unanswered = self.answers(), max(stream.unanswered for stream in self.streams)
        if self.child is None:
            if now_ns >= self.restart_ns and self.end_ns is None:
                self.start(now_ns)
        elif self.end_ns is not None and now_ns >= self.end_ns:
            self.kill(signal.SIGKILL)
        elif answered == self.answered and now_ns < self.starts[-1] + self.settings["start_ns"]:
            self.forgive()  # it still loads
        elif unanswered >= self.settings["hang_frames"] > 0:
            self.say(f"session {self.child} hangs: {unanswered} frames in a row without an answer")
            self.forgive()
            self.kill(signal.SIGKILL)

    def answers(self) -> int:
        return sum(stream.counts["answers"] for stream in self.streams)

    def forgive(self) -> None:
        for stream in self.streams:
            stream.unanswered = 0

    def start(self, now_ns: int) -> None:
        """Start a session; each has an epoch of its own, so that none answers for another."""
        self.epoch, self.answered = self.epoch + 1, self.answers()
        self.starts = [*(each for each in self.starts if now_ns - each < 60 * SECOND), now_ns]
        environment = os.environ | {"HEDGEROW_GUARD": self.settings["socket"], "HEDGEROW_GUARD_EPOCH": str(self.epoch)}
        try:
            self.child = os.fork()  # and no waiting until it is another program, as subprocess and posix_spawn do
        except OSError as error:
            return self.plan_restart(f"no session can be started: {error}")
        if self.child == 0:
            try:
                os.setpgid(0, 0)
                os.closerange(3, 4096)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.execvpe(self.command[0], self.command, environment)
            finally:
                os._exit(127)
        self.say(f"session {self.child} started, in {(time.monotonic_ns() - now_ns) / MS:.1f} ms")

    def kill(self, number: int) -> None:
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child, number)

    def obey(self) -> None:
        """Signals: the child's end, a wish for the counts, or the guard's own end."""
        for number in self.signals.recv(16):
            if number == signal.SIGUSR1:
                self.report()
            elif number != signal.SIGCHLD:
                self.end_ns = time.monotonic_ns() + 2 * SECOND
                self.kill(signal.SIGTERM)
        if self.child and os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            self.kill(signal.SIGKILL)  # what is left of its group, while the number is still its own
            code, self.child = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1]), None
            self.plan_restart(f"the session ended with {code}")

    def plan_restart(self, why: str) -> None:
        """After 0.2 s, twice that for each start of the last minute, at most 5 s, staggered; past the limit much later."""
        now_ns, count = time.monotonic_ns(), len(self.starts)
        pause_ns = min(SECOND // 10 << count, 5 * SECOND) * (100 + now_ns % 26) // 100
        if count >= self.settings["restarts_per_minute"]:
            pause_ns = self.starts[0] + 60 * SECOND - now_ns
            why += f"; {count} starts in a minute are the limit, until then safe values alone"
        self.restart_ns = now_ns + pause_ns
        self.say(f"{why}; the next start in {pause_ns / SECOND:.1f} s" if self.end_ns is None else why)

    # ---------------------------------------------------------------------------------------------------------- words

    def report(self) -> None:
        streams = [{**each.counts, "worst_late_us": each.worst_late_ns // 1000} for each in self.streams]
        self.say(
            json.dumps({"starts": self.epoch, "dropped": self.dropped, "streams": streams, **self.settings["told"]})
        )

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a reader of standard error that is stuck or gone does not stop the guard
            if select.select([], [2], [], 0)[1]:
                os.write(2, f"hedgerow guard: {text}\n".encode()[:4096])


def main() -> None:
    """Read the settings, keep the garbage collector and the pager away, guard."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    guard = Guard(settings, sys.argv[2:])
    gc.freeze()
    gc.disable()
    if settings["lock"]:
        settings["told"]["memory_locked"] = ctypes.CDLL(None).mlockall(3) == 0
    guard.run()


if __name__ == "__main__":
    main()
