"""The session-like process that `hedgerow bench guard` guards; it computes nothing, so that only the way is measured.

`guard_session.py turns FRAMES PAYLOAD_BYTES SOCKET` sends each frame's bytes once through the guard and once straight to the
consumer's socket, by turns; `guard_session.py stream PERIOD_MS K` answers all but every k-th frame, until it is ended.
"""

import socket
import struct
import sys
import time

from hedgerow.guard.attach import Attachment

STREAM = "bench"
SENT = struct.Struct("<q")
APART_S = 0.002


def turns(guard: Attachment, frames: int, size: int, path: str) -> None:
    """Two sends a frame, the first of them by turns this way and that; each begins with the moment of its sending."""
    filler = b"x" * (size - SENT.size)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as straight:
        straight.connect(path)
        for count in range(frames):
            frame = guard.announce(STREAM)
            for way in (count % 2, 1 - count % 2):
                time.sleep(APART_S)
                payload = SENT.pack(time.monotonic_ns()) + filler
                if way:
                    guard.answer(STREAM, frame, payload)
                else:
                    straight.send(payload)
            time.sleep(APART_S)
        time.sleep(1.0)  # until everything has arrived
        straight.send(b"end")
        straight.recv(1)  # until the consumer has left


def stream(guard: Attachment, period_ms: float, k: int) -> None:
    """Frames at a steady pace, every k-th without an answer."""
    next_s = time.monotonic()
    while True:
        frame = guard.announce(STREAM)
        if frame % k != k - 1:
            guard.answer(STREAM, frame, SENT.pack(time.monotonic_ns()))
        next_s = max(next_s + period_ms / 1e3, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))


def main() -> None:
    """One of the two."""
    with Attachment() as guard:
        if sys.argv[1] == "turns":
            turns(guard, int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
        else:
            stream(guard, float(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    main()
