"""A session-like process in a few lines, for the guard's tests: `python session.py MODE FRAMES PERIOD_MS [K]`.

It owns its camera: announces a frame each period and answers it with its number as JSON, unless the mode says otherwise.
Standard library and hedgerow.guard alone, so that it starts quickly.
"""

import os
import resource
import sys
import threading
import time

from hedgerow.errors import GuardLost, HostError
from hedgerow.guard.attach import Attachment

STREAM = "camera"


def answered(guard: Attachment, frame: int) -> None:
    guard.answer(STREAM, frame, b'{"frame": %d, "pid": %d}' % (frame, os.getpid()))


def eat() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
    eaten = []
    while True:
        eaten.append(bytearray(16 << 20))


def deadlock() -> None:
    lock = threading.Lock()
    with lock, lock:
        pass


def follow(guard: Attachment) -> None:
    """Answer what a camera in another process announces, as the guard's state tells of it."""
    answered_below = 0
    while True:
        state = guard.door.state(1)
        for frame in range(max(answered_below, state.captured_ns), state.frame):
            answered(guard, frame)
        answered_below = state.frame
        time.sleep(0.002)


def main() -> None:
    mode, frames, period_ms = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    k = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    guard = Attachment()
    if mode == "follow":
        follow(guard)
    for count in range(frames):
        try:
            frame = guard.announce(STREAM)
        except GuardLost:
            print("session: guard lost", flush=True)
            break
        except HostError:  # a guard that is behind: this frame is not guarded
            time.sleep(period_ms / 1e3)
            continue
        trouble = guard.epoch == 1 and count == k
        if mode == "eat" and trouble:
            eat()
        elif mode == "deadlock" and trouble:
            deadlock()
        elif mode == "die" and trouble:
            os._exit(3)
        elif mode == "slow" and count % k == k - 1:
            threading.Timer(0.3, answered, (guard, frame)).start()
        elif mode == "skip" and count % k == k - 1:
            pass
        else:
            answered(guard, frame)
        time.sleep(period_ms / 1e3)
    while mode != "leave":
        time.sleep(1.0)


if __name__ == "__main__":
    main()
