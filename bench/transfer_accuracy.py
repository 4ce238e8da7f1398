"""How close the simulator's transfers come to the real relay's: `python bench/transfer_accuracy.py [--quick] [--json FILE]`.

The relay runs as its own process and plays a link's course over real sockets; client and server are in this one, on one clock.
Each exchange starts at a random moment: so many bytes up, then so many down, on one long-lived connection, nothing else under
way. Each transfer's duration, from the call that sends to the last byte received, is held against `Direction.send` for the
same start. What is compared therefore holds this machine's own delays too: run it on a quiet one, or with --priority (real-time
priority for both processes, where the system allows it). The line `steady` is a link that never changes, on which the model
is plain arithmetic: its errors are the machine's alone, and so is that much of every other line's.
"""

import argparse
import json
import os
import platform
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

import psutil

from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.links import published
from hedgerow.simulation.links.generated import draw_course, to_csv
from hedgerow.simulation.transfer import NEVER_NS, Direction

RELAY = "from hedgerow.cli.main import main; main()"
HEAD = struct.Struct("!II")
SHIPPED = ("drive-good", "drive-mixed", "drive-tunnel", "wifi-site")
GENERATED = ("cellular", "cellular-verizon", "private-5g")
SMALLEST, LARGEST = 1_000, 600_000
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
PAUSE_S = 0.1
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: bytes, when it began (ns on the link's clock), how long it took, and how long it should have."""

    link: str
    up: bool
    size: int
    begin_ns: int
    took_ns: int
    expected_ns: int

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return abs(self.expected_ns - self.took_ns) / self.took_ns


class Server:
    """Takes what a head announces, says when its last byte came, and sends so many bytes back."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.arrived: SimpleQueue[tuple[int, int]] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock, suppress(ConnectionResetError):  # the relay resets what is open when it ends
            while head := take(sock, HEAD.size):
                up, down = HEAD.unpack(head)
                take(sock, up)
                came_ns = time.monotonic_ns()
                payload = bytes(down)
                begin_ns = time.monotonic_ns()
                self.arrived.put((came_ns, begin_ns))
                sock.sendall(payload)


def take(sock: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes; b"" at the end of the stream."""
    view, got = memoryview(bytearray(size)), 0
    while got < size:
        count = sock.recv_into(view[got:])
        if not count:
            return b""
        got += count
    return bytes(view)


class RelayProcess:
    """`hedgerow link --trace ... --control stdin` as its own process; its clock starts when told."""

    def __init__(self, to_port: int, trace: str) -> None:
        where = ["link", "--to", f"127.0.0.1:{to_port}", "--control", "stdin", "--trace", trace]
        self._process = subprocess.Popen(
            [sys.executable, "-c", RELAY, *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._read().split()[1].rpartition(":")[2])

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def start(self) -> tuple[int, int]:
        """Start the link's clock: (its zero on ours in ns, how far off that may be)."""
        assert self._process.stdin is not None
        before_ns = time.monotonic_ns()
        self._process.stdin.write("start\n")
        self._process.stdin.flush()
        answer = self._read()
        after_ns = time.monotonic_ns()
        if not answer.startswith("ok"):
            raise SystemExit(f"the relay answered {answer!r}")
        return (before_ns + after_ns) // 2, (after_ns - before_ns) // 2

    def stop(self) -> None:
        """End it by closing its input."""
        self._process.communicate()


def measure(link: str, trace: str, seconds: float, seed: int) -> tuple[list[Transfer], int]:
    """Transfers over one link for so many seconds, and by how many ns the clocks may be apart."""
    draw, course, server = random.Random(seed), Course.load(trace), Server()
    relay = RelayProcess(server.port, trace)
    found: list[Transfer] = []
    up, down = Direction(course, up=True), Direction(course, up=False)
    with socket.create_connection(("127.0.0.1", relay.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange(sock, server, 1000, 1000)  # connected, and every buffer warm
        zero_ns, apart_ns = relay.start()
        while time.monotonic_ns() - zero_ns < seconds * 1e9:
            time.sleep(draw.random() * PAUSE_S)
            sizes = [round(SMALLEST * (LARGEST / SMALLEST) ** draw.random()) for _ in range(2)]
            moments = [moment - zero_ns for moment in exchange(sock, server, *sizes)]
            for way, size, begin, end in ((up, sizes[0] + HEAD.size, *moments[:2]), (down, sizes[1], *moments[2:])):
                way.forget()
                expected_ns = way.send(size, begin)[1] - begin
                found.append(Transfer(link, way is up, size, begin, end - begin, min(expected_ns, NEVER_NS)))
    relay.stop()
    return found, apart_ns


def exchange(sock: socket.socket, server: Server, up: int, down: int) -> tuple[int, int, int, int]:
    """When the bytes up began and were there, and when the bytes down began and were there, in ns."""
    payload = HEAD.pack(up, down) + bytes(up)
    begin_ns = time.monotonic_ns()
    sock.sendall(payload)
    take(sock, down)
    end_ns = time.monotonic_ns()
    came_ns, back_ns = server.arrived.get()
    return begin_ns, came_ns, back_ns, end_ns


def summary(transfers: Sequence[Transfer]) -> dict[str, float]:
    """The errors of these transfers, and of their durations' quantiles."""
    errors = [each.error for each in transfers]
    took, expected = ([getattr(each, name) for each in transfers] for name in ("took_ns", "expected_ns"))
    apart = [abs(quantile(expected, q) / quantile(took, q) - 1) for q in QUANTILES]
    return {
        "transfers": len(transfers),
        "error_p50_percent": 100 * quantile(errors, 0.5),
        "error_p90_percent": 100 * quantile(errors, 0.9),
        "error_p99_percent": 100 * quantile(errors, 0.99),
        "off_p50_ms": statistics.median((each.took_ns - each.expected_ns) / NS_PER_MS for each in transfers),
        "took_p50_ms": quantile(took, 0.5) / NS_PER_MS,
        "expected_p50_ms": quantile(expected, 0.5) / NS_PER_MS,
        "took_p99_ms": quantile(took, 0.99) / NS_PER_MS,
        "expected_p99_ms": quantile(expected, 0.99) / NS_PER_MS,
        "quantiles_p50_percent": 100 * apart[QUANTILES.index(0.5)],
        "quantiles_p99_percent": 100 * apart[QUANTILES.index(0.99)],
        "quantiles_worst_percent": 100 * max(apart),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def traces(folder: Path, quick: bool) -> dict[str, str]:
    """The links by name, and the trace of each; generated ones are drawn here."""
    steady = folder / "steady.csv"
    steady.write_text("time_s,rtt_ms,uplink_mbps,radio,downlink_mbps\n0,20,20,steady,80\n")
    generated = GENERATED[:1] if quick else GENERATED
    found = {"steady": str(steady)}
    found |= {name: name for name in (SHIPPED[1:2] + SHIPPED[3:] if quick else SHIPPED)}
    for name in generated:
        path = folder / f"{name}.csv"
        path.write_text(to_csv(draw_course(published(name), Draws(1), 90.0)))
        found[f"{name} (generated)"] = str(path)
    return found


def main() -> None:
    """Measure, print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four links, ten seconds each")
    parser.add_argument("--seconds", type=float, default=0.0, help="of each link; 90 unless --quick")
    parser.add_argument(
        "--priority", action="store_true", help="ask for real-time priority, so that others' load counts less"
    )
    parser.add_argument("--json", type=Path, help="write the figures here, transfer by transfer too")
    options = parser.parse_args()
    seconds = options.seconds or (10.0 if options.quick else 90.0)
    everything: list[Transfer] = []
    sys.setswitchinterval(0.0002)  # client and server are threads of this process: neither waits 5 ms for the other
    priority = options.priority and real_time()
    print(
        f"transfers over the emulated link on {platform.machine()}, {psutil.cpu_count()} cores, Linux {platform.release()}"
    )
    print(f"real-time priority: {'yes' if priority else 'no'}; load average {psutil.getloadavg()[0]:.1f}")
    print(
        f"{'':28}count  error p50     p90      p99   took p50 / expected ms    took p99 / expected ms  quantiles p50, p99  off p50"
    )
    with tempfile.TemporaryDirectory() as folder:
        for seed, (link, trace) in enumerate(traces(Path(folder), options.quick).items()):
            found, apart_ns = measure(link, trace, seconds, seed)
            everything += found
            show(link, found, f"clocks within {apart_ns / NS_PER_MS:.2f} ms")
    show("all", everything)
    if options.json:
        report = {"all": summary(everything), "transfers": [asdict(each) for each in everything], "emulated": True}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def real_time() -> bool:
    """Whether this process, and what it starts, now runs at real-time priority."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


def show(link: str, found: Sequence[Transfer], note: str = "") -> None:
    """One line of the table."""
    s = summary(found)
    print(
        f"{link:28}{s['transfers']:5.0f}  {s['error_p50_percent']:7.2f} % {s['error_p90_percent']:6.2f} % {s['error_p99_percent']:6.2f} %"
        f"  {s['took_p50_ms']:9.2f} / {s['expected_p50_ms']:9.2f}  {s['took_p99_ms']:11.1f} / {s['expected_p99_ms']:9.1f}"
        f"  {s['quantiles_p50_percent']:6.2f} % {s['quantiles_p99_percent']:6.2f} %  {s['off_p50_ms']:5.2f} ms  {note}",
        flush=True,
    )


if __name__ == "__main__":
    main()
