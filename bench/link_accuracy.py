"""How close the emulated link comes to what it was asked for: `python bench/link_accuracy.py [--quick] [--json FILE]`.

The relay runs as its own process, as a harness runs it; client and server are in this one. Medians; the relay's own
processor time is its share of one core while bytes move. Real clocks: run it on a quiet machine.
"""

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

RELAY = "from hedgerow.cli.main import main; main()"
WORD_BYTES = 8


def serve(listener: socket.socket) -> None:
    """Answer each request (8 bytes of length, then so many bytes) with 8 bytes."""

    def answer(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, suppress(ConnectionResetError):  # the relay resets what is open when it ends
            while head := take(sock, WORD_BYTES):
                take(sock, int.from_bytes(head, "big"))
                sock.sendall(head)

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answer, args=(sock,), daemon=True).start()


def take(sock: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes; b"" at the end of the stream. Keeps only the last piece of a long payload."""
    left, data = size, b""
    while left:
        piece = sock.recv(min(65536, left))
        if not piece:
            return b""
        left -= len(piece)
        data = data + piece if size <= WORD_BYTES else piece
    return data


def request_ms(sock: socket.socket, size: int) -> float:
    """Milliseconds from sending `size` bytes to the answer."""
    start_ns = time.perf_counter_ns()
    sock.sendall(size.to_bytes(WORD_BYTES, "big") + bytes(size))
    take(sock, WORD_BYTES)
    return (time.perf_counter_ns() - start_ns) / 1e6


def connect(port: int) -> socket.socket:
    """A client's connection without Nagle."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class RelayProcess:
    """`hedgerow link --control stdin` as its own process."""

    def __init__(self, to_port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RELAY, "link", "--to", f"127.0.0.1:{to_port}", "--control", "stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._read().split()[1].rpartition(":")[2])
        self._meter = psutil.Process(self._process.pid)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def tell(self, line: str) -> None:
        """Send a command and wait until it is in force."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer.startswith("ok"):
            raise SystemExit(f"the relay answered {answer!r}")

    def busy_s(self) -> float:
        """Processor time used so far."""
        times = self._meter.cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End it by closing its input."""
        self._process.communicate()


def added_by_the_relay(direct: socket.socket, relayed: socket.socket, count: int) -> dict[str, float]:
    """Round trips of 8 bytes without shaping, straight and through the relay, by turns."""
    straight, through = [], []
    for _ in range(count):
        straight.append(request_ms(direct, 0))
        through.append(request_ms(relayed, 0))
    return {
        "direct_p50_ms": statistics.median(straight),
        "relay_p50_ms": statistics.median(through),
        "added_p50_ms": statistics.median(through) - statistics.median(straight),
        "added_p99_ms": statistics.quantiles(through, n=100)[98] - statistics.median(straight),
    }


def row(relay: RelayProcess, sock: socket.socket, rate: float, rtt: float, repeats: int) -> dict[str, float]:
    """Asked and got for one pair of rate (Mbit/s) and round trip (ms)."""
    relay.tell(f"set uplink_mbps={rate} downlink_mbps={4 * rate} rtt_ms={rtt}")
    trips = [request_ms(sock, 0) for _ in range(15 * repeats)]
    start_s, busy_s = time.perf_counter(), relay.busy_s()
    bulk = statistics.median(request_ms(sock, 1_000_000) for _ in range(repeats))
    share = (relay.busy_s() - busy_s) / (time.perf_counter() - start_s)
    # 8 bytes up and 8 down belong to the asked round trip too; they matter below 1 Mbit/s only.
    words_ms = WORD_BYTES * 8 / rate / 1000 + WORD_BYTES * 8 / (4 * rate) / 1000
    trip = statistics.median(trips)
    got_mbps = 1_000_000 * 8 / 1000 / (bulk - rtt - words_ms)
    return {
        "asked_mbps": rate,
        "got_mbps": got_mbps,
        "rate_error_percent": 100 * (got_mbps / rate - 1),
        "asked_rtt_ms": rtt,
        "got_rtt_p50_ms": trip,
        "rtt_added_p50_ms": trip - rtt - words_ms,
        "rtt_added_p95_ms": statistics.quantiles(trips, n=20)[18] - rtt - words_ms,
        "relay_core_percent": 100 * share,
    }


def main() -> None:
    """Measure, print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three cells, fewer repeats")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    to_port = int(listener.getsockname()[1])
    relay = RelayProcess(to_port)
    direct, relayed = connect(to_port), connect(relay.port)
    added = added_by_the_relay(direct, relayed, 300 if options.quick else 3000)
    cells = [(5, 0), (20, 20), (50, 60)] if options.quick else [(r, t) for r in (5, 10, 20, 50) for t in (0, 20, 60)]
    rows = [row(relay, relayed, rate, rtt, 3 if options.quick else 7) for rate, rtt in cells]
    relay.stop()
    print(f"emulated link on {platform.machine()}, {psutil.cpu_count()} cores, Linux {platform.release()}")
    print("unshaped, 8 bytes: " + ", ".join(f"{name} {value:.3f}" for name, value in added.items()))
    print("asked Mbit/s  got      error   asked rtt ms  got p50  added p50  added p95  relay's share of a core")
    for r in rows:
        print(
            f"{r['asked_mbps']:12.0f}  {r['got_mbps']:6.2f}  {r['rate_error_percent']:5.2f} %  {r['asked_rtt_ms']:12.0f}"
            f"  {r['got_rtt_p50_ms']:7.2f}  {r['rtt_added_p50_ms']:9.2f}  {r['rtt_added_p95_ms']:9.2f}"
            f"  {r['relay_core_percent']:5.1f} %"
        )
    if options.json:
        options.json.write_text(json.dumps({"unshaped": added, "cells": rows, "emulated": True}, indent=1) + "\n")


if __name__ == "__main__":
    main()
